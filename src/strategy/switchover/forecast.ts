/**
 * adaptive's forecast: what waiting can buy on this link, read off the histograms of the newest iteration.
 * Not responsible for what a stop costs (least-cost.ts), nor for deciding.
 */

import { type Outlook, PAGE_SIZE_BYTES, type ParameterValues } from '../../vm/index.ts';
import { value } from '../common.ts';
import {
  bytesPerPage,
  downtimeText,
  formatBytes,
  formatMs,
  formatPercent,
  lastIteration,
  nextPassIsInVain,
  ratesAreKnown,
  rateText,
  remainingBytes,
} from '../measures.ts';
import { type HotBoundary, keptCurrent, plateauPages } from '../plateau.ts';
import { concentration, phasesOf } from './pattern-class.ts';

/**
 * While a limit has to be met, nearly all of the link may go into resending; the rest is for pages that are
 * new.
 */
const LINK_SHARE_FOR_LIMIT = 0.95;

export interface Forecast {
  readonly known: boolean;
  /** Pages hotter than this are held. */
  readonly boundary: HotBoundary;
  readonly limitReachable: boolean;
  /** Downtime that no waiting goes below, ms; null while the link rate is unknown. */
  readonly bestMs: number | null;
  /**
   * Where sending every dirty page as it comes would settle (R* / B), ms; null while the link rate is
   * unknown.
   */
  readonly plateauMs: number | null;
  /** Of a guest that is busy and quiet in turn: busy to busy, and whether it is quiet now; null elsewhere. */
  readonly phase: { readonly periodMs: number; readonly quiet: boolean } | null;
  /** "96 % of it in 3 regions (180 MiB)". */
  readonly where: string;
}

export const NOTHING_KNOWN: Forecast = {
  known: false,
  boundary: { rewritesPerSecondMax: Number.POSITIVE_INFINITY, hotterPages: 0 },
  limitReachable: true,
  bestMs: null,
  plateauMs: null,
  phase: null,
  where: 'dirtying not measured yet',
};

/** What a stop costs besides the backlog: device state, round trips, pages dirtied since the last sync. */
export function overheadMs(outlook: Outlook, linkBytesPerSecond: number): number {
  const backlogMs = (remainingBytes(outlook) * 1000) / linkBytesPerSecond;
  return Math.max(0, (outlook.downtimePredictedMs ?? 0) - backlogMs);
}

/** Asked once an iteration; `before` stays while dirtying or the link rate is unknown. */
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
  const { regions, share } = concentration(last.regionHistogram);
  const regionBytes = regions * last.regionPages * PAGE_SIZE_BYTES;
  return {
    known: ratesAreKnown(outlook.history) || nextPassIsInVain(outlook),
    boundary: limitReachable ? forLimit : forCost,
    limitReachable,
    bestMs,
    plateauMs:
      (plateauPages(last.rewriteHistogram, link / pageBytes) * pageBytes * 1000) / link +
      overheadMs(outlook, link),
    phase: phasesOf(outlook.history),
    where: `${formatPercent(share)} of it in ${regions} regions (${formatBytes(regionBytes)})`,
  };
}

/** The forecast as the operator reads it beside a decision. */
export function forecastText(outlook: Outlook, known: Forecast): string {
  const limit = formatMs(outlook.limits.downtimeMsMax);
  const plain = known.plateauMs === null ? '' : `, ${formatMs(known.plateauMs)} without hold and order`;
  const best = known.bestMs === null ? '' : `; best by waiting: ${formatMs(known.bestMs)}${plain}`;
  const reach = known.limitReachable
    ? `limit ${limit} can be met`
    : `limit ${limit} cannot be met without post-copy`;
  return `${rateText(outlook)}; ${known.where}; ${downtimeText(outlook)}${best}; ${reach}`;
}
