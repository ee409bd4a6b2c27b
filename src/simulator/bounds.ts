/** Physical bounds: what no rule can beat. Pure arithmetic on the guest's true rates. */

import type { GuestModel } from '../trace/index.ts';
import type { RunPipeline } from './pipeline/run-pipeline.ts';
import type { Bounds } from './types.ts';

/**
 * Data: each page once. Time: what the slowest of link and stages takes for that. Downtime: with whole
 * pages, the link keeps
 * only the coldest pages current, as many as their rates sum to what it carries; the hotter ones are dirty at
 * any moment. During a quiet phase the link catches up.
 */
export function boundsOf(
  guest: GuestModel,
  { coding, pipeline, bytesPerSecond }: RunPipeline,
  linkBytesPerSecond: number,
  fixedMs: number,
): Bounds {
  const contentPages = guest.content.pageCount;
  const transferredBytesMin =
    contentPages * coding.wholeBytes + (guest.pageCount - contentPages) * coding.zeroBytes;
  const kinds = { wholePages: contentPages, deltaPages: 0, zeroPages: guest.pageCount - contentPages };
  const transferMs = Math.max((transferredBytesMin * 1000) / linkBytesPerSecond, pipeline.sendMs(kinds));
  const perPage = coding.againBytes;
  let downtimeMsMin: number | null = null;
  if (guest.rates !== null) {
    const hotter = irreduciblePages(guest.rates, bytesPerSecond / perPage);
    const caughtUp = (guest.quietMs * bytesPerSecond) / 1000 / perPage;
    downtimeMsMin = (Math.max(0, hotter - caughtUp) * perPage * 1000) / bytesPerSecond + fixedMs;
  }
  return {
    transferredBytesMin,
    totalMigrationTimeMsMin: transferMs + fixedMs,
    downtimeMsMin,
  };
}

function irreduciblePages(
  rates: readonly { readonly pages: number; readonly perSecond: number }[],
  linkPagesPerSecond: number,
): number {
  let load = 0;
  let hotter = 0;
  for (const { pages, perSecond } of [...rates].sort((left, right) => left.perSecond - right.perSecond)) {
    const kept = perSecond > 0 ? Math.min(pages, Math.max(0, linkPagesPerSecond - load) / perSecond) : pages;
    load += kept * perSecond;
    hotter += pages - kept;
  }
  return hotter;
}
