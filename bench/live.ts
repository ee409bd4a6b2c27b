/**
 * godwit between two hosts against plain QEMU over the same shaped link, in the same run: fresh pairs
 * of VMs, booted, moved and verified by the lab. Not responsible for contestants
 * (live/contestants.ts) nor bounds (live/bounds.ts).
 */

import { MIB } from '../src/base/index.ts';
import type { Baseline } from '../src/lab/index.ts';
import { rowBounds } from './live/bounds.ts';
import {
  Arena,
  type Course,
  middle,
  PRECOPY,
  type Relaxed,
  type Run,
  relaxedLimit,
} from './live/contestants.ts';
import { residentMemory } from './live/resident-memory.ts';
import type { Bench, BenchOptions } from './registry.ts';

const STRATEGY = 'adaptive';
const ROUNDS = 3;
/** Rows without a figure to reach. */
const ROUNDS_REPORTED = 2;
const CLEAN_ROUNDS = 5;
const TIME_LIMIT_MS = 60_000;
const DEFAULT_LIMIT_MS = 300;
/**
 * A calibration that has not ended in this many times RAM / B does not end: a pass of its hot set takes
 * a quarter of one.
 */
const CALIBRATION_PASSES = 2.5;
/** Faster than two cores move memory: as good as no link at all. */
const UNSHAPED_BYTES_PER_SECOND = 5e9;

/** Seeds here are for measuring; rules are tuned on others. */
const SEED = 7001;

const paired = { strategy: STRATEGY, workers: 1, arrangement: 'paired' } as const;
const slow = { ...paired, memoryBytes: 256 * MIB, linkBytesPerSecond: 25e6 } as const;
const fast = { ...paired, memoryBytes: 512 * MIB, linkBytesPerSecond: 125e6 } as const;

const slowGuest = { fillBytes: 192 * MIB, hotBytes: 64 * MIB, rateBytesPerSecond: 80 * MIB, seed: SEED };
const fastGuest = { fillBytes: 384 * MIB, hotBytes: 192 * MIB, rateBytesPerSecond: 400 * MIB, seed: SEED };

const stress: Course = { ...slow, guest: { ...slowGuest, workload: 'stress', body: 'text' } };
/** As `stress --vm` leaves its memory: zeros around the word. */
const stressZero: Course = { ...slow, guest: { ...slowGuest, workload: 'stress', body: 'zero' } };
const stressRandom: Course = { ...slow, guest: { ...slowGuest, workload: 'stress', body: 'random' } };
const uniform: Course = { ...slow, guest: { ...slowGuest, workload: 'uniform', body: 'random' } };
const zipf: Course = { ...slow, guest: { ...slowGuest, workload: 'zipf', body: 'random' } };
const mixed: Course = { ...slow, guest: { ...slowGuest, workload: 'mixed', body: 'text' } };
const stressFast: Course = { ...fast, guest: { ...fastGuest, workload: 'stress', body: 'text' } };
const single = { strategy: STRATEGY, workers: 1, arrangement: 'single' } as const;
const stressSingle: Course = { ...stress, ...single };
const stressSingleZero: Course = { ...stressZero, ...single };
const idle: Course = {
  ...fast,
  memoryBytes: 128 * MIB,
  guest: { workload: 'idle', fillBytes: 64 * MIB, seed: SEED },
};

async function inArena<Result>(
  course: Course,
  options: BenchOptions,
  work: (arena: Arena) => Promise<Result>,
): Promise<Result> {
  const arena = await Arena.open(course, options);
  try {
    return await work(arena);
  } finally {
    await arena.close();
  }
}

/** An idle guest has nothing dirty: what is left is stopping, machine state and starting. */
async function cleanDowntime(options: BenchOptions) {
  return inArena(idle, options, async (arena) => {
    const plain: Run[] = [];
    const ours: Run[] = [];
    for (let round = 0; round < (options.quick ? 2 : CLEAN_ROUNDS); round++) {
      plain.push(await arena.plain(round, DEFAULT_LIMIT_MS, TIME_LIMIT_MS));
      ours.push(await arena.godwit(round, TIME_LIMIT_MS));
    }
    const plainMs = middle(plain.map(({ record }) => record.downtimeByEventsMs));
    const oursMs = middle(ours.map(({ record }) => record.downtimeByEventsMs));
    return {
      success: ours.every((run) => run.success),
      extraMs: plainMs === null || oursMs === null ? null : oursMs - plainMs,
      downtimeMs: oursMs,
      plainDowntimeMs: plainMs,
      downtimesMs: ours.map(({ record }) => record.downtimeByEventsMs),
      plainDowntimesMs: plain.map(({ record }) => record.downtimeByEventsMs),
      linkBytesPerSecond: idle.linkBytesPerSecond,
      linkKind: arena.network.kind,
      steps: ours.at(-1)?.report?.stopAndCopy ?? null,
    };
  });
}

interface Rules {
  /** Whom godwit meets; its limit is relaxed for it alone. */
  readonly against: Baseline;
  readonly rounds: number;
}

const DUEL: Rules = { against: PRECOPY, rounds: ROUNDS };
const REPORTED: Rules = { against: PRECOPY, rounds: ROUNDS_REPORTED };

async function duel(course: Course, options: BenchOptions, rules = DUEL): Promise<Record<string, unknown>> {
  const { against } = rules;
  return inArena(course, options, async (arena) => {
    const { memoryBytes, linkBytesPerSecond, guest } = course;
    const passMs = (memoryBytes * 1000) / linkBytesPerSecond;
    const calibrationMs = CALIBRATION_PASSES * passMs;
    const relaxed = await relaxedLimit(arena, guest.hotBytes ?? memoryBytes, calibrationMs, against);
    const plain: Run[] = [];
    const ours: Run[] = [];
    for (let round = 0; round < (options.quick ? 1 : rules.rounds); round++) {
      plain.push(await arena.plain(round, relaxed.limitMs, TIME_LIMIT_MS, against));
      ours.push(await arena.godwit(round, TIME_LIMIT_MS));
    }
    const cleanMs = await inArena({ ...idle, linkBytesPerSecond }, options, async (clean) => {
      const { record } = await clean.plain(0, DEFAULT_LIMIT_MS, TIME_LIMIT_MS);
      return record.downtimeByEventsMs ?? 0;
    });
    return rowOf(course, { against, plain, ours, relaxed, cleanMs, linkKind: arena.network.kind });
  });
}

interface Evidence {
  readonly against: Baseline;
  readonly plain: readonly Run[];
  readonly ours: readonly Run[];
  readonly relaxed: Relaxed;
  readonly cleanMs: number;
  readonly linkKind: string;
}

function rowOf(course: Course, evidence: Evidence) {
  const { plain, ours, relaxed, cleanMs } = evidence;
  const mine = figures(ours);
  const theirs = figures(plain);
  const bounds = rowBounds(course, ours[0]!.record, cleanMs);
  return {
    success: ours.every((run) => run.success),
    linkBytesPerSecond: course.linkBytesPerSecond,
    totalRatio: ratio(mine.totalMs, theirs.totalMs),
    downtimeRatio: ratio(mine.downtimeMs, theirs.downtimeMs),
    dataRatio: ratio(mine.transferredBytes, theirs.transferredBytes),
    totalToBound: ratio(mine.totalMs, bounds.totalMs),
    dataToBound: ratio(mine.transferredBytes, bounds.transferredBytes),
    downtimeToBound: ratio(mine.downtimeMs, bounds.downtimeMs),
    ...mine,
    plain: { ...theirs, success: plain.every((run) => run.success) },
    against: evidence.against,
    bounds,
    relaxedLimitMs: relaxed.limitMs,
    relaxedHow: relaxed.how,
    cleanDowntimeMs: cleanMs,
    strategy: course.strategy,
    arrangement: course.arrangement,
    body: course.guest.body,
    dirtyBytesPerSecond: ours[0]!.record.dirtyBytesPerSecond,
    guestCommandLine: ours[0]!.record.guestCommandLine,
    memoryBytes: course.memoryBytes,
    rounds: ours.length,
    successes: ours.filter((run) => run.success).length,
    decision: ours[0]!.report?.decision?.rule ?? null,
    downtimePredictedMs: middle(ours.map(({ report }) => report?.downtimePredictedMs ?? null)),
    setupMs: middle(ours.map(({ record, totalMs }) => minus(record.totalMigrationTimeMs, totalMs))),
    guestSpeedShare: middle(ours.map(({ record }) => record.guestSpeedShare)),
    plainGuestSpeedShare: middle(plain.map(({ record }) => record.guestSpeedShare)),
    linkKind: evidence.linkKind,
  };
}

function figures(runs: readonly Run[]) {
  return {
    totalMs: middle(runs.map(({ totalMs }) => totalMs)),
    downtimeMs: middle(runs.map(({ downtimeMs }) => downtimeMs)),
    transferredBytes: middle(runs.map(({ transferredBytes }) => transferredBytes)),
  };
}

/** The fast link, and beside it what the pipeline does when no link limits it. */
async function duelWithFloor(course: Course, options: BenchOptions): Promise<Record<string, unknown>> {
  const row = await duel(course, options);
  const unshaped = { ...course, linkBytesPerSecond: UNSHAPED_BYTES_PER_SECOND };
  const floor = await inArena(unshaped, options, (arena) => arena.godwit(0, TIME_LIMIT_MS));
  return { ...row, floor: { ...figures([floor]), success: floor.success } };
}

function ratio(value: number | null, base: number | null): number | null {
  return value === null || base === null || base <= 0 ? null : value / base;
}

function minus(left: number | null, right: number | null): number | null {
  return left === null || right === null ? null : left - right;
}

export const benches: readonly Bench[] = [
  { name: 'clean-guest-downtime', needsQemu: true, run: cleanDowntime },
  { name: 'stress-paired', needsQemu: true, run: (options) => duel(stress, options) },
  { name: 'stress-paired-zero', needsQemu: true, run: (options) => duel(stressZero, options) },
  { name: 'stress-paired-random', needsQemu: true, run: (options) => duel(stressRandom, options) },
  { name: 'stress-paired-1g', needsQemu: true, run: (options) => duelWithFloor(stressFast, options) },
  { name: 'uniform-paired', needsQemu: true, run: (options) => duel(uniform, options) },
  { name: 'mixed-paired', needsQemu: true, run: (options) => duel(mixed, options, REPORTED) },
  { name: 'zipf-paired', needsQemu: true, run: (options) => duel(zipf, options, REPORTED) },
  { name: 'stress-single', needsQemu: true, run: (options) => duel(stressSingle, options) },
  { name: 'stress-single-zero', needsQemu: true, run: (options) => duel(stressSingleZero, options) },
  {
    name: 'stress-xbzrle',
    needsQemu: true,
    run: (options) => duel(stress, options, { ...REPORTED, against: 'qemu-xbzrle' }),
  },
  {
    name: 'stress-multifd-zstd',
    needsQemu: true,
    run: (options) => duel(stress, options, { ...REPORTED, against: 'qemu-multifd-zstd' }),
  },
  { name: 'resident-memory', needsQemu: true, run: residentMemory },
];
