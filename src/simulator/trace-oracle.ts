/**
 * The oracle on a recorded trace: the best stop and the best hold set that knowledge of its future would have
 * given.
 */

import { DOWNTIME_WEIGHT } from '../strategy/index.ts';
import { type Recording, replayGuest, STEP_MS } from '../trace/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import { bestHoldSet, bestStop, type WriteHistory } from './oracle.ts';

/** More intervals than this are not told apart: the oracle's work grows with their square. */
const INTERVALS_MAX = 2000;
const HEADER_BYTES = 8;

export interface TraceOracle {
  readonly stopAtMs: number;
  readonly heldPages: number;
  readonly downtimeMs: number;
  readonly totalMigrationTimeMs: number;
}

/** The migration begins with the trace. Whole pages; what a stop costs with nothing left is not in it. */
export function oracleOfTrace(
  recording: Recording,
  linkBytesPerSecond: number,
  downtimeLimitMs: number,
): TraceOracle {
  const { history, intervalMs } = historyOf(recording);
  const pagesPerInterval = (linkBytesPerSecond * intervalMs) / 1000 / (PAGE_SIZE_BYTES + HEADER_BYTES);
  const downtimeFree = downtimeLimitMs / intervalMs;
  const best = bestStop(history, { pagesPerInterval, downtimeWeight: DOWNTIME_WEIGHT, downtimeFree });
  return {
    stopAtMs: best.interval * intervalMs,
    heldPages: bestHoldSet(history, best.interval, pagesPerInterval).length,
    downtimeMs: best.downtime * intervalMs,
    totalMigrationTimeMs: best.total * intervalMs,
  };
}

function historyOf(recording: Recording): { history: WriteHistory; intervalMs: number } {
  const guest = replayGuest(recording);
  const first = recording.sets[0]!.startMs;
  const steps = Math.ceil((recording.sets.at(-1)!.endMs - first) / STEP_MS);
  const stepsPerInterval = Math.ceil(steps / INTERVALS_MAX);
  const intervals: number[][] = [];
  for (let step = 0; step < steps; step += stepsPerInterval) {
    const pages = new Set<number>();
    const sink = {
      page: (page: number) => void pages.add(page),
      range: (from: number, count: number) => {
        for (let page = from; page < from + count; page++) pages.add(page);
      },
      word: (word: number, mask: number) => {
        for (let bits = mask; bits !== 0; bits &= bits - 1)
          pages.add(word * 32 + 31 - Math.clz32(bits & -bits));
      },
    };
    for (let at = step; at < Math.min(steps, step + stepsPerInterval); at++) guest.writeStep(at, sink);
    intervals.push([...pages]);
  }
  return { history: { pageCount: guest.pageCount, intervals }, intervalMs: stepsPerInterval * STEP_MS };
}
