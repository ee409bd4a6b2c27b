/**
 * adaptive: forecast what waiting buys, watch what it costs, and stop when the cost no longer falls.
 *
 * Cost of a stop now = total time + downtimeWeight x the downtime beyond the limit. It falls while sending takes more off the downtime than
 * it takes time. Once every page was sent, the least cost so far is kept; when it has not fallen for a while (patienceShare of itself), no
 * forecast is believed any more. The wait is a share of the cost, so it adds at most that share, at whatever scale. Where the cost has risen
 * since (a sweep went round, a phase began), the better moment may return, and a share of what it would save is spent on waiting for it.
 */

import type { Decision, Outlook, ParameterValues } from '../../vm/index.ts';
import { goOn, stop, value } from '../common.ts';
import { keptCurrent, plateauPages, type Share } from '../forecast.ts';
import {
  bytesPerPage,
  dirtiedMost,
  downtimeText,
  formatBytes,
  formatMs,
  formatPercent,
  lastIteration,
  measured,
  queuedBytes,
  rateText,
  remainingBytes,
} from '../measures.ts';
import { allSentOnce } from './drained.ts';
import { fitsLimit } from './fits.ts';
import { concentration, phasesOf } from './pattern-class.ts';

/** Sending for its own sake, when a limit has to be met: nearly all of the link may go into resending. */
const LINK_SHARE_FOR_LIMIT = 0.95;
/** Rewrite rates mean something after this many iterations past the first pass. */
const ITERATIONS_TO_LEARN = 2;
/** Within a pass of QEMU what was dirtied is not known: that long, and no less or more than this. */
const PATIENCE_PASSES = 1;
const PATIENCE_MS_MIN = 250;
const PATIENCE_MS_MAX = 500;
/** A better moment was seen: this share of what it would save is spent on waiting for its like. */
const RETURN_SHARE = 0.25;
/** As little as it was before, as far as predictions tell. */
const LEAST_TOLERANCE = 1.05;
/** Outside the hold next to nothing waits: what the link can keep current is current. */
const REST_MS_MAX = 30;

export interface Settling {
  /** The first moment at which the limit fitted. */
  readonly sinceMs: number;
  readonly atMs: number;
  readonly predictedMs: number;
}

export interface Least {
  readonly costMs: number;
  readonly downtimeMs: number;
  readonly atMs: number;
}

export interface Forecast {
  readonly known: boolean;
  /** Held pages are hotter than this. */
  readonly share: Share;
  readonly limitReachable: boolean;
  /** Downtime that no waiting goes below, ms; null while the link rate is unknown. */
  readonly bestMs: number | null;
  /** Where sending every dirty page as it comes would settle (R* / B), ms; null while the link rate is unknown. */
  readonly plateauMs: number | null;
  /** The least cost of a stop since every page was sent, and when that was; null before. */
  readonly least: Least | null;
  readonly phase: { readonly periodMs: number; readonly quiet: boolean; readonly sinceMs: number } | null;
  readonly waitingSinceMs: number | null;
  /** The first moment at which a stop was thought of: every page sent, or the limit fitting; null before. */
  readonly watchedSinceMs: number | null;
  /** Since the limit fits: downtime predicted at a moment, to see what waiting has bought since; null: it does not fit. */
  readonly settling: Settling | null;
  /** "96 % of it in 3 regions (180 MiB)". */
  readonly where: string;
}

export const NOTHING_KNOWN: Forecast = {
  known: false,
  share: { perSecondMax: Number.POSITIVE_INFINITY, hotterPages: 0 },
  limitReachable: true,
  bestMs: null,
  plateauMs: null,
  least: null,
  phase: null,
  waitingSinceMs: null,
  watchedSinceMs: null,
  settling: null,
  where: 'dirtying not measured yet',
};

/** What a stop costs besides the backlog: device state, round trips, pages dirtied since the last sync. */
function overheadMs(outlook: Outlook, link: number): number {
  return Math.max(0, (outlook.downtimePredictedMs ?? 0) - (remainingBytes(outlook) * 1000) / link);
}

/** Asked once an iteration: everything that is read off histograms. */
export function forecast(outlook: Outlook, before: Forecast, parameters: ParameterValues): Forecast {
  const last = lastIteration(outlook);
  const link = outlook.linkBytesPerSecond;
  if (last === null || link === null || link <= 0) return before;
  const pageBytes = bytesPerPage(outlook.snapshot);
  const weight = value(parameters, 'downtimeWeight');
  const forLimit = keptCurrent(last.rewriteHistogram, (LINK_SHARE_FOR_LIMIT * link) / pageBytes);
  const bestMs = (forLimit.hotterPages * pageBytes * 1000) / link + overheadMs(outlook, link);
  const limitReachable = bestMs <= outlook.limits.downtimeMsMax;
  const forCost = keptCurrent(last.rewriteHistogram, ((1 - 1 / weight) * link) / pageBytes);
  const phases = phasesOf(outlook.history);
  const samePhase = phases !== null && before.phase !== null && before.phase.quiet === phases.quiet;
  const { regions, share } = concentration(last.regionHistogram);
  const regionBytes = regions * last.regionPages * 4096;
  return {
    known: measured(outlook.history).length >= ITERATIONS_TO_LEARN,
    share: limitReachable ? forLimit : forCost,
    limitReachable,
    bestMs,
    plateauMs:
      (plateauPages(last.rewriteHistogram, link / pageBytes) * pageBytes * 1000) / link +
      overheadMs(outlook, link),
    least: before.least,
    phase: phases && { ...phases, sinceMs: samePhase ? before.phase.sinceMs : last.startMs },
    waitingSinceMs: before.waitingSinceMs,
    watchedSinceMs: before.watchedSinceMs,
    settling: before.settling,
    where: `${formatPercent(share)} of it in ${regions} regions (${formatBytes(regionBytes)})`,
  };
}

/** What a stop now costs: time until it is over, and the downtime that nobody agreed to. null while it cannot be predicted. */
function costMs(outlook: Outlook, weight: number): number | null {
  const downtimeMs = outlook.downtimePredictedMs;
  if (downtimeMs === null) return null;
  return outlook.nowMs + downtimeMs + weight * Math.max(0, downtimeMs - outlook.limits.downtimeMsMax);
}

function leastOf(outlook: Outlook, before: Least | null, weight: number): Least | null {
  const cost = costMs(outlook, weight);
  return cost === null || (before !== null && before.costMs <= cost)
    ? before
    : { costMs: cost, downtimeMs: outlook.downtimePredictedMs ?? 0, atMs: outlook.nowMs };
}

function sentence(outlook: Outlook, known: Forecast): string {
  const { limits } = outlook;
  const limit = formatMs(limits.downtimeMsMax);
  const plain = known.plateauMs === null ? '' : `, ${formatMs(known.plateauMs)} without hold and order`;
  const best = known.bestMs === null ? '' : `; best by waiting: ${formatMs(known.bestMs)}${plain}`;
  const reach = known.limitReachable
    ? `limit ${limit} can be met`
    : `limit ${limit} cannot be met without post-copy`;
  return `${rateText(outlook)}; ${known.where}; ${downtimeText(outlook)}${best}; ${reach}`;
}

export interface ForecastVerdict {
  readonly decision: Decision;
  readonly least: Least | null;
  readonly waitingSinceMs: number | null;
  readonly settling: Settling | null;
}

/** A prediction swings with QEMU's passes; over less than this its fall says nothing. */
const SETTLE_MS = 150;
/** The limit has been agreed to: going below it may take this share of the time it took to get there, or this long. */
const SETTLE_SHARE = 0.1;
const SETTLE_MS_MAX = 250;
/** What no waiting takes off is this close to what is predicted. */
const SETTLED_MS = 10;

/** The limit fits. A rest that still shrinks for less than it costs is worth the moment: a second of waiting against `downtimeWeight` of downtime. */
function settle(
  outlook: Outlook,
  known: Forecast,
  fits: Decision,
  weight: number,
): Pick<ForecastVerdict, 'decision' | 'settling'> {
  const sinceMs = known.settling?.sinceMs ?? outlook.nowMs;
  const now = { sinceMs, atMs: outlook.nowMs, predictedMs: outlook.downtimePredictedMs ?? 0 };
  const link = outlook.linkBytesPerSecond;
  const isLate = now.atMs + SETTLE_MS - sinceMs > Math.max(SETTLE_SHARE * now.atMs, SETTLE_MS_MAX);
  if (isLate || link === null || now.predictedMs - overheadMs(outlook, link) <= SETTLED_MS) {
    return { decision: fits, settling: known.settling };
  }
  const since = known.settling ?? now;
  const waitedMs = now.atMs - since.atMs;
  if (waitedMs < SETTLE_MS) return { decision: goOn('adaptive-settle', fits.text), settling: since };
  const boughtMs = since.predictedMs - now.predictedMs;
  if (boughtMs * weight <= waitedMs) return { decision: fits, settling: since };
  const text = `${fits.text}; the last ${formatMs(waitedMs)} took ${formatMs(boughtMs)} off`;
  return { decision: goOn('adaptive-settle', text), settling: now };
}

function passesMs(outlook: Outlook): number {
  const last = lastIteration(outlook);
  const spacingMs = last === null || last.passes < 1 ? PATIENCE_MS_MAX : last.durationMs / last.passes;
  return Math.min(PATIENCE_MS_MAX, Math.max(PATIENCE_MS_MIN, PATIENCE_PASSES * spacingMs));
}

/**
 * Hot pages wait longest, and one that the hold missed is worth its turn only while the cost says so. Not where deltas pay: sent once, it is
 * next to nothing.
 */
function hotOutsideHold({ history, snapshot }: Outlook): number {
  if (snapshot.deltaPageBytes != null) return 0;
  return Math.max(0, dirtiedMost(history) - snapshot.backlog.heldPages);
}

/** Asked at iterations and ticks. */
export function forecastSwitchover(
  outlook: Outlook,
  known: Forecast,
  parameters: ParameterValues,
): ForecastVerdict {
  const { waitingSinceMs } = known;
  const weight = value(parameters, 'downtimeWeight');
  const fits = fitsLimit(outlook);
  if (fits?.action === 'continue') {
    return { decision: fits, least: known.least, waitingSinceMs, settling: known.settling };
  }
  if (fits !== null) return { least: known.least, waitingSinceMs, ...settle(outlook, known, fits, weight) };
  const sent = allSentOnce(outlook, value(parameters, 'heldShare'), hotOutsideHold(outlook));
  const least = known.known && sent.drained ? leastOf(outlook, known.least, weight) : known.least;
  const say = (decision: Decision): ForecastVerdict => ({ decision, least, waitingSinceMs, settling: null });
  if (!known.known)
    return say(goOn('adaptive-learn', `${rateText(outlook)}; ${known.where}; ${downtimeText(outlook)}`));
  const text = sentence(outlook, known);
  if (!sent.drained || least === null) return say(goOn('adaptive-drain', `${text}; ${sent.text}`));
  if (value(parameters, 'strict') >= 1)
    return say(goOn('adaptive-strict', `${text}; told never to exceed it`));
  const patienceMs = Math.max(passesMs(outlook), value(parameters, 'patienceShare') * least.costMs);
  const flatMs = outlook.nowMs - least.atMs;
  const flat = `waiting has bought nothing for ${formatMs(flatMs)}, least was ${formatMs(least.downtimeMs)}`;
  const downtimeMs = outlook.downtimePredictedMs ?? 0;
  const isLeast = downtimeMs <= LEAST_TOLERANCE * least.downtimeMs;
  const savesMs = (1 + weight) * Math.max(0, downtimeMs - least.downtimeMs);
  const returnMs = Math.max(patienceMs, known.phase?.periodMs ?? 0, RETURN_SHARE * savesMs);
  const restMs = (queuedBytes(outlook) * 1000) / (outlook.linkBytesPerSecond ?? 1);
  if (isLeast && restMs <= REST_MS_MAX) {
    return say(stop('adaptive-plateau', `${text}; all that the link can keep current has been sent`));
  }
  if (flatMs < patienceMs || (!isLeast && flatMs < patienceMs + returnMs)) {
    return say(goOn('adaptive-watch', `${text}; ${flat}`));
  }
  return say(stop('adaptive-plateau', `${text}; ${flat}`));
}
