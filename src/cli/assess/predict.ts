/**
 * From the trace of a running VM to what each strategy would do on each link, and how far to trust it. Pure but for the simulator's run time.
 * Not responsible for measuring (src/controller) nor for words (assess-text.ts).
 */

import { median, quantile } from '../../base/index.ts';
import type { Assessment } from '../../controller/index.ts';
import {
  groupBy,
  runTask,
  SIMULATION_DEFAULTS,
  type SimulationTask,
  type SummaryRow,
  summarize,
  type TaskResult,
} from '../../simulator/index.ts';
import { strategyByName } from '../../strategy/index.ts';
import {
  describeTrace,
  replayGuest,
  replayOf,
  type Recording as Trace,
  type TraceSource,
} from '../../trace/index.ts';
import { type Arrangement, PAGE_SIZE_BYTES } from '../../vm/index.ts';

export interface PredictOptions {
  readonly strategies: readonly string[];
  readonly linksBytesPerSecond: readonly number[];
  readonly downtimeLimitMs: number;
  readonly roundTripMs: number;
  readonly arrangement: Arrangement;
}

/** The migration is met at so many moments of the trace, so that luck shows. */
export const REPLAYS = 3;

export interface Prediction extends SummaryRow {
  readonly linkBytesPerSecond: number;
}

export interface Guest {
  readonly memoryBytes: number;
  /** Not zero when the measurement began, or written since. */
  readonly contentBytes: number;
  /** Pages found dirty over time; a page counts once a dirty sync. */
  readonly dirtyBytesPerSecond: Spread;
  /** Distinct pages over the whole measurement. */
  readonly workingSetBytes: number;
  /** Of all dirtying, what falls on the hottest tenth of the working set; null where nothing was written. */
  readonly hottestTenthShare: number | null;
  /** Bytes of a whole page as packed, and of a rewritten one as a delta; null where too little was seen. */
  readonly packedBytes: number | null;
  readonly deltaBytes: number | null;
  /** Dirty syncs, and the time between the first and the last. */
  readonly sets: number;
  readonly observedMs: number;
  /** Pieces of WINDOW_MS of which the dirty rate is known. */
  readonly samples: number;
}

export interface Spread {
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
}

export function guestOf({ trace, cost }: Pick<Assessment, 'trace' | 'cost'>): Guest {
  const about = describeTrace(trace);
  const rates = ratesOf(trace);
  return {
    memoryBytes: trace.header.pageCount * PAGE_SIZE_BYTES,
    contentBytes: replayGuest(trace).content.pageCount * PAGE_SIZE_BYTES,
    dirtyBytesPerSecond: {
      median: median(rates) ?? 0,
      p10: quantile(rates, 0.1) ?? 0,
      p90: quantile(rates, 0.9) ?? 0,
    },
    workingSetBytes: about.distinctPages * PAGE_SIZE_BYTES,
    hottestTenthShare: about.hottestTenthShare,
    packedBytes: cost?.packedBytes ?? null,
    deltaBytes: cost?.deltaBytes ?? null,
    sets: about.sets,
    observedMs: about.durationMs,
    samples: rates.length,
  };
}

/** Of a quiet guest some syncs follow each other at once, and the pages of one arrive with the next. */
const WINDOW_MS = 250;

function ratesOf(trace: Trace): number[] {
  const rates: number[] = [];
  let pages = 0;
  let durationMs = 0;
  for (const set of trace.sets) {
    pages += set.pages;
    durationMs += set.endMs - set.startMs;
    if (durationMs < WINDOW_MS) continue;
    rates.push((pages * PAGE_SIZE_BYTES * 1000) / durationMs);
    pages = 0;
    durationMs = 0;
  }
  return rates;
}

/** One after the other, so that a caller can show how far it is, and stop. Errors: SIMULATION_INVARIANT, TRACE_EMPTY. */
export function* predict(
  { trace, cost }: Pick<Assessment, 'trace' | 'cost'>,
  options: PredictOptions,
): Generator<Prediction> {
  const packedBytes = cost?.packedBytes ?? PAGE_SIZE_BYTES;
  const priced: Trace = { ...trace, cost: { packedBytes, deltaBytes: cost?.deltaBytes ?? packedBytes } };
  const replay = replayOf(priced);
  const load = ({ startShare }: TraceSource) => replay(startShare);
  for (const linkBytesPerSecond of options.linksBytesPerSecond) {
    for (const strategy of options.strategies) {
      const runs: TaskResult[] = [];
      for (let run = 0; run < REPLAYS; run++) {
        runs.push(runTask(taskOf(strategy, run, linkBytesPerSecond, trace, options), load));
      }
      yield { ...summarize(runs, strategy), linkBytesPerSecond };
    }
  }
}

function taskOf(
  strategy: string,
  run: number,
  linkBytesPerSecond: number,
  trace: Trace,
  { downtimeLimitMs, roundTripMs, arrangement }: PredictOptions,
): SimulationTask {
  return {
    key: `assess/${strategy}/${run}`,
    run,
    seed: run,
    seedBase: 0,
    strategy: { id: strategy, name: strategy, parameters: {}, relaxedFactor: 1 },
    workload: { id: 'trace', options: {} },
    trace: { file: 'measured', startShare: run / REPLAYS },
    memoryBytes: trace.header.pageCount * PAGE_SIZE_BYTES,
    linkBytesPerSecond,
    roundTripMs,
    downtimeLimitMs,
    timeLimitMs: null,
    gatewayMemoryBytesMax: Math.max(
      SIMULATION_DEFAULTS.gatewayMemoryBytesMax,
      // A gateway that could not hold the bookkeeping would say so; a prediction assumes one that can.
      trace.header.pageCount * 64,
    ),
    arrangement,
    regret: false,
  };
}

export type ConfidenceLevel = 'high' | 'medium' | 'low';

export interface Confidence {
  readonly level: ConfidenceLevel;
  /** How often the dirty rate was taken, and over which time. */
  readonly samples: number;
  readonly observedMs: number;
  /** (p90 - p10) of the dirty rate, over its median or a tenth of the slowest link, whichever is more. */
  readonly rateSpread: number;
  /** Greatest over least total time among replays of one prediction, less 1; null where none completed. */
  readonly predictionSpread: number | null;
  /** The longest prediction over the time observed: beyond 1 the trace was repeated. */
  readonly stretch: number | null;
}

const SAMPLES_MANY = 40;
const SAMPLES_FEW = 12;
const RATE_STEADY = 0.6;
const PREDICTION_STEADY = 0.15;
const STRETCH_MAX = 5;
/** Dirtying far below the slowest link's rate decides nothing. */
const LINK_SHARE_MATTERS = 0.1;

export function confidenceOf(guest: Guest, predictions: readonly Prediction[]): Confidence {
  const { samples, observedMs, dirtyBytesPerSecond: rate } = guest;
  const slowest = Math.min(...predictions.map(({ linkBytesPerSecond }) => linkBytesPerSecond));
  const rateSpread = (rate.p90 - rate.p10) / Math.max(rate.median, LINK_SHARE_MATTERS * slowest);
  const ranges = predictions.flatMap(({ totalMigrationTimeMsRange: range }) =>
    range === null ? [] : [range],
  );
  const spreads = ranges.map(([least, greatest]) => greatest / least - 1);
  const predictionSpread = median(spreads);
  const stretch =
    ranges.length === 0 || observedMs <= 0 ? null : Math.max(...ranges.map(([, most]) => most)) / observedMs;
  const steady =
    rateSpread <= RATE_STEADY && (predictionSpread === null || predictionSpread <= PREDICTION_STEADY);
  const far = stretch !== null && stretch > STRETCH_MAX;
  const certain = steady && samples >= SAMPLES_MANY && !far;
  const level = certain ? 'high' : samples >= SAMPLES_FEW && (steady || !far) ? 'medium' : 'low';
  return { level, samples, observedMs, rateSpread, predictionSpread, stretch };
}

export interface Advice {
  readonly linkBytesPerSecond: number;
  /** null: none of them ends. */
  readonly strategy: string | null;
  readonly keepsLimit: boolean;
  readonly totalMigrationTimeMs: number | null;
  readonly downtimeMs: number | null;
  readonly transferredBytes: number | null;
  /** What plain pre-copy does: ends within the limit, ends beyond it, or never; null: not asked. */
  readonly plainPrecopy: 'keeps' | 'exceeds' | 'never' | null;
  readonly plainPrecopyDowntimeMs: number | null;
  /** Only with a phase in which a failure loses the VM; null where it is not needed or was not asked. */
  readonly postcopyDowntimeMs: number | null;
}

/** Of two that keep the limit, a plainer one that takes this much longer is still the better choice. */
const PLAIN_IS_WORTH = 1.05;

/** The best choice for each link: within the limit the least time, else the least downtime. */
export function adviceOf(predictions: readonly Prediction[], downtimeLimitMs: number): readonly Advice[] {
  const byLink = groupBy(predictions, ({ linkBytesPerSecond }) => String(linkBytesPerSecond));
  return [...byLink.values()].map((rows) => adviceForLink(rows, downtimeLimitMs));
}

function plainPrecopyOf(
  rows: readonly Prediction[],
  keeps: boolean,
): Pick<Advice, 'plainPrecopy' | 'plainPrecopyDowntimeMs'> {
  const row = rows.find(({ strategy }) => strategy === 'precopy');
  if (row === undefined) return { plainPrecopy: null, plainPrecopyDowntimeMs: null };
  const ends = row.successRate === 1;
  const plainPrecopy = keeps ? 'keeps' : ends ? 'exceeds' : 'never';
  return { plainPrecopy, plainPrecopyDowntimeMs: ends ? row.downtimeMs : null };
}

/** Neither slows the guest down nor has a phase in which a failure loses it: the others are shown, and never advised. */
function isHarmless(strategy: string): boolean {
  return ['gateway', 'qemu-precopy'].includes(strategyByName(strategy).mechanism);
}

function adviceForLink(rows: readonly Prediction[], downtimeLimitMs: number): Advice {
  const { linkBytesPerSecond } = rows[0]!;
  const usable = rows.filter(
    ({ strategy, successRate, downtimeMs, totalMigrationTimeMs }) =>
      isHarmless(strategy) && successRate === 1 && downtimeMs !== null && totalMigrationTimeMs !== null,
  );
  const keeping = usable.filter(({ downtimeMs }) => downtimeMs! <= downtimeLimitMs);
  const plain = keeping.find(({ strategy }) => strategy === 'precopy');
  const byTime = [...keeping].sort((one, other) => one.totalMigrationTimeMs! - other.totalMigrationTimeMs!);
  const byDowntime = [...usable].sort((one, other) => one.downtimeMs! - other.downtimeMs!);
  const fastest = byTime[0] ?? byDowntime[0];
  const plainDoes =
    plain !== undefined && plain.totalMigrationTimeMs! <= PLAIN_IS_WORTH * fastest!.totalMigrationTimeMs!;
  const chosen = plainDoes ? plain : fastest;
  const postcopy = rows.find(({ strategy, successRate }) => strategy === 'postcopy' && successRate === 1);
  return {
    linkBytesPerSecond,
    strategy: chosen?.strategy ?? null,
    keepsLimit: keeping.length > 0,
    totalMigrationTimeMs: chosen?.totalMigrationTimeMs ?? null,
    downtimeMs: chosen?.downtimeMs ?? null,
    transferredBytes: chosen?.transferredBytes ?? null,
    ...plainPrecopyOf(rows, plain !== undefined),
    postcopyDowntimeMs: keeping.length > 0 ? null : (postcopy?.downtimeMs ?? null),
  };
}
