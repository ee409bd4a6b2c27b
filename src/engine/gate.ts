/**
 * Without `switchover-ack`, the end of a pass is an offer to switch: QEMU completes there when little enough is pending. May the running pass
 * end? Not responsible for withholding its tail (the gateway) nor for deciding to stop (the strategy).
 */

import { formatMs } from '../base/index.ts';
import { dirtyPagesPerSecond, measured } from '../strategy/index.ts';
import type { IterationStats, Limits, Snapshot } from '../vm/index.ts';

/**
 * QEMU completes when at most bandwidth x downtime-limit is pending: 1 GiB/s x 1 ms as we set them. Four times that much dirtied since the last
 * sync makes completion impossible although the estimate is an average.
 */
export const COMPLETION_PAGES = 256;
const SAFETY = 4;
/** The least dirty rate of this many iterations counts: a guest that was quiet a while ago may be quiet again. */
const LOOK_BACK = 16;

export interface GateAnswer {
  readonly allowed: boolean;
  /** A switchover fits now. It must be ours, by command: one that QEMU makes starts and resumes copies by itself. */
  readonly fits: boolean;
  readonly why: string;
}

export interface GateQuestion {
  readonly snapshot: Snapshot;
  readonly history: readonly IterationStats[];
  readonly limits: Limits;
  readonly downtimePredictedMs: number | null;
  readonly completionPages: number;
}

/** Pages certainly dirty at a sync made now, judged by the quietest known iteration; null while nothing was measured. */
export function leastDirtySinceSync(question: GateQuestion): number | null {
  const { history, snapshot } = question;
  const known = measured(history).slice(-LOOK_BACK);
  if (known.length === 0 || snapshot.sinceSyncMs === null) return null;
  let least = Number.POSITIVE_INFINITY;
  for (const stats of known) {
    // Distinct pages saturate: over a long wait no more are dirty than an iteration ever showed.
    const expected = (dirtyPagesPerSecond(stats) * snapshot.sinceSyncMs) / 1000;
    least = Math.min(least, expected, stats.dirtyPages);
  }
  return least;
}

export function askGate(question: GateQuestion): GateAnswer {
  const { snapshot, limits, downtimePredictedMs, completionPages } = question;
  if (downtimePredictedMs !== null && downtimePredictedMs <= limits.downtimeMsMax) {
    const numbers = `${formatMs(downtimePredictedMs)} down, limit ${formatMs(limits.downtimeMsMax)}`;
    // Before the first iteration nobody knows what was dirtied meanwhile: only the end of the pass can tell.
    const known = measured(question.history).length > 0;
    return { allowed: !known, fits: known, why: `a switchover there would fit: ${numbers}` };
  }
  const least = leastDirtySinceSync(question);
  const needed = SAFETY * completionPages;
  if (least !== null && least >= needed) {
    const text = `at least ${Math.round(least)} pages are dirty since the last sync, QEMU completes below ${completionPages}`;
    return { allowed: true, fits: false, why: text };
  }
  const since =
    snapshot.sinceSyncMs === null ? 'no sync yet' : `${formatMs(snapshot.sinceSyncMs)} since the last sync`;
  const dirty =
    least === null
      ? 'dirtying not measured'
      : `only ${Math.round(least)} pages surely dirty, ${needed} needed`;
  const down =
    downtimePredictedMs === null ? 'downtime unknown' : `${formatMs(downtimePredictedMs)} down now`;
  return {
    allowed: false,
    fits: false,
    why: `QEMU could stop the VM at the end of this pass: ${down}; ${dirty}; ${since}`,
  };
}
