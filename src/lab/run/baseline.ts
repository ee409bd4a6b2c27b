/**
 * Plain QEMU migration over the shaped link, no gateway: what godwit is compared with, each peer set up as
 * QEMU's own documentation says is best. Not responsible for booting the pair, nor for judging the result
 * (checks.ts).
 */

import { sleep } from '../../base/index.ts';
import {
  type MigrationInfo,
  migrate,
  migrateCancel,
  migrateIncoming,
  migrateSetCapabilities,
  migrateSetParameters,
  migrateStartPostcopy,
  type ParameterValue,
  queryMigrate,
  queryStatus,
} from '../../qmp/index.ts';
import { type MoveMeasure, observeMove, type Pair } from './move.ts';

export const BASELINES = [
  'qemu-precopy',
  'qemu-precopy-relaxed',
  'qemu-auto-converge',
  'qemu-xbzrle',
  'qemu-multifd-zstd',
  'qemu-postcopy',
] as const;
export type Baseline = (typeof BASELINES)[number];

/** QEMU's own default downtime limit. */
export const DOWNTIME_LIMIT_MS_DEFAULT = 300;

export interface BaselineOptions {
  readonly baseline: Baseline;
  /** Raised for `qemu-precopy-relaxed`. Default 300. */
  readonly downtimeLimitMs?: number;
  /** After this the migration is cancelled and counts as timed out. */
  readonly timeLimitMs: number;
  readonly memoryBytes: number;
  readonly onProgress?: (progress: BaselineProgress) => void;
  /** The destination was started with `-S`: it is there once it has loaded, and nothing runs. */
  readonly arrivesPaused?: boolean;
  /** The same, and this is what happens then; it should start the VM. */
  readonly onArrival?: () => Promise<void>;
  /** Cancels the migration, which is then reported as cancelled. */
  readonly signal?: AbortSignal;
}

/** What QEMU says about a running migration; null where it does not say (yet). */
export interface BaselineProgress {
  readonly elapsedMs: number;
  /** QEMU's dirty-sync-count. */
  readonly iteration: number;
  readonly remainingBytes: number | null;
  readonly dirtyBytesPerSecond: number | null;
  readonly transferredBytes: number | null;
  /** Over the last second. */
  readonly sentBytesPerSecond: number | null;
}

/**
 * One of QEMU's passes, from polling: figures lag by up to POLL_MS, and passes shorter than that are missing.
 */
export interface BaselineIteration {
  readonly index: number;
  readonly startMs: number;
  /** What the dirty sync left to send. */
  readonly dirtyPages: number;
  readonly sentPages: number;
  readonly sentBytes: number;
  readonly heldPages: 0;
}

export type Outcome = 'completed' | 'failed' | 'timed-out' | 'cancelled';

export interface BaselineReport extends MoveMeasure {
  readonly outcome: Outcome;
  /** Why it did not complete. */
  readonly reason: string | null;
  readonly downtimeLimitMs: number;
  readonly iterations: readonly BaselineIteration[];
  /** What QEMU itself calls downtime: until its socket has the bytes. */
  readonly downtimeByQemuMs: number | null;
  /** Highest share of vCPU time that auto-converge took away, 0..0.99. */
  readonly throttleMax: number;
}

const POLL_MS = 100;
const RATE_WINDOW_MS = 1000;
const CANCEL_TIMEOUT_MS = 15_000;
// QEMU's default max-bandwidth would leave a faster link idle.
const QEMU_BANDWIDTH_DEFAULT = 128 * 1024 * 1024;
// QEMU answers nothing while it sends the rest, however long that takes.
const FINAL_STAGE = { timeoutMs: null };

/** Migrates the pair and waits for the end, whichever it is. A failed migration is a report, not an error. */
export async function runBaseline(pair: Pair, options: BaselineOptions): Promise<BaselineReport> {
  const downtimeLimitMs = options.downtimeLimitMs ?? DOWNTIME_LIMIT_MS_DEFAULT;
  const port = await pair.network.openPort();
  await configure(pair, options, downtimeLimitMs);
  const observer = observeMove(pair);
  await migrateIncoming(pair.destination.qmp, `tcp:${port.listen.host}:${port.listen.port}`);
  await observer.start();
  await migrate(pair.source.qmp, `tcp:${port.connect.host}:${port.connect.port}`);
  const follower = new Follower(pair, options, () => observer.elapsedMs());
  const { outcome, reason } = await follower.follow();
  const endedAtMs = observer.elapsedMs();
  const measure = await observer.finish();
  // After post-copy's switch the destination runs, but needs the source until its last page has come.
  const late = options.baseline === 'qemu-postcopy' && measure.totalMigrationTimeMs !== null;
  const totalMigrationTimeMs = late ? endedAtMs : measure.totalMigrationTimeMs;
  return { ...measure, ...follower.figures(), outcome, reason, totalMigrationTimeMs, downtimeLimitMs };
}

async function configure(pair: Pair, options: BaselineOptions, downtimeLimitMs: number): Promise<void> {
  const capabilities = new Map([['events', true]]);
  const parameters = new Map<string, ParameterValue>();
  if (pair.network.linkBytesPerSecond * 1.1 > QEMU_BANDWIDTH_DEFAULT) {
    parameters.set('max-bandwidth', Math.round(pair.network.linkBytesPerSecond * 4));
  }
  switch (options.baseline) {
    case 'qemu-auto-converge':
      capabilities.set('auto-converge', true);
      break;
    case 'qemu-xbzrle':
      capabilities.set('xbzrle', true);
      // docs/xbzrle.txt: the cache should be as large as possible, and a power of two.
      parameters.set('xbzrle-cache-size', 2 ** Math.ceil(Math.log2(options.memoryBytes)));
      break;
    case 'qemu-multifd-zstd':
      capabilities.set('multifd', true);
      parameters.set('multifd-compression', 'zstd');
      break;
    case 'qemu-postcopy':
      capabilities.set('postcopy-ram', true);
      break;
  }
  for (const { qmp } of [pair.source, pair.destination]) {
    await migrateSetCapabilities(qmp, capabilities);
    if (parameters.size > 0) await migrateSetParameters(qmp, parameters);
  }
  await migrateSetParameters(pair.source.qmp, new Map([['downtime-limit', downtimeLimitMs]]));
}

interface Sent {
  readonly pages: number;
  readonly bytes: number;
}

interface BaselineEnd {
  readonly outcome: Outcome;
  readonly reason: string | null;
}

/** Polls one running migration to its end. */
class Follower {
  readonly #pair: Pair;
  readonly #options: BaselineOptions;
  readonly #elapsedMs: () => number;
  readonly #starts: { index: number; startMs: number; dirtyPages: number; before: Sent }[] = [];
  readonly #window: { atMs: number; bytes: number }[] = [];
  #sent: Sent = { pages: 0, bytes: 0 };
  #throttleMax = 0;
  #downtimeByQemuMs: number | null = null;
  #postcopyAsked = false;

  constructor(pair: Pair, options: BaselineOptions, elapsedMs: () => number) {
    this.#pair = pair;
    this.#options = options;
    this.#elapsedMs = elapsedMs;
  }

  async follow(): Promise<BaselineEnd> {
    for (;;) {
      const info = await queryMigrate(this.#pair.source.qmp, FINAL_STAGE);
      this.#note(info);
      const ending = (await this.#endingOf(info)) ?? (await this.#endingByUs());
      if (ending !== null) return ending;
      await this.#maybePostcopy(info);
      await sleep(POLL_MS);
    }
  }

  figures(): Pick<BaselineReport, 'iterations' | 'throttleMax' | 'downtimeByQemuMs'> {
    const iterations = this.#starts.map(({ index, startMs, dirtyPages, before }, at) => {
      const after = this.#starts[at + 1]?.before ?? this.#sent;
      return {
        index,
        startMs: Math.round(startMs),
        dirtyPages,
        sentPages: after.pages - before.pages,
        sentBytes: after.bytes - before.bytes,
        heldPages: 0 as const,
      };
    });
    return { iterations, throttleMax: this.#throttleMax, downtimeByQemuMs: this.#downtimeByQemuMs };
  }

  async #endingOf(info: MigrationInfo): Promise<BaselineEnd | null> {
    if (info.status === 'completed') return this.#destinationRuns();
    if (info.status === 'failed')
      return { outcome: 'failed', reason: info.errorDesc ?? 'QEMU gave no reason' };
    const destination = this.#pair.destination.process;
    if (destination.ending() === null) return null;
    return { outcome: 'failed', reason: `the destination ended: ${destination.stderr().trim()}` };
  }

  /**
   * Post-copy has no way back, and a migration may complete while it is being cancelled; in both cases it
   * goes on.
   */
  async #endingByUs(): Promise<BaselineEnd | null> {
    const aborted = this.#options.signal?.aborted === true;
    if (!aborted && this.#elapsedMs() <= this.#options.timeLimitMs) return null;
    if (!(await this.#cancel())) return null;
    if (aborted) return { outcome: 'cancelled', reason: 'interrupted' };
    const seconds = Math.round(this.#options.timeLimitMs / 1000);
    return { outcome: 'timed-out', reason: `not converged after ${seconds} s` };
  }

  async #destinationRuns(): Promise<BaselineEnd> {
    const deadlineMs = performance.now() + CANCEL_TIMEOUT_MS;
    while (performance.now() < deadlineMs) {
      const { running, status } = await queryStatus(this.#pair.destination.qmp);
      const { arrivesPaused, onArrival } = this.#options;
      const arrived = arrivesPaused || onArrival ? status !== 'inmigrate' : running;
      if (arrived) await onArrival?.();
      if (arrived) return { outcome: 'completed', reason: null };
      await sleep(5);
    }
    return { outcome: 'failed', reason: 'the source says completed, the destination does not run' };
  }

  /** False if the migration completed all the same. */
  async #cancel(): Promise<boolean> {
    const { qmp } = this.#pair.source;
    await migrateCancel(qmp, FINAL_STAGE);
    const deadlineMs = performance.now() + CANCEL_TIMEOUT_MS;
    while (performance.now() < deadlineMs) {
      const { status } = await queryMigrate(qmp, FINAL_STAGE);
      if (status === 'completed') return false;
      if (status === 'cancelled' || status === 'failed') return true;
      await sleep(20);
    }
    return true;
  }

  /** As QEMU's documentation advises: one pass of pre-copy, then the switch. */
  async #maybePostcopy(info: MigrationInfo): Promise<void> {
    if (this.#options.baseline !== 'qemu-postcopy' || this.#postcopyAsked) return;
    if ((info.ram?.dirtySyncCount ?? 0) < 2) return;
    this.#postcopyAsked = true;
    await migrateStartPostcopy(this.#pair.source.qmp);
  }

  #note(info: MigrationInfo): void {
    const elapsedMs = this.#elapsedMs();
    this.#throttleMax = Math.max(this.#throttleMax, (info.cpuThrottlePercent ?? 0) / 100);
    this.#downtimeByQemuMs = info.downtimeMs ?? this.#downtimeByQemuMs;
    const ram = info.ram;
    if (ram !== null) {
      const index = ram.dirtySyncCount - 1;
      this.#sent = { pages: ram.zeroPages + ram.normalPages, bytes: ram.transferredBytes };
      if (index > (this.#starts.at(-1)?.index ?? -1)) {
        const dirtyPages = Math.round(ram.remainingBytes / ram.pageSizeBytes);
        const before = index === 0 ? { pages: 0, bytes: 0 } : this.#sent;
        this.#starts.push({ index, startMs: elapsedMs, dirtyPages, before });
      }
      this.#window.push({ atMs: elapsedMs, bytes: ram.transferredBytes });
      while (this.#window.length > 2 && elapsedMs - this.#window[1]!.atMs >= RATE_WINDOW_MS)
        this.#window.shift();
    }
    this.#options.onProgress?.({
      elapsedMs,
      iteration: ram?.dirtySyncCount ?? 0,
      remainingBytes: ram?.remainingBytes ?? null,
      dirtyBytesPerSecond:
        ram === null || ram.dirtyPagesPerSecond === null ? null : ram.dirtyPagesPerSecond * ram.pageSizeBytes,
      transferredBytes: ram?.transferredBytes ?? null,
      sentBytesPerSecond: this.#sentRate(),
    });
  }

  #sentRate(): number | null {
    const first = this.#window[0];
    const last = this.#window.at(-1);
    if (!first || !last || last.atMs - first.atMs < RATE_WINDOW_MS / 2) return null;
    return ((last.bytes - first.bytes) / (last.atMs - first.atMs)) * 1000;
  }
}
