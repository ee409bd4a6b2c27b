/**
 * What the hurried passes before a stop (hurry.ts) will do to the pages that wait, so that the prediction
 * counts only what is left of them. The hurry is played through, and the judge that ends the live one ends
 * this one too. Pure; not responsible for the prediction itself (predict.ts).
 */

import { HurriedPasses } from './hurry.ts';

/** Pages that the destination lacks. */
export interface Waiting {
  /** Dirty inside QEMU: found by its last sync and not handed over yet, or written since. */
  readonly dirtyPages: number;
  /** Queued at the gateway and not zero. */
  readonly queuedPages: number;
  readonly zeroPages: number;
  readonly heldPages: number;
}

export interface HurryQuestion {
  readonly waiting: Waiting;
  readonly handOverPagesPerSecond: number;
  /** Pages that are not zero: what the link carries, and what both ends do. */
  readonly linkPagesPerSecond: number;
  readonly endsPagesPerSecond: number;
  readonly zeroPagesPerSecond: number;
  /** Distinct pages that the guest writes within so many seconds. */
  readonly writtenWithin: (seconds: number) => number;
  /** Of the written pages, the share that does not wait already, and of these the share outside the hold. */
  readonly newShare: number;
  readonly outsideShare: number;
  /** All pages that the guest keeps writing: no more than the new ones among them can come to wait. */
  readonly writtenPagesMax: number;
  /** Held pages go while the link has nothing else; of what goes, this share is written again by the stop. */
  readonly heldGoes: boolean;
  readonly heldAgainShare: number;
  /** The hurry ends by then. */
  readonly msMax: number;
}

/** A pass that finds next to nothing takes this long: QEMU has the sync and a turn of ours (measured). */
const PASS_MS_MIN = 10;

/** What is left of `question.waiting` when the hurry ends. */
export function afterHurry(question: HurryQuestion): Waiting {
  const judge = new HurriedPasses(REST_SHARE_SURE);
  let left = question.waiting;
  let nowMs = 0;
  do {
    const passMs = Math.max(PASS_MS_MIN, (left.dirtyPages * 1000) / question.handOverPagesPerSecond);
    left = afterPass(question, left, Math.min(passMs, question.msMax - nowMs) / 1000);
    nowMs += passMs;
  } while (nowMs < question.msMax && !judge.begin(nowMs, restPages(question, left)));
  return left;
}

/**
 * The live judge is less strict. What shrinks by less from one look to the next may as well not shrink: some
 * of what the guest writes meanwhile is not foreseen.
 */
const REST_SHARE_SURE = 0.6;

/** All that is to go before the stop. */
function restPages({ heldGoes }: HurryQuestion, { queuedPages, zeroPages, heldPages }: Waiting): number {
  return queuedPages + zeroPages + (heldGoes ? heldPages : 0);
}

/** QEMU hands over what was dirty, the guest writes on, and what waits is sent. */
function afterPass(question: HurryQuestion, before: Waiting, seconds: number): Waiting {
  const { endsPagesPerSecond, newShare, outsideShare } = question;
  const arrived = Math.min(before.dirtyPages, seconds * question.handOverPagesPerSecond);
  const { waiting } = question;
  const newMax = waiting.queuedPages + waiting.heldPages + question.writtenPagesMax * newShare;
  const came = Math.min(arrived * newShare, Math.max(0, newMax - before.queuedPages - before.heldPages));
  const queued = before.queuedPages + came * outsideShare;
  const held = before.heldPages + came * (1 - outsideShare);
  const room = seconds * Math.min(question.linkPagesPerSecond, endsPagesPerSecond);
  const sent = Math.min(queued, room);
  // Up to half of each batch are zero pages; once nothing else is queued, the ends have all their time for
  // them.
  const zeroRoom =
    sent < queued ? sent : sent + (seconds - sent / endsPagesPerSecond) * question.zeroPagesPerSecond;
  const zeroSent = Math.min(before.zeroPages, zeroRoom);
  const heldSent = question.heldGoes ? Math.min(held, room - sent) * (1 - question.heldAgainShare) : 0;
  return {
    dirtyPages: before.dirtyPages - arrived + question.writtenWithin(seconds),
    queuedPages: queued - sent,
    zeroPages: before.zeroPages - zeroSent,
    heldPages: held - heldSent,
  };
}
