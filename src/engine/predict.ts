/** How long the VM would be down if it were stopped now. Not responsible for deciding whether that is good enough. */

import { backlogBytes, bytesPerPage, dirtiedMost, dirtiedWithin, pagesAtSource } from '../strategy/index.ts';
import type { IterationStats, Snapshot } from '../vm/index.ts';
import { goneInHurry, HURRY_MS_MAX, heldOutlastsHurry, SHORT_PASS_MS, SHORT_PASSES_MS } from './hurry.ts';
import type { PassArrivals } from './state.ts';

export interface Prediction {
  /** null while the link rate is unknown. */
  readonly downtimeMs: number | null;
  /** All that would cross the link with the VM stopped. */
  readonly bytes: number;
  /** The part QEMU would hand over after the stop: dirty pages inside it, and those dirtied since the last sync. */
  readonly burstBytes: number;
}

export interface PassesSeen {
  /** Passes since `migrate` when the running iteration began. */
  readonly atIterationStart: number;
  readonly arrivals: PassArrivals | null;
}

/** QMP `stop` and the last sync take a moment in which the guest still writes (2 ms answered, events prompt; measured). */
const STOP_LATENCY_MS = 10;
/** A hurried pass over next to nothing. */
const HURRIED_PASS_MS = 10;

/**
 * Pages dirtied within `seconds`, which nobody has counted yet, by the rates at which pages are rewritten. Those that wait already are not
 * new: a hot set that waits is not dirtied anew, and a QEMU that stalls must not make the forecast grow for ever.
 */
function unknownPages(
  snapshot: Snapshot,
  history: readonly IterationStats[],
  passes: PassesSeen,
  seconds: number,
): number {
  const last = history.at(-1);
  if (last === undefined || last.index === 0 || dirtiedMost(history) === 0) return 0;
  // A page cools slowly, a guest may fall quiet at once: no more than the running iteration saw, once it has had a whole pass.
  const hadPass = snapshot.passes > passes.atIterationStart;
  const seen = hadPass ? snapshot.dirtyPages : Math.max(last.dirtyPages, snapshot.dirtyPages);
  const fresh = Math.min(dirtiedWithin(last, seconds), asInPasses(snapshot, passes.arrivals, seconds));
  const perSecond = snapshot.appliedPagesPerSecond ?? null;
  const dirty =
    perSecond === null ? fresh : hurried(passBehind(snapshot, passes.arrivals) + fresh, last, perSecond);
  return Math.min(dirty, seen);
}

/** Of the pages that the guest keeps writing, those that do not wait already. */
function newShareOf(snapshot: Snapshot, history: readonly IterationStats[], pageCount: number): number {
  const most = dirtiedMost(history);
  return most === 0 ? 1 : Math.max(0, 1 - hotWaiting(snapshot, most, pageCount) / most);
}

/** Pages outside the hold that begin to wait, a second. */
function comingPerSecond(history: readonly IterationStats[], newShare: number): number {
  const last = history.at(-1);
  if (last === undefined || last.index === 0 || last.dirtyPages === 0) return 0;
  const outsideShare = last.dirtyOutsideHoldPages / last.dirtyPages;
  const seconds = SHORT_PASSES_MS / 1000;
  return (dirtiedWithin(last, seconds) / seconds) * outsideShare * newShare;
}

/**
 * Waiting pages that the guest is known to write: held ones, and queued ones but those that are cold and were never sent. Hot pages that were
 * never sent wait longest, because the coldest go first.
 */
function hotWaiting(snapshot: Snapshot, most: number, pageCount: number): number {
  const { queuedPages, heldPages } = snapshot.backlog;
  const neverSent = pageCount - (snapshot.sentPages - snapshot.resentPages);
  const coldNeverSent = Math.max(0, neverSent - Math.max(heldPages, most));
  return heldPages + Math.max(0, queuedPages - coldNeverSent);
}

/** Pages dirtied within `seconds` if the guest goes on as in the newest passes: what the last one handed over, or this one has so far. */
function asInPasses(snapshot: Snapshot, arrivals: PassArrivals | null, seconds: number): number {
  const last = arrivals?.last ?? null;
  if (arrivals === null || last === null) return Number.POSITIVE_INFINITY;
  const soFar = (snapshot.arrivedPages ?? 0) - arrivals.arrivedPages;
  const isHandedOver = snapshot.sourceRemainingPages === 0;
  const pages = isHandedOver ? soFar : Math.max(last.pages, soFar);
  return (pages * seconds * 1000) / last.durationMs;
}

/** What QEMU found dirty at its last sync and has not handed over, if it is as much as at the one before; 0 where it is all here. */
function passBehind(snapshot: Snapshot, arrivals: PassArrivals | null): number {
  if (!arrivals?.last || snapshot.sourceRemainingPages === 0) return 0;
  return Math.max(0, arrivals.last.pages - ((snapshot.arrivedPages ?? 0) - arrivals.arrivedPages));
}

/**
 * Passes follow each other without a pause before the VM is stopped: each holds what was dirtied while the one before was read. Where they are
 * read faster than the guest writes, little is left of `pages`; where not, the VM is stopped amid a pass.
 */
function hurried(pages: number, last: IterationStats, pagesPerSecond: number): number {
  let left = pages;
  let passSeconds = left / pagesPerSecond;
  for (
    let spent = passSeconds;
    spent < HURRY_MS_MAX / 1000 && passSeconds > SHORT_PASS_MS / 1000;
    spent += passSeconds
  ) {
    left = dirtiedWithin(last, passSeconds);
    passSeconds = left / pagesPerSecond;
  }
  return left;
}

/** Of the held set, what goes during the hurry once the rest has gone, `pages` of it, and is not written again. */
function keptOfHeld(pages: number, heldPages: number, history: readonly IterationStats[]): number {
  const last = history.at(-1);
  const most = dirtiedMost(history);
  if (pages <= 0 || last === undefined || most === 0) return 0;
  const againShare = Math.min(1, dirtiedWithin(last, SHORT_PASSES_MS / 1000) / most);
  return Math.min(1, pages / heldPages) * (1 - againShare);
}

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
  const unknownWithin = (ms: number) => unknownPages(snapshot, history, passes, ms / 1000) * newShare;
  const unknown = unknownWithin((snapshot.sinceSyncMs ?? 0) + STOP_LATENCY_MS);
  const burstPages = pagesAtSource(snapshot, pageCount, history) + unknown;
  const burstBytes = burstPages * pageBytes;
  const bytes = backlogBytes(snapshot) + (snapshot.underWayBytes ?? 0) + burstBytes;
  if (linkBytesPerSecond === null || linkBytesPerSecond <= 0) return { downtimeMs: null, bytes, burstBytes };
  const { queuedPages, heldPages, heldBytes } = snapshot.backlog;
  const applied = snapshot.appliedPagesPerSecond ?? Number.POSITIVE_INFINITY;
  const restPages = (bytes - heldBytes) / pageBytes;
  // Where the far side tells what it applies, `hurried` has said how much of the burst is left.
  const isTold = Number.isFinite(applied);
  const goesPerSecond =
    Math.min(linkBytesPerSecond / pageBytes, applied) - comingPerSecond(history, newShare);
  const gone = Math.min(isTold ? restPages - burstPages : restPages, goneInHurry(goesPerSecond));
  const newest = isTold ? 0 : unknownWithin(HURRIED_PASS_MS + STOP_LATENCY_MS);
  const left = snapshot.gateHeld ? restPages - gone + newest : restPages;
  const leftShare = restPages > 0 ? Math.min(1, left / restPages) : 1;
  const spare = snapshot.gateHeld && heldOutlastsHurry(snapshot) ? goneInHurry(goesPerSecond) - gone : 0;
  const heldShare = 1 - keptOfHeld(spare, heldPages, history);
  const linkMs = ((heldShare * heldBytes + leftShare * (bytes - heldBytes)) * 1000) / linkBytesPerSecond;
  // Deltas of a few bytes cross any link at once; encoding, applying and loading so many pages is what takes the time then.
  const applyMs = ((heldShare * heldPages + leftShare * (queuedPages + burstPages)) * 1000) / applied;
  return { downtimeMs: Math.max(linkMs, applyMs) + fixedDowntimeMs, bytes, burstBytes };
}
