/**
 * MP's last stretch. The cold pages are sent, the pattern is settled, and the link would idle: held pages are
 * sent, coldest first, as long as that takes enough off the downtime. At first nearly every page that is sent
 * stays current; later the guest rewrites them as fast as they go.
 * Deviation: the published idea stops at once. A second of this takes a fifth off the downtime of a hot set
 * that takes the link 2.7 s.
 */

import type { Decision, Outlook, ParameterSpec } from '../../vm/index.ts';
import { goOn, OUR_DEFINITION, parameter, stop } from '../common.ts';
import { formatMs, lastIteration } from '../measures.ts';

/**
 * A prediction swings with QEMU's passes: over less time than this, or fewer passes, its fall says nothing.
 */
const STEP_MS = 300;
const STEP_PASSES = 2;
/**
 * Passes further apart than this tell too late what was rewritten. Without the ack, a QEMU that is kept
 * waiting may take seconds for one.
 */
const PASS_MS_MAX = 300;

export function trimFallParameter(): ParameterSpec {
  const meaning = 'seconds of downtime that a second of sending held pages has to take off';
  return parameter('trimFallMin', 0.25, [0, 1], 's/s', meaning, OUR_DEFINITION);
}

/** The downtime predicted at a moment, to see what sending has bought since. */
export interface Trim {
  readonly atMs: number;
  readonly passes: number;
  readonly predictedMs: number;
}

/** null: passes are too far apart to tell what sending buys. */
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

/** `fallMin`: how many ms of downtime a ms of sending has to take off. */
export function trimOn(
  outlook: Outlook,
  since: Trim,
  fallMin: number,
  tail: string,
  rule = 'mp',
): { readonly decision: Decision; readonly trim: Trim } {
  const now = trimNow(outlook);
  const waitedMs = now.atMs - since.atMs;
  const boughtMs = since.predictedMs - now.predictedMs;
  const text = `sending held pages took ${formatMs(Math.max(0, boughtMs))} off in ${formatMs(waitedMs)}; ${tail}`;
  // Part of what a sync has just found replaces copies that wait. How large that part is, is known once QEMU
  // has handed all of it over.
  const isHandedOver = (outlook.snapshot.sourceRemainingPages ?? 0) === 0;
  const isEarly = waitedMs < STEP_MS || now.passes - since.passes < STEP_PASSES || !isHandedOver;
  if (isEarly && waitedMs < (STEP_PASSES + 1) * PASS_MS_MAX) {
    return { decision: goOn(`${rule}-trim`, text), trim: since };
  }
  if (!isEarly && boughtMs >= fallMin * waitedMs) return { decision: goOn(`${rule}-trim`, text), trim: now };
  return { decision: stop(`${rule}-settled`, `${text}; waiting buys too little`), trim: since };
}
