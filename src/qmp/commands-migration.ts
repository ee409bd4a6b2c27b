/**
 * QMP's migration commands, typed as far as we use them (QEMU: qapi/migration.json).
 * Not responsible for when they are allowed; QEMU answers that with QMP_COMMAND.
 */

import { z } from 'zod';
import type { ExecuteOptions, QmpExecutor } from './client.ts';
import { ask, tell } from './reply.ts';

/** QEMU's MigrationStatus; a newer QEMU may add words, hence `string`. */
export type MigrationStatus =
  | 'none'
  | 'setup'
  | 'cancelling'
  | 'cancelled'
  | 'active'
  | 'postcopy-device'
  | 'postcopy-active'
  | 'postcopy-paused'
  | 'postcopy-recover-setup'
  | 'postcopy-recover'
  | 'completed'
  | 'failed'
  | 'colo'
  | 'pre-switchover'
  | 'device'
  | 'wait-unplug'
  | (string & {});

const ramSchema = z.object({
  total: z.number(),
  remaining: z.number(),
  transferred: z.number(),
  duplicate: z.number(),
  normal: z.number(),
  'normal-bytes': z.number(),
  'dirty-pages-rate': z.number(),
  'dirty-sync-count': z.number(),
  mbps: z.number(),
  'page-size': z.number(),
});

const migrationSchema = z.object({
  status: z.string().optional(),
  ram: ramSchema.optional(),
  'total-time': z.number().optional(),
  downtime: z.number().optional(),
  'expected-downtime': z.number().optional(),
  'setup-time': z.number().optional(),
  'error-desc': z.string().optional(),
  'blocked-reasons': z.array(z.string()).optional(),
  'cpu-throttle-percentage': z.number().optional(),
  'socket-address': z.array(z.looseObject({ type: z.string() })).optional(),
});

export interface MigrationRam {
  readonly totalBytes: number;
  readonly remainingBytes: number;
  readonly transferredBytes: number;
  readonly zeroPages: number;
  readonly normalPages: number;
  readonly dirtySyncCount: number;
  /** Null until QEMU has finished a first measuring window (it reports 0 then). */
  readonly dirtyPagesPerSecond: number | null;
  readonly pageSizeBytes: number;
}

export interface MigrationInfo {
  /** 'none' where QEMU reports no migration. */
  readonly status: MigrationStatus;
  readonly ram: MigrationRam | null;
  readonly totalTimeMs: number | null;
  /** QEMU's own count, to its socket and not to the destination; null before completion. */
  readonly downtimeMs: number | null;
  readonly errorDesc: string | null;
  /**
   * Why QEMU would refuse to migrate. Empty also where QEMU cannot say (before 6.1):
   * QemuFeatures.hasBlockedReasons tells.
   */
  readonly blockedReasons: readonly string[];
  /** Where a destination listens; empty when it does not. */
  readonly listeningAt: readonly string[];
  readonly cpuThrottlePercent: number | null;
}

export async function queryMigrate(qemu: QmpExecutor, options?: ExecuteOptions): Promise<MigrationInfo> {
  const reply = await ask(qemu, migrationSchema, 'query-migrate', {}, options);
  return {
    status: reply.status ?? 'none',
    ram: reply.ram ? migrationRam(reply.ram) : null,
    totalTimeMs: reply['total-time'] ?? null,
    downtimeMs: reply.downtime ?? null,
    errorDesc: reply['error-desc'] ?? null,
    blockedReasons: reply['blocked-reasons'] ?? [],
    listeningAt: (reply['socket-address'] ?? []).map(addressText),
    cpuThrottlePercent: reply['cpu-throttle-percentage'] ?? null,
  };
}

function migrationRam(ram: z.infer<typeof ramSchema>): MigrationRam {
  return {
    totalBytes: ram.total,
    remainingBytes: ram.remaining,
    transferredBytes: ram.transferred,
    zeroPages: ram.duplicate,
    normalPages: ram.normal,
    dirtySyncCount: ram['dirty-sync-count'],
    dirtyPagesPerSecond: ram['dirty-sync-count'] > 1 ? ram['dirty-pages-rate'] : null,
    pageSizeBytes: ram['page-size'],
  };
}

function addressText(address: Readonly<Record<string, unknown>>): string {
  if (address.type === 'unix') return `unix:${String(address.path)}`;
  if (address.type === 'inet') return `tcp:${String(address.host)}:${String(address.port)}`;
  return String(address.type);
}

/** Capability name -> state. */
export async function queryMigrateCapabilities(qemu: QmpExecutor): Promise<ReadonlyMap<string, boolean>> {
  const schema = z.array(z.object({ capability: z.string(), state: z.boolean() })).max(1000);
  const list = await ask(qemu, schema, 'query-migrate-capabilities');
  return new Map(list.map(({ capability, state }) => [capability, state]));
}

export async function migrateSetCapabilities(
  qemu: QmpExecutor,
  states: ReadonlyMap<string, boolean>,
): Promise<void> {
  const capabilities = [...states].map(([capability, state]) => ({ capability, state }));
  await tell(qemu, 'migrate-set-capabilities', { capabilities });
}

export type ParameterValue = string | number | boolean;

/** Parameter name -> value, for the parameters whose value is one word or number. */
export async function queryMigrateParameters(
  qemu: QmpExecutor,
): Promise<ReadonlyMap<string, ParameterValue>> {
  const reply = await ask(qemu, z.record(z.string(), z.unknown()), 'query-migrate-parameters');
  const simple = new Map<string, ParameterValue>();
  for (const [name, value] of Object.entries(reply)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
      simple.set(name, value);
    }
  }
  return simple;
}

/** `downtime-limit` is in milliseconds, `max-bandwidth` and its kin in bytes per second (0: no limit). */
export async function migrateSetParameters(
  qemu: QmpExecutor,
  values: ReadonlyMap<string, ParameterValue>,
): Promise<void> {
  await tell(qemu, 'migrate-set-parameters', Object.fromEntries(values));
}

/** Starts an outgoing migration. `uri`: `unix:/path`, `tcp:host:port`, `fd:name`, `exec:command`. */
export async function migrate(qemu: QmpExecutor, uri: string, options?: ExecuteOptions): Promise<void> {
  await tell(qemu, 'migrate', { uri }, options);
}

/**
 * Lets a QEMU that was started with `-incoming defer` listen. `exitOnError: false` keeps it alive after a
 * failed load (9.1+).
 */
export async function migrateIncoming(
  qemu: QmpExecutor,
  uri: string,
  options: ExecuteOptions & { readonly exitOnError?: boolean } = {},
): Promise<void> {
  const { exitOnError = true, ...rest } = options;
  await tell(qemu, 'migrate-incoming', { uri, ...(exitOnError ? {} : { 'exit-on-error': false }) }, rest);
}

/** Succeeds also when there is nothing to cancel. */
export async function migrateCancel(qemu: QmpExecutor, options?: ExecuteOptions): Promise<void> {
  await tell(qemu, 'migrate_cancel', {}, options);
}

/** Switches a running migration to post-copy. */
export async function migrateStartPostcopy(qemu: QmpExecutor): Promise<void> {
  await tell(qemu, 'migrate-start-postcopy');
}
