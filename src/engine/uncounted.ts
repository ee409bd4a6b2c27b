/**
 * Pages that the guest has dirtied since QEMU's last dirty sync. Nobody has counted them, so they are
 * estimated from what earlier syncs and passes brought. Pure; not responsible for what they cost
 * (predict.ts).
 */

import { dirtiedMost, dirtiedWithin, pagesAbove } from '../strategy/index.ts';
import type { IterationStats, Snapshot } from '../vm/index.ts';
import type { PassArrivals } from './state.ts';

export interface PassesSeen {
  /** Passes since `migrate` when the running iteration began. */
  readonly atIterationStart: number;
  readonly arrivals: PassArrivals | null;
}

/**
 * Distinct pages dirtied within `seconds`, whether they wait already or not. The estimate is never more than
 * a whole iteration has shown: while QEMU stalls, `seconds` grow and the estimate must not.
 */
export function uncountedPages(
  snapshot: Snapshot,
  history: readonly IterationStats[],
  passes: PassesSeen,
  seconds: number,
): number {
  const last = history.at(-1);
  if (last === undefined || last.index === 0 || dirtiedMost(history) === 0) return 0;
  // Rewrite rates fall slowly and a guest may fall quiet at once: a running iteration that has had a whole
  // pass is believed.
  const hadPass = snapshot.passes > passes.atIterationStart;
  const pagesMax = hadPass ? snapshot.dirtyPages : Math.max(last.dirtyPages, snapshot.dirtyPages);
  const byRates = dirtiedWithin(last, seconds);
  return Math.min(byRates, dirtiedAsInPasses(snapshot, passes.arrivals, seconds), pagesMax);
}

/** Of this many passes, a page that was dirty in one of them may as well be written at every moment. */
const PASSES_FEW = 2;
/** So it may where the passes of an iteration found it dirty more often than not. */
const OFTEN_SHARE = 0.7;

/**
 * A hurry's passes are shorter than those that rates were read off. Pages that nearly every sync found dirty
 * are dirty again at once, as far as anybody knows.
 */
export function dirtyAtOnce(history: readonly IterationStats[], passes: PassesSeen): number {
  const last = history.at(-1);
  if (last === undefined || last.index === 0 || last.passes === 0) return 0;
  // What the newest pass has shown goes before what the iteration has.
  const pagesMax = Math.min(last.dirtyPages, passes.arrivals?.last?.pages ?? Number.POSITIVE_INFINITY);
  if (last.passes <= PASSES_FEW) return pagesMax;
  const spacingSeconds = last.durationMs / last.passes / 1000;
  return Math.min(pagesMax, pagesAbove(last, OFTEN_SHARE / spacingSeconds));
}

/**
 * Pages dirtied within `seconds` if the guest writes as in the newest passes; Infinity where no pass tells.
 */
function dirtiedAsInPasses(snapshot: Snapshot, arrivals: PassArrivals | null, seconds: number): number {
  const last = arrivals?.last ?? null;
  if (arrivals === null || last === null) return Number.POSITIVE_INFINITY;
  const arrivedPages = arrivedSinceSync(snapshot, arrivals);
  const isHandedOver = snapshot.sourceRemainingPages === 0;
  const pages = isHandedOver ? arrivedPages : Math.max(last.pages, arrivedPages);
  return (pages * seconds * 1000) / last.durationMs;
}

/**
 * Pages that QEMU found dirty at its last sync and has not handed over. Where QEMU does not say, it found as
 * many as at the sync before.
 */
export function insidePages(snapshot: Snapshot, { arrivals }: PassesSeen): number {
  if (snapshot.sourceRemainingPages != null) return snapshot.sourceRemainingPages;
  if (!arrivals?.last) return 0;
  return Math.max(0, arrivals.last.pages - arrivedSinceSync(snapshot, arrivals));
}

function arrivedSinceSync(snapshot: Snapshot, arrivals: PassArrivals): number {
  return (snapshot.arrivedPages ?? 0) - arrivals.arrivedPages;
}

/**
 * Of the pages that the guest keeps writing, the share that does not wait already: a page that waits costs
 * nothing more when it is rewritten.
 */
export function newShareOf(
  snapshot: Snapshot,
  history: readonly IterationStats[],
  pageCount: number,
): number {
  const writtenPages = dirtiedMost(history);
  if (writtenPages === 0) return 1;
  return Math.max(0, 1 - rewrittenWaitingPages(snapshot, writtenPages, pageCount) / writtenPages);
}

/**
 * Waiting pages that the guest is known to write: the held ones, and the queued ones but for those that are
 * cold and were never sent. The coldest go first, so of the pages that were never sent the last
 * `writtenPages` are the hot ones.
 */
function rewrittenWaitingPages(snapshot: Snapshot, writtenPages: number, pageCount: number): number {
  const { queuedPages, heldPages } = snapshot.backlog;
  const neverSent = pageCount - (snapshot.sentPages - snapshot.resentPages);
  const coldNeverSent = Math.max(0, neverSent - Math.max(heldPages, writtenPages));
  return heldPages + Math.max(0, queuedPages - coldNeverSent);
}
