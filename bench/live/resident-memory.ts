/**
 * Resident memory of a migration under --gateway-memory, as the kernel counts it for every process of it, on
 * both sides, while a guest much larger than the cap moves. Not responsible for how the cap is kept.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { errorMessage, MIB, sleep } from '../../src/base/index.ts';
import {
  type LabProcess,
  type Network,
  openNetwork,
  openPair,
  pinSelf,
  startProcess,
  verifyGuest,
  withMachineLock,
} from '../../src/lab/index.ts';
import type { BenchOptions } from '../registry.ts';
import { farOptions } from './contestants.ts';
import type { ProcessAnswer, ProcessRequest } from './migrate-process.ts';

const CAP_BYTES = 256 * MIB;
/** What the runtime takes besides, by the promise. */
const ALLOWANCE_BYTES = 128 * MIB;
const LINK_BYTES_PER_SECOND = 125e6;
const TIME_LIMIT_MS = 120_000;
const POLL_MS = 100;
const MIGRATE = fileURLToPath(new URL('./migrate-process.ts', import.meta.url));

/**
 * Incompressible, and one word a page is written in a region larger than the cap: copies to send deltas
 * against are in demand.
 */
const GUEST = {
  workload: 'stress',
  body: 'random',
  fillBytes: 768 * MIB,
  hotBytes: 384 * MIB,
  rateBytesPerSecond: 40 * MIB,
  seed: 7101,
} as const;

/** Highest figures seen of one process. */
interface Peak {
  readonly residentBytes: number;
  /** Of it: the runtime's program and libraries, which processes share. */
  readonly fileBytes: number;
}

export async function residentMemory(options: BenchOptions): Promise<Record<string, unknown>> {
  await pinSelf();
  const network = await openNetwork({ linkBytesPerSecond: LINK_BYTES_PER_SECOND });
  try {
    const run = () => measure(network, options.quick ? 1024 * MIB : 4096 * MIB, options);
    return await (options.lockPath === null ? run() : withMachineLock({ path: options.lockPath }, run));
  } finally {
    await network.close();
  }
}

async function measure(network: Network, memoryBytes: number, options: BenchOptions) {
  const pair = await openPair({ network, memoryBytes, guest: GUEST });
  try {
    const destination = await network.openPort();
    const asked: ProcessRequest = {
      request: {
        strategy: 'adaptive',
        parameters: {},
        sourceQmpPath: pair.source.controlPath,
        destinationQmpPath: pair.destination.controlPath,
        destination,
        linkBytesPerSecond: LINK_BYTES_PER_SECOND,
        downtimeLimitMs: 300,
        timeLimitMs: TIME_LIMIT_MS,
        folder: pair.folder,
      },
      far: farOptions(network, destination.listen.host, 1),
      gatewayMemoryBytesMax: CAP_BYTES,
    };
    const migration = await startProcess([process.execPath, '--no-warnings', MIGRATE, JSON.stringify(asked)]);
    const [answer, peaks] = await Promise.all([answerOf(migration), watchPeaks(migration)]);
    options.log(
      `  ${answer.outcome}, ${answer.reason ?? answer.report?.decision?.text ?? 'no reason given'}`,
    );
    const moved = answer.outcome === 'completed' && (await verifyGuest(pair.destination)).badPages === 0;
    const peakBytes = Math.max(0, ...[...peaks.values()].map(({ residentBytes }) => residentBytes));
    return {
      success:
        moved && peaks.has('migrate') && peaks.has('receive') && peakBytes <= CAP_BYTES + ALLOWANCE_BYTES,
      peakBytes,
      capBytes: CAP_BYTES,
      overCapBytes: peakBytes - CAP_BYTES,
      processes: Object.fromEntries(peaks),
      moved,
      reason: answer.reason,
      guestMemoryBytes: memoryBytes,
      guest: GUEST,
      totalMs: answer.report?.totalMigrationTimeMs ?? null,
      downtimeMs: answer.report?.downtimeMs ?? null,
      transferredBytes: answer.report?.transferredBytes ?? null,
      decision: answer.report?.decision?.rule ?? null,
      linkBytesPerSecond: LINK_BYTES_PER_SECOND,
      linkKind: network.kind,
    };
  } finally {
    await pair.close();
  }
}

async function answerOf(migration: LabProcess): Promise<ProcessAnswer> {
  let told = '';
  migration.child.stdout?.setEncoding('utf8').on('data', (text) => {
    told += text;
  });
  const ending = await migration.exited;
  try {
    return JSON.parse(told) as ProcessAnswer;
  } catch (error) {
    const reason = `${ending}, ${errorMessage(error)}: ${migration.stderr()}`;
    return { outcome: 'failed', reason, report: null };
  }
}

/**
 * The highest of each kind of process, until the migration ends: the kernel keeps a process's own peak, so
 * polling misses only its last moments.
 */
async function watchPeaks(migration: LabProcess): Promise<Map<string, Peak>> {
  const peaks = new Map<string, Peak>();
  while (migration.ending() === null) {
    for (const { pid, name } of family(migration.pid)) {
      const status = read(`/proc/${pid}/status`);
      const residentBytes = kibibytes(status, 'VmHWM');
      const before = peaks.get(name);
      if (residentBytes === null || (before && before.residentBytes >= residentBytes)) continue;
      peaks.set(name, { residentBytes, fileBytes: kibibytes(status, 'RssFile') ?? 0 });
    }
    await sleep(POLL_MS);
  }
  return peaks;
}

/**
 * The process and all that descend from it, the far gateway among them: it is started through a prefix,
 * not through a daemon.
 */
function family(root: number): { readonly pid: number; readonly name: string }[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = read(`/proc/${entry}/status`)?.match(/^PPid:\s+(\d+)$/m)?.[1];
    if (parent !== undefined) parents.set(Number(entry), Number(parent));
  }
  const belongs = (pid: number): boolean => pid === root || (parents.has(pid) && belongs(parents.get(pid)!));
  return [...parents.keys()].filter(belongs).map((pid) => ({ pid, name: nameOf(pid) }));
}

function nameOf(pid: number): string {
  const words = read(`/proc/${pid}/cmdline`) ?? '';
  if (words.includes('migrate-process')) return 'migrate';
  return ['receive', 'guardian'].find((name) => words.includes(name)) ?? 'others';
}

function kibibytes(status: string | null, field: string): number | null {
  const digits = status?.match(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm'))?.[1];
  return digits === undefined ? null : Number(digits) * 1024;
}

/** A process may end between two looks. */
function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
