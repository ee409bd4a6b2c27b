/** Small hand-made histories for the rules' stories. Test code only. */

import {
  type Backlog,
  type IterationStats,
  type Outlook,
  type PipelineRates,
  REWRITE_CLASSES,
  type Snapshot,
} from '../vm/index.ts';
import { PAGE_BYTES_ON_LINK } from './measures.ts';

export const PAGES = 100_000;
const REGIONS = 20;
/** 10,000 pages a second. */
export const LINK = 10_000 * PAGE_BYTES_ON_LINK;

/** A pipeline in which nothing but the link limits. */
export const NOTHING_LIMITS: PipelineRates = {
  handOverPagesPerSecond: Number.POSITIVE_INFINITY,
  endsPagesPerSecond: Number.POSITIVE_INFINITY,
  zeroPagesPerSecond: Number.POSITIVE_INFINITY,
};

export function backlogOf(queuedPages: number, heldPages: number): Backlog {
  return {
    queuedPages,
    queuedBytes: queuedPages * PAGE_BYTES_ON_LINK,
    heldPages,
    heldBytes: heldPages * PAGE_BYTES_ON_LINK,
  };
}

/** What one iteration of a story did, in pages. */
export interface Told {
  readonly dirty: number;
  readonly outside?: number;
  readonly queued?: number;
  readonly held?: number;
  readonly sent?: number;
  /** Regions that share the dirty pages. */
  readonly regions?: readonly number[];
  /** [rewrites a second, pages]. */
  readonly rates?: readonly (readonly [number, number])[];
}

/** Iteration 0 sends all of RAM, then one second each. */
export function tell(iterations: readonly Told[]): IterationStats[] {
  return [{ dirty: PAGES }, ...iterations].map((told, index) => {
    const regionHistogram = new Uint32Array(REGIONS);
    const regions = told.regions ?? [0, 1];
    for (const region of regions) regionHistogram[region] = Math.floor(told.dirty / regions.length);
    const rewriteHistogram = new Float64Array(REWRITE_CLASSES);
    for (const [perSecond, pages] of told.rates ?? [])
      rewriteHistogram[Math.floor(Math.log2(perSecond)) + 16]! += pages;
    const sentPages = told.sent ?? 10_000;
    return {
      index,
      startMs: index * 1000,
      durationMs: 1000,
      passes: 4,
      dirtyPages: told.dirty,
      dirtyOutsideHoldPages: told.outside ?? told.dirty,
      sentPages,
      resentPages: 0,
      sentBytes: sentPages * PAGE_BYTES_ON_LINK,
      backlog: backlogOf(told.queued ?? 0, told.held ?? 0),
      bandwidthBytesPerSecond: LINK,
      rewriteHistogram,
      regionHistogram,
      regionPages: PAGES / REGIONS,
    };
  });
}

/**
 * The outlook right after the newest of `history`. Predicted downtime: the backlog over the link and 20 ms.
 */
export function outlookAfter(
  history: readonly IterationStats[],
  over: Partial<Snapshot> = {},
  limitMs = 300,
): Outlook {
  const last = history.at(-1)!;
  const snapshot: Snapshot = {
    backlog: last.backlog,
    dirtyPages: 0,
    dirtyOutsideHoldPages: 0,
    sentPages: PAGES,
    resentPages: 0,
    sentBytes: PAGES * PAGE_BYTES_ON_LINK,
    firstPassDone: true,
    passes: 4 * history.length,
    sinceSyncMs: 0,
    bandwidthBytesPerSecond: LINK,
    roundTripMs: 1,
    memoryBytes: 0,
    memoryBytesMax: 1e9,
    gateHeld: true,
    ...over,
  };
  const bytes = snapshot.backlog.queuedBytes + snapshot.backlog.heldBytes;
  return {
    nowMs: last.startMs + last.durationMs,
    pageCount: PAGES,
    limits: { downtimeMsMax: limitMs, timeoutMs: null, onTimeout: 'cancel' },
    history,
    snapshot,
    linkBytesPerSecond: LINK,
    pipeline: NOTHING_LIMITS,
    passes: [],
    downtimePredictedMs: (bytes * 1000) / LINK + 20,
  };
}
