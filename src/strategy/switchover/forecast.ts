/**
 * adaptive: forecast what waiting buys, and stop when it buys less than it costs.
 *
 * Cost = total time + downtimeWeight x downtime. A second of sending shrinks the backlog by its yield y (1: all of it lasts, 0: all comes
 * back), so it buys downtimeWeight x y seconds: waiting pays while y > 1 / downtimeWeight. That one number sets the hold threshold, the flat
 * test and the patience for a quiet phase. A limit that can be met goes before the cost: then it waits until the limit is met.
 */

import type { Decision, Outlook, ParameterValues } from '../../vm/index.ts';
import { goOn, stop, value } from '../common.ts';
import { keptCurrent, plateauPages, type Share } from '../forecast.ts';
import {
  bytesPerPage,
  downtimeText,
  formatBytes,
  formatMs,
  formatPercent,
  lastIteration,
  measured,
  rateText,
  remainingBytes,
  yieldOf,
} from '../measures.ts';
import { drained } from './drained.ts';
import { fitsLimit } from './fits.ts';
import { concentration, phasesOf } from './pattern-class.ts';

/** Sending for its own sake, when a limit has to be met: nearly all of the link may go into resending. */
const LINK_SHARE_FOR_LIMIT = 0.95;
/** Rewrite rates mean something after this many iterations past the first pass. */
const ITERATIONS_TO_LEARN = 2;
const TROUGH_SHARE = 0.7;

export interface Settling {
  readonly atMs: number;
  readonly predictedMs: number;
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
  /** Iterations in a row, queue drained, that bought less than they cost. */
  readonly flat: number;
  readonly phase: { readonly periodMs: number; readonly quiet: boolean; readonly sinceMs: number } | null;
  readonly waitingSinceMs: number | null;
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
  flat: 0,
  phase: null,
  waitingSinceMs: null,
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
  const flat = before.flat + (isFlat(outlook, weight) ? 1 : 0);
  const limitReachable =
    bestMs <= outlook.limits.downtimeMsMax && flat < 2 * value(parameters, 'flatEvaluations');
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
    flat: isFlat(outlook, weight) ? flat : 0,
    phase: phases && { ...phases, sinceMs: samePhase ? before.phase.sinceMs : last.startMs },
    waitingSinceMs: before.waitingSinceMs,
    settling: before.settling,
    where: `${formatPercent(share)} of it in ${regions} regions (${formatBytes(regionBytes)})`,
  };
}

function isFlat(outlook: Outlook, weight: number): boolean {
  const bought = yieldOf(outlook.history, 1);
  return bought !== null && bought < 1 / weight && outlook.snapshot.firstPassDone;
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
  readonly waitingSinceMs: number | null;
  readonly settling: Settling | null;
}

/** A prediction swings with QEMU's passes; over less than this its fall says nothing. */
const SETTLE_MS = 150;
/** What no waiting takes off is this close to what is predicted. */
const SETTLED_MS = 10;

/** The limit fits. A rest that still shrinks for less than it costs is worth the moment: a second of waiting against `downtimeWeight` of downtime. */
function settle(
  outlook: Outlook,
  known: Forecast,
  fits: Decision,
  weight: number,
): Pick<ForecastVerdict, 'decision' | 'settling'> {
  const now = { atMs: outlook.nowMs, predictedMs: outlook.downtimePredictedMs ?? 0 };
  const link = outlook.linkBytesPerSecond;
  if (link === null || now.predictedMs - overheadMs(outlook, link) <= SETTLED_MS) {
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

/** Asked at iterations and ticks. */
export function forecastSwitchover(
  outlook: Outlook,
  known: Forecast,
  parameters: ParameterValues,
): ForecastVerdict {
  const { waitingSinceMs } = known;
  const say = (decision: Decision): ForecastVerdict => ({ decision, waitingSinceMs, settling: null });
  const fits = fitsLimit(outlook);
  if (fits !== null)
    return { waitingSinceMs, ...settle(outlook, known, fits, value(parameters, 'downtimeWeight')) };
  if (!known.known)
    return say(goOn('adaptive-learn', `${rateText(outlook)}; ${known.where}; ${downtimeText(outlook)}`));
  const text = sentence(outlook, known);
  const rest = drained(outlook, {
    heldShare: value(parameters, 'heldShare'),
    yieldMin: 1 / value(parameters, 'downtimeWeight'),
    yieldIterations: value(parameters, 'flatEvaluations'),
  });
  if (!rest.drained) return say(goOn('adaptive-drain', `${text}; ${rest.text}`));
  if (known.limitReachable) return say(goOn('adaptive-limit', `${text}; ${rest.text}`));
  if (value(parameters, 'strict') >= 1)
    return say(goOn('adaptive-strict', `${text}; told never to exceed it`));
  if (known.phase !== null) return waitForTrough(outlook, known, parameters, text);
  return say(stop('adaptive-plateau', `${text}; ${rest.text}: waiting costs more than it buys`));
}

/** Waits for a quiet phase while what it can take off the downtime is worth the wait. */
function waitForTrough(
  outlook: Outlook,
  known: Forecast,
  parameters: ParameterValues,
  text: string,
): ForecastVerdict {
  const waitingSinceMs = known.waitingSinceMs ?? outlook.nowMs;
  const { periodMs, quiet, sinceMs } = known.phase!;
  const inPhaseMs = outlook.nowMs - sinceMs;
  const patienceMs = Math.min(value(parameters, 'patienceMs'), 1.5 * periodMs);
  const waitedMs = outlook.nowMs - waitingSinceMs;
  // A quiet half-period of sending takes at most that much off; the busy half before it is the price.
  const gainMs = Math.min(outlook.downtimePredictedMs ?? 0, periodMs / 2);
  const worth = value(parameters, 'downtimeWeight') * gainMs > periodMs;
  const numbers = `period ${formatMs(periodMs)}, ${quiet ? 'quiet' : 'busy'} for ${formatMs(inPhaseMs)}`;
  const stay = (quiet ? inPhaseMs < (TROUGH_SHARE * periodMs) / 2 : worth) && waitedMs < patienceMs;
  const decision = stay
    ? goOn('adaptive-trough', `${text}; phased, ${numbers}: ${quiet ? 'used up to' : 'waits for'} the trough`)
    : stop('adaptive-trough', `${text}; phased, ${numbers}, waited ${formatMs(waitedMs)}`);
  return { decision, waitingSinceMs, settling: null };
}
