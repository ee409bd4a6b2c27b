/**
 * MP's last stretch: the cold pages are sent, the pattern is settled, and the link would idle. Held pages are sent, coldest first, as long as
 * that takes enough off the downtime; at first nearly every page sent stays current, later the guest takes back what is sent.
 * Deviation: the published idea stops at once. A second of this takes a fifth off the downtime of a hot set that takes the link 2.7 s.
 */

import type { Decision, Outlook } from '../../vm/index.ts';
import { goOn, stop } from '../common.ts';
import { formatMs, lastIteration } from '../measures.ts';

/** A prediction swings with QEMU's passes: over less time, and fewer of them, its fall says nothing. */
const STEP_MS = 300;
const STEP_PASSES = 2;
/** Passes further apart than this tell too late what was taken back; without the ack, QEMU that is kept waiting may take seconds. */
const PASS_MS_MAX = 300;

/** The downtime predicted at a moment, to see what sending has bought since. */
export interface Trim {
  readonly atMs: number;
  readonly passes: number;
  readonly predictedMs: number;
}

/** null: what it buys could not be told. */
export function beginTrim(outlook: Outlook): Trim | null {
  const last = lastIteration(outlook);
  const isSeen = last !== null && last.passes > 0 && last.durationMs / last.passes <= PASS_MS_MAX;
  return isSeen ? trimNow(outlook) : null;
}

function trimNow(outlook: Outlook): Trim {
  return {
    atMs: outlook.nowMs,
    passes: outlook.snapshot.passes,
    predictedMs: outlook.downtimePredictedMs ?? 0,
  };
}

/** `fallMin`: ms of downtime that a ms of sending has to take off. */
export function trimOn(
  outlook: Outlook,
  since: Trim,
  fallMin: number,
  tail: string,
): { readonly decision: Decision; readonly trim: Trim } {
  const now = trimNow(outlook);
  const waitedMs = now.atMs - since.atMs;
  const boughtMs = since.predictedMs - now.predictedMs;
  const text = `sending held pages took ${formatMs(Math.max(0, boughtMs))} off in ${formatMs(waitedMs)}; ${tail}`;
  // What a sync has just found replaces copies that wait; how many of them is known when QEMU has handed it over.
  const isHandedOver = (outlook.snapshot.sourceRemainingPages ?? 0) === 0;
  const isEarly = waitedMs < STEP_MS || now.passes - since.passes < STEP_PASSES || !isHandedOver;
  if (isEarly && waitedMs < (STEP_PASSES + 1) * PASS_MS_MAX) {
    return { decision: goOn('mp-trim', text), trim: since };
  }
  if (!isEarly && boughtMs >= fallMin * waitedMs) return { decision: goOn('mp-trim', text), trim: now };
  return { decision: stop('mp-settled', `${text}; waiting buys too little`), trim: since };
}
