/**
 * How long QEMU's passes follow each other without a pause before the VM is stopped. With a pause between
 * them, all that the guest writes during the pause is read, sent and loaded while the VM is stopped. Without
 * one, a pass holds only what the guest wrote during the pass before. Where QEMU is read faster than the
 * guest writes, each pass is shorter than the last, and after a few of them almost nothing is dirty. Pure;
 * not responsible for making QEMU hurry.
 */

import type { Snapshot } from '../vm/index.ts';

/** Passes are hurried for this long at most. */
export const HURRY_MS_MAX = 2000;
/** A pass that takes no longer than this found next to nothing dirty. */
const SHORT_PASS_MS = 25;
/**
 * While passes are short, the hurry looks this often at the rest: what waits, or is not loaded at the far end
 * yet.
 */
export const LOOK_EVERY_MS = 50;
/** A rest of so few pages counts as none. */
const REST_PAGES_MAX = 128;
/**
 * When a look finds more than this share of the rest of the look before, the guest rewrites about as much as
 * is sent.
 */
const REST_SHARE_MAX = 0.8;
/**
 * A pass longer than this share of the shortest so far is no shorter: the guest writes about as fast as QEMU
 * is read.
 */
const PASS_SHARE_MAX = 0.9;
/** One such pass may have been held up by the host; two have not. */
const NO_SHORTER_TIMES = 2;

/** A sync that finds so little is handed over in no time, however fast the guest writes. */
const HAND_OVER_MS_FEW = 200;
/**
 * Handing over what the newest sync found takes this share of the pass: hurrying makes the next no
 * shorter.
 */
const PASS_BUSY_SHARE = 0.6;
/** Nor where the running pass finds as much as the one before, which QEMU may have been kept waiting in. */
const PASS_SAME_SHARE = 0.95;

/**
 * How long passes are hurried at most. Not at all where QEMU takes about as long to hand over what a sync
 * finds as the guest took to write it: the next pass would find the same again, and the time is lost.
 */
export function hurryMsMax({
  lastPass,
  passPages = 0,
  handOverPagesPerSecond,
}: Pick<Snapshot, 'lastPass' | 'passPages' | 'handOverPagesPerSecond'>): number {
  if (lastPass == null || handOverPagesPerSecond == null) return HURRY_MS_MAX;
  const handOverMs = (lastPass.pages * 1000) / handOverPagesPerSecond;
  if (handOverMs <= HAND_OVER_MS_FEW) return HURRY_MS_MAX;
  const findsTheSame = passPages >= PASS_SAME_SHARE * lastPass.pages;
  const isInVain = findsTheSame || handOverMs > PASS_BUSY_SHARE * lastPass.durationMs;
  return isInVain ? 0 : HURRY_MS_MAX;
}

/**
 * What surely leaves during a hurry, at `perSecond` of pages or bytes: as much as goes between its start and
 * the second look. A hurry that has a rest to send takes two looks, because the first has nothing to compare
 * with. Whether there is a third depends on what the second finds.
 */
export function amountInHurry(perSecond: number): number {
  return (2 * LOOK_EVERY_MS * Math.max(0, perSecond)) / 1000;
}

/**
 * Does the held set take longer than what surely leaves during a hurry? Then its coldest pages are sent
 * meanwhile: the link would have nothing to do once the rest is sent. Not where deltas make the held set a
 * matter of milliseconds: a page that changes again then costs the far end more time than it saves the link.
 */
export function heldOutlastsHurry(
  snapshot: Pick<
    Snapshot,
    'backlog' | 'bandwidthBytesPerSecond' | 'slowerEndPagesPerSecond' | 'lastPass' | 'passPages'
  >,
): boolean {
  const { backlog, bandwidthBytesPerSecond, slowerEndPagesPerSecond } = snapshot;
  if (backlog.heldBytes > amountInHurry(bandwidthBytesPerSecond ?? Number.POSITIVE_INFINITY)) return true;
  return slowerEndPagesPerSecond != null && outlastsAtEnds(snapshot, slowerEndPagesPerSecond);
}

/**
 * The same by pages: what QEMU has found dirty and not handed over may be held too. The ends keep up only
 * with a guest that writes fewer pages than they carry.
 */
function outlastsAtEnds(
  { backlog, lastPass, passPages = 0 }: Pick<Snapshot, 'backlog' | 'lastPass' | 'passPages'>,
  pagesPerSecond: number,
): boolean {
  if (lastPass == null || lastPass.pages * 1000 >= pagesPerSecond * lastPass.durationMs) return false;
  const comingPages = Math.max(0, lastPass.pages - passPages);
  return backlog.heldPages + comingPages > amountInHurry(pagesPerSecond);
}

export class HurriedPasses {
  readonly #restShareMax: number;
  #passMs = Number.NEGATIVE_INFINITY;
  #shortestMs = Number.POSITIVE_INFINITY;
  #noShorter = 0;
  #restPagesBefore = Number.POSITIVE_INFINITY;
  #lookMs: number | null = null;

  constructor(restShareMax = REST_SHARE_MAX) {
    this.#restShareMax = restShareMax;
  }

  /** A pass begins; `restPages` wait, or are not loaded at the far end yet. True: the VM may be stopped. */
  begin(nowMs: number, restPages: number): boolean {
    const lengthMs = nowMs - this.#passMs;
    const isShort = lengthMs <= SHORT_PASS_MS;
    if (!isShort && lengthMs > PASS_SHARE_MAX * this.#shortestMs) this.#noShorter++;
    this.#shortestMs = Math.min(this.#shortestMs, lengthMs);
    this.#lookMs = isShort ? (this.#lookMs ?? nowMs) : null;
    this.#passMs = nowMs;
    if (isShort && restPages <= REST_PAGES_MAX) return true;
    if (this.#noShorter >= NO_SHORTER_TIMES) return true;
    if (this.#lookMs === null || nowMs - this.#lookMs < LOOK_EVERY_MS) return false;
    const hardlyShrinks = restPages > this.#restShareMax * this.#restPagesBefore;
    this.#restPagesBefore = restPages;
    this.#lookMs = nowMs;
    return hardlyShrinks;
  }
}
