/**
 * What the hurried passes before a stop (hurry.ts) will do to the pages that wait, so that the prediction
 * counts only what is left of them. Pure; not responsible for the prediction itself (predict.ts).
 */

import { dirtiedMost, dirtiedWithin } from '../strategy/index.ts';
import type { IterationStats, Snapshot } from '../vm/index.ts';
import { amountInHurry, HURRY_MS_MAX, heldOutlastsHurry, LOOK_EVERY_MS, SHORT_PASS_MS } from './hurry.ts';

/**
 * Of `pages` that are dirty when the hurry begins, how many are when it ends. Each pass holds what the guest
 * dirtied while the one before was read. Where pages are read faster than the guest writes, few are left;
 * where not, the VM is stopped in the midst of a pass.
 */
export function pagesAfterHurry(pages: number, last: IterationStats, pagesPerSecond: number): number {
  let left = pages;
  let passSeconds = left / pagesPerSecond;
  for (
    let spentSeconds = passSeconds;
    spentSeconds < HURRY_MS_MAX / 1000 && passSeconds > SHORT_PASS_MS / 1000;
    spentSeconds += passSeconds
  ) {
    left = dirtiedWithin(last, passSeconds);
    passSeconds = left / pagesPerSecond;
  }
  return left;
}

export interface HurrySends {
  /** Of the pages outside the hold, those that leave for good. */
  readonly restPages: number;
  /** Of the held set, the share that leaves for good. */
  readonly heldShare: number;
}

export interface HurryQuestion {
  readonly snapshot: Snapshot;
  readonly history: readonly IterationStats[];
  /** Pages outside the hold that can leave: known ones, under way or queued. */
  readonly restPages: number;
  /** What the link and both ends carry. */
  readonly pagesPerSecond: number;
  /** Of the pages that the guest keeps writing, the share that does not wait already. */
  readonly newShare: number;
}

/** What a hurry that begins now surely sends for good. */
export function hurrySends(question: HurryQuestion): HurrySends {
  const { snapshot, history, pagesPerSecond, newShare } = question;
  // What begins to wait meanwhile takes its share of the link.
  const capacityPages = amountInHurry(pagesPerSecond - comingPagesPerSecond(history, newShare));
  const restPages = Math.min(question.restPages, capacityPages);
  const idlePages = snapshot.gateHeld && heldOutlastsHurry(snapshot) ? capacityPages - restPages : 0;
  return { restPages, heldShare: heldShareSent(idlePages, snapshot.backlog.heldPages, history) };
}

/** Pages outside the hold that begin to wait, a second. */
function comingPagesPerSecond(history: readonly IterationStats[], newShare: number): number {
  const last = history.at(-1);
  if (last === undefined || last.index === 0 || last.dirtyPages === 0) return 0;
  const outsideShare = last.dirtyOutsideHoldPages / last.dirtyPages;
  const seconds = LOOK_EVERY_MS / 1000;
  return (dirtiedWithin(last, seconds) / seconds) * outsideShare * newShare;
}

/**
 * `idlePages` of the held set are sent once the rest has left; some of them the guest writes again before the
 * stop.
 */
function heldShareSent(idlePages: number, heldPages: number, history: readonly IterationStats[]): number {
  const last = history.at(-1);
  const writtenPages = dirtiedMost(history);
  if (idlePages <= 0 || last === undefined || writtenPages === 0) return 0;
  const againShare = Math.min(1, dirtiedWithin(last, LOOK_EVERY_MS / 1000) / writtenPages);
  return Math.min(1, idlePages / heldPages) * (1 - againShare);
}
