/**
 * How long the VM would be down if it were stopped now. Not responsible for deciding whether that is good
 * enough.
 */

import { backlogBytes, bytesPerPage, dirtiedMost, dirtiedWithin, pagesAtSource } from '../strategy/index.ts';
import { type IterationStats, type Snapshot, ZERO_PAGE_BYTES } from '../vm/index.ts';
import { heldOutlastsHurry, hurryMsMax, LOOK_EVERY_MS } from './hurry.ts';
import { afterHurry, type Waiting } from './hurry-forecast.ts';
import { dirtyAtOnce, insidePages, newShareOf, type PassesSeen, uncountedPages } from './uncounted.ts';

export interface Prediction {
  /** null while the link rate is unknown. */
  readonly downtimeMs: number | null;
  /** All that would cross the link with the VM stopped. */
  readonly bytes: number;
  /**
   * The part that QEMU would hand over after the stop: dirty pages inside it, and those dirtied since the
   * last sync.
   */
  readonly burstBytes: number;
}

/**
 * Between the decision and QMP `stop` plus the last sync the guest still writes (measured: 2 ms until it is
 * answered, events at once).
 */
const STOP_LATENCY_MS = 10;

export function predict(
  snapshot: Snapshot,
  history: readonly IterationStats[],
  pageCount: number,
  linkBytesPerSecond: number | null,
  fixedDowntimeMs: number,
  passes: PassesSeen,
): Prediction {
  const pageBytes = bytesPerPage(snapshot);
  const newShare = newShareOf(snapshot, history, pageCount);
  const uncountedSeconds = ((snapshot.sinceSyncMs ?? 0) + STOP_LATENCY_MS) / 1000;
  const uncountedPagesNow = uncountedPages(snapshot, history, passes, uncountedSeconds);
  const burstPages = pagesAtSource(snapshot, pageCount, history) + uncountedPagesNow * newShare;
  const burstBytes = burstPages * pageBytes;
  const bytes = backlogBytes(snapshot) + (snapshot.underWayBytes ?? 0) + burstBytes;
  if (linkBytesPerSecond === null || linkBytesPerSecond <= 0) return { downtimeMs: null, bytes, burstBytes };
  const stop: Stop = {
    ...{ snapshot, history, newShare, linkBytesPerSecond, uncountedPagesNow },
    writtenWithin: (seconds) => uncountedPages(snapshot, history, passes, seconds),
    dirtyAtOnce: dirtyAtOnce(history, passes),
    prices: pricesOf(snapshot),
    insidePages: insidePages(snapshot, passes),
    handOverPagesPerSecond: snapshot.handOverPagesPerSecond ?? Number.POSITIVE_INFINITY,
    endsPagesPerSecond: snapshot.slowerEndPagesPerSecond ?? Number.POSITIVE_INFINITY,
    zeroPagesPerSecond:
      snapshot.zeroPagesPerSecond ?? snapshot.slowerEndPagesPerSecond ?? Number.POSITIVE_INFINITY,
  };
  return { downtimeMs: stoppedMs(stop) + fixedDowntimeMs, bytes, burstBytes };
}

/** A stop that begins now, and all that tells how long it takes. */
interface Stop {
  readonly snapshot: Snapshot;
  readonly history: readonly IterationStats[];
  readonly prices: Prices;
  readonly linkBytesPerSecond: number;
  readonly handOverPagesPerSecond: number;
  readonly endsPagesPerSecond: number;
  readonly zeroPagesPerSecond: number;
  /** Of the pages that the guest keeps writing, the share that does not wait already. */
  readonly newShare: number;
  /** Found dirty by the last sync and still inside QEMU. */
  readonly insidePages: number;
  /** Dirtied since, or before the stop is answered. */
  readonly uncountedPagesNow: number;
  readonly writtenWithin: (seconds: number) => number;
  /** However short a pass is, it finds these. */
  readonly dirtyAtOnce: number;
}

/** Bytes on the link of one page. */
interface Prices {
  readonly queued: number;
  readonly held: number;
  /** Of one that is dirty inside QEMU. */
  readonly fresh: number;
}

function pricesOf(snapshot: Snapshot): Prices {
  const { queuedPages, queuedBytes, heldPages, heldBytes } = snapshot.backlog;
  const zeroPages = zeroPagesOf(snapshot);
  const writtenPages = queuedPages - zeroPages;
  const fresh = bytesPerPage(snapshot);
  return {
    queued: writtenPages > 0 ? Math.max(0, queuedBytes - zeroPages * ZERO_PAGE_BYTES) / writtenPages : fresh,
    held: heldPages > 0 ? heldBytes / heldPages : fresh,
    fresh,
  };
}

function zeroPagesOf({ backlog }: Snapshot): number {
  return Math.min(backlog.queuedPages, backlog.zeroPages ?? 0);
}

/**
 * From the stop until the last page is loaded: the slowest of the stages that all that is left goes through.
 */
function stoppedMs(stop: Stop): number {
  const { snapshot, prices, newShare, linkBytesPerSecond } = stop;
  const { queuedPages, heldPages } = snapshot.backlog;
  const zeroPages = zeroPagesOf(snapshot);
  const underWayPages = (snapshot.underWayBytes ?? 0) / Math.max(1, prices.queued);
  const waiting: Waiting = {
    dirtyPages: stop.insidePages + stop.uncountedPagesNow,
    queuedPages: queuedPages - zeroPages + underWayPages,
    zeroPages,
    heldPages,
  };
  // Without the gate QEMU stops the VM by itself, and nothing is hurried before.
  const hurries = snapshot.gateHeld && hurryMsMax(snapshot) > 0;
  const left = hurries ? hurried(stop, waiting) : waiting;
  // What is dirty inside QEMU may wait here by now.
  const cameToWait = Math.max(0, left.queuedPages + left.heldPages - waiting.queuedPages - waiting.heldPages);
  const newPages = Math.max(0, left.dirtyPages * newShare - cameToWait);
  const leftBytes =
    bytesOf(left.queuedPages, waiting.queuedPages, prices.queued, prices.fresh) +
    bytesOf(left.heldPages, waiting.heldPages, prices.held, prices.fresh) +
    left.zeroPages * ZERO_PAGE_BYTES +
    newPages * prices.fresh;
  const inVainBytes = hurries ? 0 : sentInVain(stop) * prices.fresh;
  const linkMs = ((leftBytes + inVainBytes) * 1000) / linkBytesPerSecond;
  // Deltas of a few bytes cross any link at once: encoding, applying and loading so many pages takes the time
  // then. Zero pages have a rate of their own.
  const writtenPages = left.queuedPages + left.heldPages + newPages;
  const endsMs =
    (writtenPages * 1000) / stop.endsPagesPerSecond + (left.zeroPages * 1000) / stop.zeroPagesPerSecond;
  // QEMU hands over all that is dirty, whether an older copy of it waits already or not.
  const insideMs = (left.dirtyPages * 1000) / stop.handOverPagesPerSecond;
  return Math.max(linkMs, endsMs, insideMs);
}

/** Those that came to wait meanwhile cost what a fresh page does. */
function bytesOf(pages: number, pagesBefore: number, price: number, freshPrice: number): number {
  return Math.min(pages, pagesBefore) * price + Math.max(0, pages - pagesBefore) * freshPrice;
}

function hurried(stop: Stop, waiting: Waiting): Waiting {
  const { snapshot, history, prices, linkBytesPerSecond } = stop;
  const last = history.at(-1);
  const most = dirtiedMost(history);
  const left = afterHurry({
    waiting,
    handOverPagesPerSecond: stop.handOverPagesPerSecond,
    linkPagesPerSecond: linkBytesPerSecond / Math.max(1, prices.queued),
    endsPagesPerSecond: stop.endsPagesPerSecond,
    zeroPagesPerSecond: stop.zeroPagesPerSecond,
    writtenWithin: stop.writtenWithin,
    newShare: stop.newShare,
    writtenPagesMax: Math.max(most, waiting.dirtyPages),
    outsideShare:
      last === undefined || last.dirtyPages === 0 ? 1 : last.dirtyOutsideHoldPages / last.dirtyPages,
    heldGoes: heldOutlastsHurry(snapshot),
    heldAgainShare:
      last === undefined || most === 0 ? 0 : Math.min(1, dirtiedWithin(last, LOOK_EVERY_MS / 1000) / most),
    msMax: hurryMsMax(snapshot),
  });
  const dirtyPages = left.dirtyPages + stop.writtenWithin(STOP_LATENCY_MS / 1000);
  return { ...left, dirtyPages: Math.max(dirtyPages, stop.dirtyAtOnce) };
}

/**
 * The rest of the running pass is read and sent before the last sync finds part of it dirty again. What of it
 * waits still is replaced, and what has crossed was sent in vain.
 */
function sentInVain(stop: Stop): number {
  const restPages = stop.snapshot.sourceRemainingPages ?? 0;
  const writtenPages = dirtiedMost(stop.history);
  if (restPages === 0 || writtenPages === 0) return 0;
  const linkPagesPerSecond = stop.linkBytesPerSecond / stop.prices.fresh;
  const sentPages = restPages * Math.min(1, linkPagesPerSecond / stop.handOverPagesPerSecond);
  return sentPages * Math.min(1, stop.uncountedPagesNow / writtenPages);
}
