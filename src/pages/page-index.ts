/**
 * What is known of every page without its content: dirty history, heat, membership in the hold set, and
 * where its newest copy waits. The simulator runs this same class. Not responsible for contents
 * (page-store.ts), for which pages a hold keeps back (hold-members.ts) or an order takes next
 * (send-queue.ts), for deciding anything (src/strategy), or for time: ticks are arguments.
 */

import { assert } from '../base/index.ts';
import {
  type Backlog,
  type Hold,
  type IterationStats,
  type Order,
  PAGE_SIZE_BYTES,
  REWRITE_CLASSES,
  regionPagesOf,
} from '../vm/index.ts';
import { heatTickOf, REWRITE_CLASS_OF_CODE, ratePerSecondOfCode } from './heat.ts';
import { entersNow, HOLD_DIRTY_AGAIN, HOLD_RATE, HOLD_REGIONS, HOLD_WINDOW } from './hold.ts';
import { HoldMembers } from './hold-members.ts';
import { IterationLog } from './iteration-log.ts';
import { IterationTally } from './iteration-tally.ts';
import { LayeredBitmap } from './layered-bitmap.ts';
import {
  DIRTY_NOW,
  HISTORY_MASK,
  HISTORY_SHIFT,
  historyBits,
  MEMBER,
  type PageState,
  SEEN,
  SENT,
  STATE_HELD,
  STATE_MASK,
  STATE_NONE,
  STATE_QUEUED,
  ZERO,
} from './layout.ts';
import { PageHeat } from './page-heat.ts';
import { Prices } from './prices.ts';
import { SendQueue } from './send-queue.ts';
import type { IndexSnapshot, IterationEnd } from './types.ts';

const RAW_PAGE_BYTES = PAGE_SIZE_BYTES + 8;

export class PageIndex {
  readonly pageCount: number;
  readonly regionPages: number;
  readonly regionCount: number;
  readonly #meta: Int32Array;
  readonly #heat: PageHeat;
  readonly #heatBytes: number;
  readonly #queue: SendQueue;
  /**
   * Pages dirty in one of the last 8 iterations, and members of F: all that an iteration's end
   * has to look at.
   */
  readonly #recent: LayeredBitmap;
  readonly #log = new IterationLog();
  readonly #regionShift: number;
  readonly #tally: IterationTally;
  readonly #members: HoldMembers;
  readonly #prices = new Prices(RAW_PAGE_BYTES);

  #firstPassDone = false;
  #spilledPages = 0;

  constructor(pageCount: number) {
    this.pageCount = pageCount;
    this.regionPages = regionPagesOf(pageCount);
    this.regionCount = Math.ceil(pageCount / this.regionPages);
    this.#regionShift = Math.log2(this.regionPages);
    this.#meta = new Int32Array(pageCount);
    const heat = new Uint16Array(pageCount);
    this.#heat = new PageHeat(heat);
    this.#heatBytes = heat.byteLength;
    this.#queue = new SendQueue(this.#meta, heat, this.#regionShift, this.regionCount);
    this.#recent = new LayeredBitmap(pageCount);
    this.#tally = new IterationTally(this.regionCount);
    this.#members = new HoldMembers({
      meta: this.#meta,
      heat: this.#heat,
      queue: this.#queue,
      recent: this.#recent,
      tally: this.#tally,
      regionPages: this.regionPages,
    });
  }

  static bytesFor(pageCount: number): number {
    return pageCount * 6 + SendQueue.bytesFor(pageCount) + LayeredBitmap.bytesFor(pageCount);
  }

  /** Bookkeeping, as allocated. */
  get byteLength(): number {
    return this.#meta.byteLength + this.#heatBytes + this.#queue.byteLength + this.#recent.byteLength;
  }

  /**
   * The newest copy of a page came out of QEMU's stream. During the first pass that says nothing about
   * dirtying; after it the page counts as dirty in the running iteration. `heatTick` (heatTickOf) must not go
   * back.
   */
  arrive(pageIndex: number, heatTick: number, zero = false): void {
    assert(pageIndex < this.pageCount, 'the page lies in the layout');
    this.#heat.advance(heatTick);
    let word = this.#meta[pageIndex]!;
    let first: boolean;
    if (this.#firstPassDone) {
      first = (word & DIRTY_NOW) === 0;
      if (first) this.#recent.add(pageIndex);
      word = this.#heat.noteRewrite(pageIndex, word) | DIRTY_NOW;
    } else first = (word & SEEN) === 0;
    if ((word & SEEN) === 0) this.#queue.noteFirst(pageIndex);
    word |= SEEN;
    const tally = this.#tally;
    if (first) {
      tally.dirtyPages++;
      tally.regionHistogram[pageIndex >>> this.#regionShift]!++;
    }
    const wasMember = word & MEMBER;
    const { hold, stopAndCopy } = this.#members;
    let held = false;
    let outside = true;
    if (hold.kind === HOLD_WINDOW || hold.kind === HOLD_RATE) {
      if (entersNow(hold, historyBits(word), this.#heat.codeOf(pageIndex))) word |= MEMBER;
      held = (word & MEMBER) !== 0;
      outside = !held;
      if (!first && held && wasMember === 0) tally.dirtyOutsideHoldPages--;
    } else if (hold.kind === HOLD_REGIONS) {
      held = this.#members.inHeldRegion(pageIndex);
      outside = !held;
    } else if (hold.kind === HOLD_DIRTY_AGAIN) held = (word & STATE_MASK) !== STATE_NONE;
    if (first && outside) tally.dirtyOutsideHoldPages++;
    this.#queue.place(pageIndex, word, held && !stopAndCopy ? STATE_HELD : STATE_QUEUED, zero ? 1 : 0);
  }

  /**
   * The next pages to send by the order in force; at most `max` and `out.length`. They leave the queue
   * and count as sent.
   */
  take(max: number, out: Uint32Array): number {
    return this.#queue.take(max, out);
  }

  /** For stop-and-copy: held pages, coldest first, hottest last. They count as sent. */
  takeHeld(max: number, out: Uint32Array): number {
    return this.#queue.takeHeld(max, out);
  }

  /** All held pages to the queue; F stays as it is. */
  releaseHeld(): void {
    for (let page = this.#queue.nextHeld(0); page >= 0; page = this.#queue.nextHeld(page + 1)) {
      this.#queue.move(page, STATE_QUEUED);
    }
  }

  /**
   * The cap is full of held pages: the coldest go to the queue, because something must be sent to make room.
   */
  spill(pages: number): number {
    const moved = this.#queue.spill(pages);
    this.#spilledPages += moved;
    return moved;
  }

  /**
   * true: the VM is stopped, so what arrives is final and goes to the queue even if it is in F. false: the
   * attempt was given up.
   */
  setStopAndCopy(on: boolean): void {
    this.#members.stopAndCopy = on;
    this.#queue.restartHeldWalk();
  }

  countSentBytes(sizeBytes: number): void {
    this.#log.countSentBytes(sizeBytes);
  }

  /** Average bytes of a non-zero page on the link, as encoded lately. */
  setEncodedBytesEstimate(bytesPerPage: number): void {
    this.#prices.wholeBytes = bytesPerPage;
  }

  /**
   * A number: deltas pay, so a hot page is sent once before it is held, and its last copy will take
   * `deltaBytesPerPage`. null: they do not pay, so a hot page is held from the start and goes whole.
   */
  setDeltaHold(deltaBytesPerPage: number | null): void {
    if ((deltaBytesPerPage === null) !== (this.#prices.deltaBytes === null)) {
      this.#queue.setSendOnce(deltaBytesPerPage !== null);
    }
    this.#prices.deltaBytes = deltaBytesPerPage;
  }

  setOrder(order: Order): void {
    this.#queue.setOrder(order);
  }

  /**
   * Takes effect for arrivals at once. Members are evaluated again; those that are no longer members go back
   * to the queue.
   */
  setHold(hold: Hold): void {
    this.#members.set(hold, this.#firstPassDone);
  }

  /**
   * The running iteration is over (the first one is QEMU's first pass). Work grows with
   * the pages dirtied lately.
   */
  endIteration(end: IterationEnd): IterationStats {
    this.#heat.advance(Math.max(this.#heat.tick, heatTickOf(end.nowMs)));
    this.#heat.ageCooled(end.nowMs - this.#log.startMs);
    const rewriteHistogram = new Float64Array(REWRITE_CLASSES);
    for (let page = this.#recent.next(0); page >= 0; page = this.#recent.next(page + 1)) {
      this.#closePage(page, rewriteHistogram);
    }
    this.#heat.addCooledTo(rewriteHistogram);
    if (this.#members.hold.kind === HOLD_DIRTY_AGAIN) this.releaseHeld();
    const stats: IterationStats = {
      ...this.#log.end(end.nowMs, this.#queue.sentPages, this.#queue.resentPages),
      passes: end.passes,
      dirtyPages: this.#tally.dirtyPages,
      dirtyOutsideHoldPages: this.#tally.dirtyOutsideHoldPages,
      backlog: this.backlog(),
      bandwidthBytesPerSecond: end.bandwidthBytesPerSecond,
      rewriteHistogram,
      regionHistogram: this.#tally.regionHistogram,
      regionPages: this.regionPages,
    };
    this.#firstPassDone = true;
    this.#tally.restart();
    this.#queue.restartHeldWalk();
    return stats;
  }

  /** One recently dirty page at the end of an iteration: membership, heat, then the history shifts. */
  #closePage(page: number, rewriteHistogram: Float64Array): void {
    let word = this.#meta[page]!;
    const history = historyBits(word);
    const code = this.#heat.effectiveCode(page, word);
    word = this.#members.reevaluate(page, word, code);
    const cools = history === 0 && (word & MEMBER) === 0;
    if (cools) {
      this.#recent.delete(page);
      word = this.#heat.cool(page, word, code);
    } else {
      rewriteHistogram[REWRITE_CLASS_OF_CODE[code]!]!++;
      word = this.#heat.pin(word);
      word = (word & ~HISTORY_MASK) | ((history << (HISTORY_SHIFT + 1)) & HISTORY_MASK);
    }
    this.#meta[page] = word;
    if ((word & STATE_MASK) === STATE_QUEUED) this.#queue.reclass(page, code);
  }

  /** What waits, as it would go over the link. */
  backlog(): Backlog {
    return this.#prices.backlog(this.#queue, this.#neverSentPages);
  }

  get #neverSentPages(): number {
    return this.pageCount - (this.#queue.sentPages - this.#queue.resentPages);
  }

  snapshot(): IndexSnapshot {
    return {
      backlog: this.backlog(),
      dirtyPages: this.#firstPassDone ? this.#tally.dirtyPages : 0,
      dirtyOutsideHoldPages: this.#firstPassDone ? this.#tally.dirtyOutsideHoldPages : 0,
      deltaPageBytes: this.#prices.deltaBytes,
      writtenPageBytes: this.#prices.writtenPageBytes(this.#neverSentPages / this.pageCount),
      sentPages: this.#queue.sentPages,
      resentPages: this.#queue.resentPages,
      sentBytes: this.#log.sentBytes,
      firstPassDone: this.#firstPassDone,
    };
  }

  /** Distinct pages that ever arrived. */
  get seenPages(): number {
    return this.#queue.seenPages;
  }
  get queuedPages(): number {
    return this.#queue.queuedPages;
  }
  get heldPages(): number {
    return this.#queue.heldPages;
  }
  /** Held pages that had to be queued to make room, since the start. */
  get spilledPages(): number {
    return this.#spilledPages;
  }
  get firstPassDone(): boolean {
    return this.#firstPassDone;
  }

  stateOf(pageIndex: number): PageState {
    return (this.#meta[pageIndex]! & STATE_MASK) as PageState;
  }

  isZero(pageIndex: number): boolean {
    return (this.#meta[pageIndex]! & ZERO) !== 0;
  }

  wasSeen(pageIndex: number): boolean {
    return (this.#meta[pageIndex]! & SEEN) !== 0;
  }

  wasSent(pageIndex: number): boolean {
    return (this.#meta[pageIndex]! & SENT) !== 0;
  }

  /** In the set that the hold in force keeps back (for dirty-again: held right now). */
  isMember(pageIndex: number): boolean {
    return this.#members.has(pageIndex);
  }

  /** Dirty bits of the last 8 iterations, bit 0 the running one. */
  historyOf(pageIndex: number): number {
    return historyBits(this.#meta[pageIndex]!);
  }

  /** Dirty within the last 8 iterations, or a member: likely to come again. */
  isRecent(pageIndex: number): boolean {
    return this.#recent.has(pageIndex);
  }

  /** Estimated rewrites a second now; 0 for a page never seen rewritten. */
  rewriteRatePerSecond(pageIndex: number): number {
    return ratePerSecondOfCode(this.#heat.effectiveCode(pageIndex, this.#meta[pageIndex]!));
  }

  /** Estimated modifications since the first pass (exact to 8). */
  modificationsOf(pageIndex: number): number {
    return this.#heat.modificationsOf(pageIndex);
  }
}
