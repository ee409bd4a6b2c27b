/**
 * The contestants of the live benchmarks: plain QEMU over the shaped link, and godwit with a gateway on each
 * side of it. One run is a fresh pair of VMs, booted, moved and checked by the lab. Not responsible for
 * which rows there are.
 */

import { fileURLToPath } from 'node:url';
import { MIB, median } from '../../src/base/index.ts';
import type { FarOptions, MigrationReport } from '../../src/controller/index.ts';
import {
  type Baseline,
  type GuestOptions,
  gatewayMigrator,
  hostsOnOwnCores,
  type Network,
  openNetwork,
  pinSelf,
  type RunRecord,
  runContest,
  withMachineLock,
} from '../../src/lab/index.ts';
import type { Arrangement } from '../../src/vm/index.ts';
import type { BenchOptions } from '../registry.ts';

const GODWIT = fileURLToPath(new URL('../../bin/godwit.mjs', import.meta.url));
const CONNECTIONS = 2;
const LINK_TIMEOUT_MS = 60_000;
const DOWNTIME_LIMIT_MS = 300;
const RELAXED_LIMIT_MS_MAX = 64 * DOWNTIME_LIMIT_MS;
/** Plain pre-copy, with whatever limit it needs. */
export const PRECOPY = 'qemu-precopy-relaxed';

/** A guest and the link it has to cross. */
export interface Course {
  readonly memoryBytes: number;
  readonly linkBytesPerSecond: number;
  readonly guest: Partial<GuestOptions> & Pick<GuestOptions, 'workload' | 'seed'>;
  readonly strategy: string;
  readonly workers: number;
  readonly arrangement: Arrangement;
}

export interface Run {
  readonly record: RunRecord;
  /**
   * The record's; where the rule stopped because what was left fits the limit, that limit
   * is what was promised.
   */
  readonly success: boolean;
  /** godwit's own account; null for plain QEMU. */
  readonly report: MigrationReport | null;
  /** From QMP `migrate` to the destination running; null if it never ran. */
  readonly totalMs: number | null;
  readonly downtimeMs: number | null;
  readonly transferredBytes: number;
}

/**
 * A gateway on the destination host, started as ssh would start it, but by a prefix that
 * enters that host's namespace.
 */
export function farOptions(network: Network, dataAddress: string, workers: number): FarOptions {
  return {
    reach: { command: network.destination.command([]), host: null },
    remoteCommand: [process.execPath, GODWIT],
    dataAddress,
    connections: CONNECTIONS,
    workers,
    linkTimeoutMs: LINK_TIMEOUT_MS,
  };
}

/** Runs are told apart by their seeds; contestants of one round have the same. */
export class Arena {
  readonly network: Network;
  readonly #course: Course;
  readonly #options: BenchOptions;

  private constructor(network: Network, course: Course, options: BenchOptions) {
    this.network = network;
    this.#course = course;
    this.#options = options;
  }

  static async open(course: Course, options: BenchOptions): Promise<Arena> {
    const network = hostsOnOwnCores(await openNetwork({ linkBytesPerSecond: course.linkBytesPerSecond }));
    await pinSelf(network.source.cores);
    return new Arena(network, course, options);
  }

  close(): Promise<void> {
    return this.network.close();
  }

  /** QEMU without gateways, by the name that the lab gives its set-up. */
  async plain(
    round: number,
    downtimeLimitMs: number,
    timeLimitMs: number,
    baseline: Baseline = PRECOPY,
  ): Promise<Run> {
    const record = await this.#contest(baseline, round, downtimeLimitMs, timeLimitMs, null);
    const run = {
      record,
      success: record.success,
      report: null,
      totalMs: record.totalMigrationTimeMs,
      downtimeMs: record.downtimeMs,
      transferredBytes: record.transferredBytes,
    };
    return this.#tell(`${baseline}, limit ${downtimeLimitMs} ms`, run);
  }

  /** godwit, with a gateway on both hosts or on the source's alone. */
  async godwit(round: number, timeLimitMs: number): Promise<Run> {
    const { arrangement, strategy, workers } = this.#course;
    let report: MigrationReport | null = null;
    const migrator = gatewayMigrator({
      far: ({ destination }) =>
        arrangement === 'single' ? null : farOptions(this.network, destination.listen.host, workers),
      onReport: (told) => {
        report = told;
      },
    });
    const record = await this.#contest(strategy, round, DOWNTIME_LIMIT_MS, timeLimitMs, migrator);
    const told = report as MigrationReport | null;
    return this.#tell(`godwit ${strategy}, ${arrangement}`, {
      record,
      success: record.success || keptLimit(record),
      report: told,
      // The lab's clock starts with godwit, this one with `migrate`, as plain QEMU's does: starting the
      // far gateway is `setupMs`.
      totalMs: told?.totalMigrationTimeMs ?? null,
      downtimeMs: record.downtimeMs,
      transferredBytes: record.transferredBytes,
    });
  }

  #contest(
    strategy: string,
    round: number,
    downtimeLimitMs: number,
    timeLimitMs: number,
    migrator: Parameters<typeof runContest>[0]['migrator'],
  ): Promise<RunRecord> {
    const { guest, memoryBytes } = this.#course;
    const run = () =>
      runContest({
        network: this.network,
        guest: { ...guest, seed: guest.seed + round },
        memoryBytes,
        disk: 'none',
        strategy,
        parameters: {},
        migrator,
        downtimeLimitMs,
        timeLimitMs,
        signal: AbortSignal.timeout(Math.ceil(2 * timeLimitMs) + 60_000),
      });
    const { lockPath } = this.#options;
    return lockPath === null ? run() : withMachineLock({ path: lockPath }, run);
  }

  #tell(who: string, run: Run): Run {
    const { record, success, report, totalMs, downtimeMs, transferredBytes } = run;
    const ms = (value: number | null) => (value === null ? '-' : `${value.toFixed(0)} ms`);
    const complaints = record.checks.flatMap(({ complaints: said }) => said).join('; ');
    this.#options.log(
      `  ${who}: ${success ? record.outcome : `FAILED (${record.reason ?? complaints})`}, ` +
        `total ${ms(totalMs)}, down ${ms(downtimeMs)}, ${(transferredBytes / MIB).toFixed(1)} MiB on the link` +
        (record.decision === null ? '' : `\n    ${record.decision.rule}: ${record.decision.text}`) +
        (report === null ? '' : `\n    ${JSON.stringify(report.stopAndCopy)}`),
    );
    return run;
  }
}

/**
 * The lab holds a strategy without a limit of its own to its prediction. Of a few milliseconds a prediction
 * is easily off by half, and it was not what the decision rested on.
 */
function keptLimit({ outcome, checks, decision, downtimeMs }: RunRecord): boolean {
  const fits = decision?.rule === 'fits-limit' && downtimeMs !== null && downtimeMs <= DOWNTIME_LIMIT_MS;
  const onlyPrediction = checks.every(
    ({ id, holds, complaints }) =>
      holds || (id === 'limits' && complaints.every((said) => said.startsWith('measured / predicted'))),
  );
  return outcome === 'completed' && fits && onlyPrediction;
}

export interface Relaxed {
  readonly limitMs: number;
  /** How it was found. */
  readonly how: string;
}

/**
 * The smallest 300 ms x 2^n with which the baseline ends within `timeLimitMs`. The search starts at
 * half of what the hot set needs; where that does not end, what it needs is taken to do, for the
 * runs themselves show it.
 */
export async function relaxedLimit(
  arena: Arena,
  hotBytes: number,
  timeLimitMs: number,
  baseline: Baseline = PRECOPY,
): Promise<Relaxed> {
  const { linkBytesPerSecond } = arena.network;
  let limitMs = DOWNTIME_LIMIT_MS;
  while ((limitMs * linkBytesPerSecond) / 1000 < hotBytes && limitMs < RELAXED_LIMIT_MS_MAX) limitMs *= 2;
  const ends = async (milliseconds: number) =>
    (await arena.plain(CALIBRATION_ROUND, milliseconds, timeLimitMs, baseline)).record.success;
  while (limitMs > DOWNTIME_LIMIT_MS && (await ends(limitMs / 2))) limitMs /= 2;
  const how = `${limitMs / 2} ms did not end within ${(timeLimitMs / 1000).toFixed(0)} s`;
  return { limitMs, how: limitMs === DOWNTIME_LIMIT_MS ? 'the default ends' : how };
}

const CALIBRATION_ROUND = 1000;

/** Median of what is known; null where nothing is. */
export function middle(values: readonly (number | null)[]): number | null {
  return median(values.filter((value) => value !== null));
}
