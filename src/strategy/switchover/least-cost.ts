/**
 * adaptive's switchover: watch what a stop would cost, and stop when that no longer falls.
 *
 * Cost of a stop now = total time + downtimeWeight x the downtime beyond the limit. It falls while sending
 * takes more off the downtime than it takes time. Once every page was sent, the rule remembers the least cost
 * so far. When the cost has not fallen below it for a while (`patienceShare` of the least cost itself), the
 * rule stops believing that it will. The wait is a share of the cost, so it adds at most that share, at
 * whatever scale. When the cost has risen since (a sweep went round, a phase began), the better moment may
 * return, and the rule waits for it as long as a share of what it would save.
 */

import type { Decision, Outlook, ParameterValues } from '../../vm/index.ts';
import { goOn, stop, value } from '../common.ts';
import {
  dirtiedMost,
  downtimeText,
  formatMs,
  isNearLeast,
  lastIteration,
  nextPassIsInVain,
  queuedBytes,
  rateText,
  zeroPagesMs,
} from '../measures.ts';
import { allSentOnce } from './drained.ts';
import { fitsLimit } from './fits.ts';
import { type Forecast, forecastText } from './forecast.ts';
import { troughWait } from './patience.ts';
import { type Settling, settle } from './settle.ts';

/**
 * QEMU tells what was dirtied only at a sync: the cost is watched for the spacing of passes at least, within
 * these bounds.
 */
const PASS_MS_MIN = 250;
const PASS_MS_MAX = 500;
/** Of what a better moment would save, this share is spent on waiting for it to return. */
const RETURN_SHARE = 0.25;
/**
 * A queue that the link carries in this time counts as empty: all that the link can keep current is current.
 */
const QUEUE_MS_MAX = 30;

/** The cheapest stop seen so far. */
export interface Least {
  readonly costMs: number;
  readonly downtimeMs: number;
  readonly atMs: number;
}

export interface LeastCostMemory {
  readonly forecast: Forecast;
  /** Since every page was sent; null before. */
  readonly least: Least | null;
  /** null while the limit does not fit. */
  readonly settling: Settling | null;
}

export interface LeastCostVerdict {
  readonly decision: Decision;
  readonly least: Least | null;
  readonly settling: Settling | null;
  /** A stop may come at any tick: what is dirty is wanted freshly. */
  readonly stopIsNear: boolean;
}

/**
 * What a stop now costs: time until it is over, and the downtime that nobody agreed to. null while it cannot
 * be predicted.
 */
function costMs(outlook: Outlook, downtimeWeight: number): number | null {
  const downtimeMs = outlook.downtimePredictedMs;
  if (downtimeMs === null) return null;
  return outlook.nowMs + downtimeMs + downtimeWeight * Math.max(0, downtimeMs - outlook.limits.downtimeMsMax);
}

function leastOf(outlook: Outlook, before: Least | null, downtimeWeight: number): Least | null {
  const cost = costMs(outlook, downtimeWeight);
  return cost === null || (before !== null && before.costMs <= cost)
    ? before
    : { costMs: cost, downtimeMs: outlook.downtimePredictedMs ?? 0, atMs: outlook.nowMs };
}

function passSpacingMs(outlook: Outlook): number {
  const last = lastIteration(outlook);
  const spacingMs = last === null || last.passes < 1 ? PASS_MS_MAX : last.durationMs / last.passes;
  return Math.min(PASS_MS_MAX, Math.max(PASS_MS_MIN, spacingMs));
}

/**
 * Hot pages that the hold missed and that were never sent. They wait longest, and sending them is worth its
 * time only while the cost says so. Where deltas pay there are none to spare: a page that was sent once takes
 * next to nothing at the stop. Nor where every long pass finds the same: what waits then is known to be hot.
 */
function sparedPages(outlook: Outlook): number {
  const { history, snapshot } = outlook;
  if (snapshot.deltaPageBytes != null || nextPassIsInVain(outlook)) return 0;
  return Math.max(0, dirtiedMost(history) - snapshot.backlog.heldPages);
}

/** Asked at iterations and ticks. */
export function leastCostSwitchover(
  outlook: Outlook,
  memory: LeastCostMemory,
  parameters: ParameterValues,
): LeastCostVerdict {
  const { forecast } = memory;
  const weight = value(parameters, 'downtimeWeight');
  const fits = fitsLimit(outlook);
  if (fits?.action === 'continue') {
    return { decision: fits, least: memory.least, settling: memory.settling, stopIsNear: false };
  }
  if (fits !== null) {
    const settled = settle(outlook, memory.settling, fits, weight);
    return { ...settled, least: memory.least, stopIsNear: settled.decision.action === 'continue' };
  }
  const sent = allSentOnce(outlook, value(parameters, 'heldShare'), sparedPages(outlook));
  const least = forecast.known && sent.drained ? leastOf(outlook, memory.least, weight) : memory.least;
  const say = (decision: Decision, stopIsNear = false): LeastCostVerdict => {
    return { decision, least, settling: null, stopIsNear };
  };
  if (!forecast.known) {
    const known = `${rateText(outlook)}; ${forecast.where}; ${downtimeText(outlook)}`;
    return say(goOn('adaptive-learn', known));
  }
  const text = forecastText(outlook, forecast);
  if (!sent.drained || least === null) return say(goOn('adaptive-drain', `${text}; ${sent.text}`));
  const patienceMs = Math.max(passSpacingMs(outlook), value(parameters, 'patienceShare') * least.costMs);
  const flatMs = outlook.nowMs - least.atMs;
  const flat = `waiting has bought nothing for ${formatMs(flatMs)}, least was ${formatMs(least.downtimeMs)}`;
  const downtimeMs = outlook.downtimePredictedMs ?? 0;
  const isLeast = isNearLeast(downtimeMs, least.downtimeMs);
  const savesMs = (1 + weight) * Math.max(0, downtimeMs - least.downtimeMs);
  const returnMs = Math.max(patienceMs, forecast.phase?.periodMs ?? 0, RETURN_SHARE * savesMs);
  const linkMs = (queuedBytes(outlook) * 1000) / (outlook.linkBytesPerSecond ?? 1);
  const queueMs = Math.max(linkMs, zeroPagesMs(outlook));
  const trough = troughWait(outlook, least.atMs, 'adaptive-trough');
  if (trough !== null) return say(trough, false);
  if (nextPassIsInVain(outlook)) {
    return say(stop('adaptive-passes', `${text}; every pass finds the same, and takes as long`));
  }
  if (isLeast && queueMs <= QUEUE_MS_MAX) {
    return say(stop('adaptive-plateau', `${text}; all that the link can keep current has been sent`));
  }
  if (flatMs < patienceMs || (!isLeast && flatMs < patienceMs + returnMs)) {
    return say(goOn('adaptive-watch', `${text}; ${flat}`), true);
  }
  return say(stop('adaptive-plateau', `${text}; ${flat}`));
}
