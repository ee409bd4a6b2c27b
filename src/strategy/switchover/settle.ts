/**
 * adaptive, once the downtime fits its limit: a rest that still shrinks fast is worth a moment more. The rule
 * goes on while each stretch of waiting takes more off the downtime, at `downtimeWeight`, than it takes time.
 */

import type { Decision, Outlook } from '../../vm/index.ts';
import { goOn } from '../common.ts';
import { formatMs } from '../measures.ts';
import { overheadMs } from './forecast.ts';

/** The downtime predicted at a moment, to see what waiting has bought since. */
export interface Settling {
  /** The first moment at which the limit fitted. */
  readonly sinceMs: number;
  readonly atMs: number;
  readonly predictedMs: number;
}

export interface SettleVerdict {
  readonly decision: Decision;
  readonly settling: Settling | null;
}

/** A prediction swings with QEMU's passes: over a shorter stretch its fall says nothing. */
const STRETCH_MS = 150;
/**
 * The limit has been agreed to: going below it may take this share of the time it took to get there, or this
 * long.
 */
const TIME_SHARE = 0.1;
const TIME_MS = 250;
/** A prediction this close to the cost of an empty backlog is as low as waiting gets it. */
const NEAR_OVERHEAD_MS = 10;

/** `fits` is the decision to stop, which this rule may put off. */
export function settle(
  outlook: Outlook,
  before: Settling | null,
  fits: Decision,
  downtimeWeight: number,
): SettleVerdict {
  const sinceMs = before?.sinceMs ?? outlook.nowMs;
  const now = { sinceMs, atMs: outlook.nowMs, predictedMs: outlook.downtimePredictedMs ?? 0 };
  const link = outlook.linkBytesPerSecond;
  const isLate = now.atMs + STRETCH_MS - sinceMs > Math.max(TIME_SHARE * now.atMs, TIME_MS);
  if (isLate || link === null || now.predictedMs - overheadMs(outlook, link) <= NEAR_OVERHEAD_MS) {
    return { decision: fits, settling: before };
  }
  const since = before ?? now;
  const waitedMs = now.atMs - since.atMs;
  if (waitedMs < STRETCH_MS) return { decision: goOn('adaptive-settle', fits.text), settling: since };
  const boughtMs = since.predictedMs - now.predictedMs;
  if (boughtMs * downtimeWeight <= waitedMs) return { decision: fits, settling: since };
  const text = `${fits.text}; the last ${formatMs(waitedMs)} took ${formatMs(boughtMs)} off`;
  return { decision: goOn('adaptive-settle', text), settling: now };
}
