/**
 * QMP's commands about the VM itself, typed as far as we use them (QEMU:
 * qapi/{run-state,machine,block-core,qom,pci,char}.json). Not responsible for what the answers mean for a
 * migration (compare.ts).
 */

import { z } from 'zod';
import { errorCode } from '../base/index.ts';
import type { ExecuteOptions, QmpExecutor } from './client.ts';
import { ask, tell } from './reply.ts';

/** A cap on every list that QEMU returns, far above real machines. */
const ENTRIES_MAX = 100_000;

/** QEMU's RunState; a newer QEMU may add words, hence `string`. */
export type RunState =
  | 'debug'
  | 'inmigrate'
  | 'internal-error'
  | 'io-error'
  | 'paused'
  | 'postmigrate'
  | 'prelaunch'
  | 'finish-migrate'
  | 'restore-vm'
  | 'running'
  | 'save-vm'
  | 'shutdown'
  | 'suspended'
  | 'watchdog'
  | 'guest-panicked'
  | 'colo'
  | (string & {});

export interface VmStatus {
  readonly status: RunState;
  readonly running: boolean;
}

export async function queryStatus(qemu: QmpExecutor, options?: ExecuteOptions): Promise<VmStatus> {
  return ask(qemu, z.object({ status: z.string(), running: z.boolean() }), 'query-status', {}, options);
}

export async function stop(qemu: QmpExecutor, options?: ExecuteOptions): Promise<void> {
  await tell(qemu, 'stop', {}, options);
}

/** An `ok` does not prove a running VM (a locked image): ask queryStatus. */
export async function cont(qemu: QmpExecutor, options?: ExecuteOptions): Promise<void> {
  await tell(qemu, 'cont', {}, options);
}

/** Ends QEMU. A connection that closes instead of answering counts as done. */
export async function quit(qemu: QmpExecutor, options?: ExecuteOptions): Promise<void> {
  try {
    await tell(qemu, 'quit', {}, options);
  } catch (error) {
    if (errorCode(error) !== 'QMP_CLOSED') throw error;
  }
}

/** The `-name` of the VM; null without one. */
export async function queryName(qemu: QmpExecutor): Promise<string | null> {
  const reply = await ask(qemu, z.object({ name: z.string().optional() }), 'query-name');
  return reply.name ?? null;
}

export async function queryUuid(qemu: QmpExecutor): Promise<string> {
  return (await ask(qemu, z.object({ UUID: z.string() }), 'query-uuid')).UUID;
}

export async function queryKvm(qemu: QmpExecutor): Promise<{ enabled: boolean; present: boolean }> {
  return ask(qemu, z.object({ enabled: z.boolean(), present: z.boolean() }), 'query-kvm');
}

const cpuSchema = z
  .array(
    z.object({
      'cpu-index': z.number(),
      'qom-path': z.string(),
      'thread-id': z.number(),
      props: z.record(z.string(), z.union([z.number(), z.string()])).optional(),
    }),
  )
  .max(ENTRIES_MAX);

export interface VmCpu {
  readonly index: number;
  readonly qomPath: string;
  /** Host thread of this vCPU: names the QEMU process in /proc. */
  readonly threadId: number;
  readonly topology: Readonly<Record<string, number | string>>;
}

export async function queryCpusFast(qemu: QmpExecutor): Promise<readonly VmCpu[]> {
  const list = await ask(qemu, cpuSchema, 'query-cpus-fast');
  return list.map((cpu) => ({
    index: cpu['cpu-index'],
    qomPath: cpu['qom-path'],
    threadId: cpu['thread-id'],
    topology: cpu.props ?? {},
  }));
}

const blockSchema = z
  .array(
    z.object({
      device: z.string(),
      qdev: z.string().optional(),
      inserted: z
        .object({
          file: z.string(),
          drv: z.string(),
          ro: z.boolean(),
          'node-name': z.string().optional(),
          'dirty-bitmaps': z
            .array(z.object({ name: z.string().optional(), persistent: z.boolean().optional() }))
            .max(ENTRIES_MAX)
            .optional(),
        })
        .optional(),
    }),
  )
  .max(ENTRIES_MAX);

export interface BlockDevice {
  /** Drive name or, without one, the QOM path of the guest device. */
  readonly id: string;
  /** Null for an empty removable drive. */
  readonly inserted: BlockMedium | null;
}

export interface BlockMedium {
  readonly file: string;
  readonly driver: string;
  readonly readOnly: boolean;
  /** Dirty bitmaps with a name that live in QEMU's memory only. */
  readonly volatileBitmaps: readonly string[];
}

const nodeSchema = z
  .array(
    z.object({
      image: z.object({ 'virtual-size': z.number().nonnegative() }),
      'dirty-bitmaps': z
        .array(z.object({ name: z.string().optional(), granularity: z.number().positive() }))
        .max(ENTRIES_MAX)
        .optional(),
    }),
  )
  .max(ENTRIES_MAX);

/** Bits of all dirty bitmaps with a name: one for each `granularity` bytes of their disks. */
export async function queryBitmapBits(qemu: QmpExecutor): Promise<number> {
  const nodes = await ask(qemu, nodeSchema, 'query-named-block-nodes');
  const bits = nodes.flatMap((node) =>
    (node['dirty-bitmaps'] ?? []).map(({ name = '', granularity }) =>
      name === '' ? 0 : Math.ceil(node.image['virtual-size'] / granularity),
    ),
  );
  return bits.reduce((sum, one) => sum + one, 0);
}

/** Background work on disks: "mirror", "commit", "stream", "backup". */
export interface BlockJob {
  readonly id: string;
  readonly type: string;
  /** It has caught up and waits to be completed. */
  readonly isReady: boolean;
}

export async function queryBlockJobs(qemu: QmpExecutor): Promise<readonly BlockJob[]> {
  const schema = z
    .array(z.object({ device: z.string(), type: z.string(), ready: z.boolean() }))
    .max(ENTRIES_MAX);
  const list = await ask(qemu, schema, 'query-block-jobs');
  return list.map(({ device, type, ready }) => ({ id: device, type, isReady: ready }));
}

export async function queryBlock(qemu: QmpExecutor): Promise<readonly BlockDevice[]> {
  const list = await ask(qemu, blockSchema, 'query-block');
  return list.map((device) => ({
    // The QOM path names the guest's device, which both ends share; drive names are each QEMU's own.
    id: device.qdev ?? device.device,
    inserted: device.inserted
      ? {
          file: device.inserted.file,
          driver: device.inserted.drv,
          readOnly: device.inserted.ro,
          volatileBitmaps: (device.inserted['dirty-bitmaps'] ?? []).flatMap(({ name = '', persistent }) =>
            name === '' || persistent === true ? [] : [name],
          ),
        }
      : null,
  }));
}

export interface CharacterDevice {
  readonly label: string;
  readonly filename: string;
}

export async function queryChardev(qemu: QmpExecutor): Promise<readonly CharacterDevice[]> {
  return ask(
    qemu,
    z.array(z.object({ label: z.string(), filename: z.string() })).max(ENTRIES_MAX),
    'query-chardev',
  );
}

export interface QomProperty {
  readonly name: string;
  /** For an object it is `child<TYPE>`. */
  readonly type: string;
}

export async function qomList(qemu: QmpExecutor, path: string): Promise<readonly QomProperty[]> {
  const schema = z.array(z.object({ name: z.string(), type: z.string() })).max(ENTRIES_MAX);
  return ask(qemu, schema, 'qom-list', { path });
}

/** The property's value, unchecked. */
export async function qomGet(qemu: QmpExecutor, path: string, property: string): Promise<unknown> {
  return qemu.execute('qom-get', { path, property });
}

export async function deviceListProperties(qemu: QmpExecutor, typename: string): Promise<readonly string[]> {
  const schema = z.array(z.object({ name: z.string() })).max(ENTRIES_MAX);
  return (await ask(qemu, schema, 'device-list-properties', { typename })).map(({ name }) => name);
}

/** The text of a human-monitor command; for facts that QMP does not carry (`info ramblock`). */
export async function humanMonitorCommand(qemu: QmpExecutor, commandLine: string): Promise<string> {
  return ask(qemu, z.string(), 'human-monitor-command', { 'command-line': commandLine });
}
