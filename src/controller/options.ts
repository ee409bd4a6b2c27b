/** Everything a migration is told, with every default in one place. */

import path from 'node:path';
import { GIB, GodwitError, MIB } from '../base/index.ts';
import type { ReachSpec } from '../remote/index.ts';
import type { AnyStrategy } from '../strategy/index.ts';
import type { Limits, ParameterValues } from '../vm/index.ts';

export interface MigrateOptions {
  readonly sourceQmpPath: string;
  readonly destinationQmpPath: string;
  /**
   * Where the destination QEMU listens for the stream, by TCP: null for a unix socket in a private folder
   * (both on one host), or where `far` says. Both are `host:port`; they differ behind a relay.
   */
  readonly destinationAddress: { readonly listen: string; readonly connect: string } | null;
  /**
   * A gateway at the far side (paired arrangement); `destinationQmpPath` is then a path on
   * that host. null: single.
   */
  readonly far?: FarOptions | null;
  /** Guest memory may cross a network in clear: a destination QEMU that listens itself needs no key. */
  readonly insecure?: boolean;
  /** godwit starts the destination QEMU at `destinationQmpPath` itself; null: it waits there already. */
  readonly start?: StartOptions | null;
  readonly strategy: AnyStrategy;
  readonly parameters: ParameterValues;
  readonly limits: Limits;
  /** Cap on the link until the VM is stopped; null: what it carries. */
  readonly bandwidthBytesPerSecondMax: number | null;
  /** What the operator says the link carries; null: measured. */
  readonly linkBytesPerSecond: number | null;
  readonly gatewayMemoryBytesMax: number;
  readonly sourceAfter: 'keep' | 'quit';
  /**
   * Refuse the switchover-ack, so that a stop by QEMU itself has to fit the limit at any moment; for tests
   * and QEMUs where the ack misbehaves.
   */
  readonly ackGate: 'auto' | 'off';
  /** Codes of preflight refusals to override (FORCEABLE in preflight.ts). */
  readonly force?: readonly string[];
  readonly stateDirectory: string;
  /** When the migration was asked for, by the system's clock; `setupMs` counts from here. Default: now. */
  readonly askedAtMs?: number;
  /** A command for the operator's shell, run once the migration has ended, by whoever ends it. */
  readonly onEnd?: string | null;
  /** A file for the dirty-page trace of the migration; written while it runs. */
  readonly recordPath?: string | null;
}

export interface StartOptions {
  /** What the source names so is named otherwise there: files, folders, ports, devices of the host. */
  readonly maps: readonly (readonly [from: string, to: string])[];
}

export interface FarOptions {
  /** Nothing of godwit runs there: QEMU itself takes the stream (single arrangement). Default false. */
  readonly withoutGateway?: boolean;
  readonly reach: ReachSpec;
  /** How godwit is started there. */
  readonly remoteCommand: readonly string[];
  /** `host` or `host:port` of the far side's data address; null: the host that ssh resolves. */
  readonly dataAddress: string | null;
  readonly connections: number;
  /** Encoding threads; 0: none of its own. */
  readonly workers: number;
  /** Connections may be broken this long before the migration is given up. */
  readonly linkTimeoutMs: number;
}

export const FAR_DEFAULTS = {
  rsh: ['ssh'],
  remoteCommand: ['godwit'],
  connections: 2,
  linkTimeoutMs: 60_000,
} as const;

export const MIGRATE_DEFAULTS = {
  strategy: 'adaptive',
  downtimeMsMax: 300,
  timeoutMs: null,
  onTimeout: 'switch',
  gatewayMemoryBytesMax: 8 * GIB,
  sourceAfter: 'keep',
} as const;

/**
 * Stop, device state, round trips and `cont` with nothing left to send, as measured by `npm run
 * bench -- --only clean-guest-downtime`.
 */
export const FIXED_DOWNTIME_MS = 40;

/** What a data connection keeps: unacknowledged and unread frames (src/link/limits.ts), and their TLS. */
const LANE_BYTES = 20 * MIB;
/** A thread: its heap, its scratch memory, and two batches on their way. */
const WORKER_BYTES = 32 * MIB;
/**
 * How much more than 128 MiB the main thread's heap and allocator take; those 128 MiB the process may take
 * besides the cap. Measured on a guest of 4 GiB: heap 50 to 110 MiB, holes between freed batches 60 MiB.
 */
const THREAD_BYTES = 120 * MIB;
/** However small the cap is, this much of it holds pages. */
const STORE_SHARE_MIN = 0.25;

/** null: the destination QEMU itself takes the stream. */
export function farGateway(far: MigrateOptions['far']): FarOptions | null {
  return far == null || far.withoutGateway === true ? null : far;
}

/** The destination QEMU itself listens on a network, and what crosses it is to be secret. */
export function needsKey({ destinationAddress, far, insecure }: MigrateOptions): boolean {
  const isNetwork = destinationAddress !== null || far?.withoutGateway === true;
  return isNetwork && insecure !== true;
}

/**
 * How much of --gateway-memory is for pages, references and bookkeeping. In the paired arrangement
 * connections and threads have buffers too, measured by `npm run bench -- --only resident-memory`.
 */
export function storeBytesMax(options: Pick<MigrateOptions, 'far' | 'gatewayMemoryBytesMax'>): number {
  const { gatewayMemoryBytesMax } = options;
  const far = farGateway(options.far);
  if (far === null) return gatewayMemoryBytesMax;
  const buffers = THREAD_BYTES + far.connections * LANE_BYTES + far.workers * WORKER_BYTES;
  return Math.floor(Math.max(gatewayMemoryBytesMax - buffers, gatewayMemoryBytesMax * STORE_SHARE_MIN));
}

/** "qmp:/run/a.qmp" -> "/run/a.qmp". Errors: USAGE_ENDPOINT. */
export function parseQmpEndpoint(text: string): string {
  const match = /^qmp:(.+)$/.exec(text);
  if (!match) {
    throw new GodwitError('USAGE_ENDPOINT', `"${text}" does not name a QEMU`, {
      hint: 'write qmp:/path/of/the/qmp.sock',
    });
  }
  return path.resolve(match[1]!);
}
