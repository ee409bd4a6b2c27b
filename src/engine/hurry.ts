/**
 * How long QEMU's passes follow each other without a pause before the VM is stopped. Passes kept apart leave as much to be read, sent and
 * loaded with the VM stopped as the guest writes in between; without the spacing each is as short as the one before was small: a few of them,
 * and almost nothing is dirty when the VM stops. Pure; not responsible for making QEMU hurry.
 */

import type { Snapshot } from '../vm/index.ts';

/** As long as passes are hurried at most. */
export const HURRY_MS_MAX = 2000;
/** A pass is short when the guest has written next to nothing since the sync before it. */
export const SHORT_PASS_MS = 25;
/** Passes stay short for so long. */
export const SHORT_PASSES_MS = 50;
/** What is not loaded at the far end is gone but for so much, or shrinks by less than this meanwhile: then waiting is resending. */
const REST_PAGES_MAX = 128;
const REST_SHRINKS = 0.8;
/** The guest writes as fast as passes are read: another is no shorter. Twice, because one may have been held up. */
const NO_SHORTER = 0.9;
const NO_SHORTER_TIMES = 2;

/** What goes for good while passes are hurried, `perSecond` of it: the two looks that a hurry over a rest takes; a third is not sure. */
export function goneInHurry(perSecond: number): number {
  return (2 * SHORT_PASSES_MS * Math.max(0, perSecond)) / 1000;
}

/**
 * What is held takes the link for longer than passes are hurried: the coldest of it goes meanwhile, for the link would run dry once the rest
 * has gone. Not where deltas make it a matter of milliseconds: there the far end's time for pages that change again is what counts.
 */
export function heldOutlastsHurry({
  backlog,
  bandwidthBytesPerSecond,
}: Pick<Snapshot, 'backlog' | 'bandwidthBytesPerSecond'>): boolean {
  const inHurry = goneInHurry(bandwidthBytesPerSecond ?? Number.POSITIVE_INFINITY);
  return backlog.heldBytes > inHurry;
}

export class HurriedPasses {
  #passMs = Number.NEGATIVE_INFINITY;
  #shortestMs = Number.POSITIVE_INFINITY;
  #noShorter = 0;
  #lastRestPages = Number.POSITIVE_INFINITY;
  #shortSinceMs: number | null = null;

  /** A pass begins; `restPages`: waiting, or not loaded at the far end yet. True: the VM may be stopped. */
  begin(nowMs: number, restPages: number): boolean {
    const lengthMs = nowMs - this.#passMs;
    const isShort = lengthMs <= SHORT_PASS_MS;
    if (!isShort && lengthMs > NO_SHORTER * this.#shortestMs) this.#noShorter++;
    this.#shortestMs = Math.min(this.#shortestMs, lengthMs);
    this.#shortSinceMs = isShort ? (this.#shortSinceMs ?? nowMs) : null;
    this.#passMs = nowMs;
    if (isShort && restPages <= REST_PAGES_MAX) return true;
    if (this.#noShorter >= NO_SHORTER_TIMES) return true;
    if (this.#shortSinceMs === null || nowMs - this.#shortSinceMs < SHORT_PASSES_MS) return false;
    const enough = restPages > REST_SHRINKS * this.#lastRestPages;
    this.#lastRestPages = restPages;
    this.#shortSinceMs = nowMs;
    return enough;
  }
}
