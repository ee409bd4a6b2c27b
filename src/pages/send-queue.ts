/**
 * Which pages wait: eight queue classes and the held set, and the choice of the next ones to send.
 * It owns the state, zero and class bits of the page words; not responsible for deciding whether a
 * page is held (page-index.ts).
 */

import { assert, unreachable } from '../base/index.ts';
import type { Order } from '../vm/index.ts';
import { CLASS_OF_COUNTER, HEAT_CLASS_OF_CODE } from './heat.ts';
import { equalBytes } from './hold.ts';
import { LayeredBitmap } from './layered-bitmap.ts';
import {
  CLASS_SHIFT,
  CLASSES,
  COUNTER_MASK,
  COUNTER_SHIFT,
  INTERVAL_MASK,
  NOT_CLASS,
  SENT,
  STATE_HELD,
  STATE_MASK,
  STATE_NONE,
  STATE_QUEUED,
  ZERO,
} from './layout.ts';

/** A batch, so that what is taken at the frontier has arrived. */
const FRONTIER_PAGES = 1024;
const ZERO_SHIFT = 31 - Math.clz32(ZERO);

export class SendQueue {
  readonly #meta: Int32Array;
  readonly #heat: Uint16Array;
  readonly #queues: LayeredBitmap[] = [];
  /**
   * Queued pages of zeros, of whatever class. They hardly use the link, so they fill up batches of other
   * pages.
   */
  readonly #zeros: LayeredBitmap;
  /** Where each class goes on: ascending addresses, then around. */
  readonly #cursors = new Float64Array(CLASSES);
  readonly #held: LayeredBitmap;
  readonly #regionShift: number;
  /** The newest page among those never seen before: where QEMU's first pass is. */
  #frontier = 0;
  #seenPages = 0;
  #frontierTaken = 0;
  #order: Order = { kind: 'address' };
  #classOfRegion: Uint8Array;
  #queuedPages = 0;
  #heldZeroPages = 0;
  #sentPages = 0;
  #resentPages = 0;
  /** The walk over the held set, coldest class first: see #selectHeld. */
  #heldClass = -1;
  #heldCursor = 0;

  #sendOnce = false;

  constructor(meta: Int32Array, heat: Uint16Array, regionShift: number, regionCount: number) {
    this.#meta = meta;
    this.#heat = heat;
    this.#regionShift = regionShift;
    this.#classOfRegion = new Uint8Array(regionCount);
    for (let at = 0; at < CLASSES; at++) this.#queues.push(new LayeredBitmap(meta.length));
    this.#held = new LayeredBitmap(meta.length);
    this.#zeros = new LayeredBitmap(meta.length);
  }

  static bytesFor(pageCount: number): number {
    return (CLASSES + 2) * LayeredBitmap.bytesFor(pageCount);
  }

  get byteLength(): number {
    const others = this.#held.byteLength + this.#zeros.byteLength;
    return this.#queues.reduce((sum, queue) => sum + queue.byteLength, others);
  }
  get queuedPages(): number {
    return this.#queuedPages;
  }
  get queuedZeroPages(): number {
    return this.#zeros.count;
  }
  get heldPages(): number {
    return this.#held.count;
  }
  get heldZeroPages(): number {
    return this.#heldZeroPages;
  }
  get sentPages(): number {
    return this.#sentPages;
  }
  get resentPages(): number {
    return this.#resentPages;
  }
  get order(): Order {
    return this.#order;
  }

  /**
   * Writes `word` as the page's word with state `target` and the zero bit; its state bits say where
   * the page is now.
   */
  place(pageIndex: number, word: number, wanted: number, zero: number): void {
    const target = wanted === STATE_HELD && this.#sendOnce && (word & SENT) === 0 ? STATE_QUEUED : wanted;
    const state = word & STATE_MASK;
    const zeroBefore = (word >>> ZERO_SHIFT) & 1;
    if (state === STATE_QUEUED) {
      if (target !== STATE_QUEUED || zero !== zeroBefore) {
        this.#queueOf(pageIndex, word).delete(pageIndex);
        this.#queuedPages--;
      }
    } else if (state === STATE_HELD) {
      this.#heldZeroPages -= zeroBefore;
      if (target !== STATE_HELD) this.#held.delete(pageIndex);
    }
    if (target === STATE_QUEUED) {
      const isThere = state === STATE_QUEUED && zero === zeroBefore;
      if (!isThere) this.#queuedPages++;
      if (zero === 0) this.#queueInClass(pageIndex, isThere);
      else if (!isThere) this.#zeros.add(pageIndex);
    } else if (target === STATE_HELD) {
      this.#heldZeroPages += zero;
      if (state !== STATE_HELD) this.#held.add(pageIndex);
    }
    this.#meta[pageIndex] = (word & ~(STATE_MASK | ZERO)) | target | (zero << ZERO_SHIFT);
  }

  /**
   * true: a page is held only once the destination has a copy of it, so that its last copy can be a delta.
   */
  setSendOnce(on: boolean): void {
    this.#sendOnce = on;
    if (!on) return;
    for (let page = this.nextHeld(0); page >= 0; page = this.nextHeld(page + 1)) this.move(page, STATE_HELD);
  }

  /** Moves a page whose content did not change. */
  move(pageIndex: number, target: number): void {
    const word = this.#meta[pageIndex]!;
    this.place(pageIndex, word, target, (word >>> ZERO_SHIFT) & 1);
  }

  #queueOf(pageIndex: number, word: number): LayeredBitmap {
    return (word & ZERO) !== 0 ? this.#zeros : this.#queues[this.#heat[pageIndex]! >>> CLASS_SHIFT]!;
  }

  /**
   * A queued page's heat or region changed: into the class that it belongs to now. `code`
   * overrides the stored interval.
   */
  reclass(pageIndex: number, code = this.#heat[pageIndex]! & INTERVAL_MASK): void {
    if ((this.#meta[pageIndex]! & ZERO) !== 0) return;
    const heat = this.#heat[pageIndex]!;
    const before = heat >>> CLASS_SHIFT;
    const after = this.#classOf(pageIndex, (heat & ~INTERVAL_MASK) | code);
    if (before === after) return;
    this.#queues[before]!.delete(pageIndex);
    this.#queues[after]!.add(pageIndex);
    this.#heat[pageIndex] = (heat & NOT_CLASS) | (after << CLASS_SHIFT);
  }

  #queueInClass(pageIndex: number, isQueued: boolean): void {
    const heat = this.#heat[pageIndex]!;
    const after = this.#classOf(pageIndex, heat);
    const before = heat >>> CLASS_SHIFT;
    if (isQueued) {
      if (before === after) return;
      this.#queues[before]!.delete(pageIndex);
    }
    this.#queues[after]!.add(pageIndex);
    if (before !== after) this.#heat[pageIndex] = (heat & NOT_CLASS) | (after << CLASS_SHIFT);
  }

  #classOf(pageIndex: number, heat: number): number {
    switch (this.#order.kind) {
      case 'address':
        return 0;
      case 'coldest':
        return HEAT_CLASS_OF_CODE[heat & INTERVAL_MASK]!;
      case 'counter':
        return CLASS_OF_COUNTER[(heat >>> COUNTER_SHIFT) & COUNTER_MASK]!;
      case 'region':
        return this.#classOfRegion[pageIndex >>> this.#regionShift]!;
      default:
        return unreachable(this.#order, 'SendQueue');
    }
  }

  setOrder(order: Order): void {
    const classes = new Uint8Array(this.#classOfRegion.length);
    if (order.kind === 'region') {
      assert(order.classOfRegion.length <= classes.length, 'a region order has at most one class a region');
      for (let region = 0; region < order.classOfRegion.length; region++) {
        classes[region] = Math.min(CLASSES - 1, order.classOfRegion[region]!);
      }
    }
    if (order.kind === this.#order.kind && equalBytes(classes, this.#classOfRegion)) return;
    this.#order = order;
    this.#classOfRegion = classes;
    // A page moved to a higher class is met again there and stays.
    for (let at = 0; at < CLASSES; at++) {
      const queue = this.#queues[at]!;
      for (let page = queue.next(0); page >= 0; page = queue.next(page + 1)) this.reclass(page);
    }
  }

  noteFirst(pageIndex: number): void {
    this.#seenPages++;
    this.#frontier = pageIndex;
  }

  get seenPages(): number {
    return this.#seenPages;
  }

  /**
   * The next pages to send, in the order in force and with zero pages beside them; they are no longer queued.
   */
  take(max: number, out: Uint32Array): number {
    const limit = Math.min(max, out.length);
    const others = limit - Math.min(this.#zeros.count, limit >>> 1);
    let filled = 0;
    // Nothing is known of heat yet. Pages follow QEMU's own first pass, so that they are spread over RAM and
    // a hot region at low addresses is not sent whole in vain. The freshest copies go, whatever their class:
    // older ones have had the time to be written again, which the next sync will tell.
    if (this.#order.kind !== 'address' && this.#frontier !== this.#frontierTaken) {
      this.#frontierTaken = this.#frontier;
      const from = Math.max(0, this.#frontier - FRONTIER_PAGES);
      this.#cursors.fill(from);
      for (const queue of this.#queues) filled = queue.drain(from, out, filled, others);
    }
    for (let at = 0; at < CLASSES && filled < others; at++) {
      const before = filled;
      filled = drainRound(this.#queues[at]!, this.#cursors[at]!, out, filled, others);
      if (filled > before) this.#cursors[at] = out[filled - 1]! + 1;
    }
    filled = drainRound(this.#zeros, 0, out, filled, limit);
    let resent = 0;
    for (let position = 0; position < filled; position++) {
      const pageIndex = out[position]!;
      const word = this.#meta[pageIndex]!;
      if ((word & SENT) !== 0) resent++;
      this.#meta[pageIndex] = (word & ~STATE_MASK) | SENT;
    }
    this.#queuedPages -= filled;
    this.#sentPages += filled;
    this.#resentPages += resent;
    return filled;
  }

  /** Held pages, coldest class first, taken for sending. */
  takeHeld(max: number, out: Uint32Array): number {
    const limit = Math.min(max, out.length);
    for (let filled = 0; filled < limit; filled++) {
      const pageIndex = this.#nextHeld();
      if (pageIndex < 0) return filled;
      const word = this.#meta[pageIndex]!;
      out[filled] = pageIndex;
      this.#sentPages++;
      if ((word & SENT) !== 0) this.#resentPages++;
      this.#meta[pageIndex] = word | SENT;
      this.move(pageIndex, STATE_NONE);
    }
    return limit;
  }

  /** Up to `max` held pages, coldest class first, go to the queue; returns how many did. */
  spill(max: number): number {
    for (let moved = 0; moved < max; moved++) {
      const pageIndex = this.#nextHeld();
      if (pageIndex < 0) return moved;
      this.move(pageIndex, STATE_QUEUED);
    }
    return max;
  }

  nextHeld(from: number): number {
    return this.#held.next(from);
  }

  /** Smallest queued page in `from` .. `to` - 1, or -1. */
  nextQueued(from: number, to: number): number {
    let found = nextIn(this.#zeros, from, to);
    for (const queue of this.#queues) {
      const page = nextIn(queue, from, to);
      if (page >= 0 && (found < 0 || page < found)) found = page;
    }
    return found;
  }

  /** The heat of held pages was re-evaluated: look for the coldest ones anew. */
  restartHeldWalk(): void {
    this.#heldClass = -1;
  }

  // Walks the held set once a class, so that no order needs to be kept: at most 8 walks drain it, each
  // over what is left.
  #nextHeld(): number {
    for (;;) {
      if (this.#heldClass < 0) {
        if (this.#held.count === 0) return -1;
        this.#heldClass = this.#coldestHeldClass();
        this.#heldCursor = 0;
      }
      let page = this.#held.next(this.#heldCursor);
      while (page >= 0) {
        this.#heldCursor = page + 1;
        if (HEAT_CLASS_OF_CODE[this.#heat[page]! & INTERVAL_MASK]! <= this.#heldClass) return page;
        page = this.#held.next(page + 1);
      }
      this.#heldClass = -1;
    }
  }

  #coldestHeldClass(): number {
    let coldest = CLASSES - 1;
    for (let page = this.#held.next(0); page >= 0 && coldest > 0; page = this.#held.next(page + 1)) {
      coldest = Math.min(coldest, HEAT_CLASS_OF_CODE[this.#heat[page]! & INTERVAL_MASK]!);
    }
    return coldest;
  }
}

/** From the cursor to the end, then around. */
function drainRound(
  queue: LayeredBitmap,
  cursor: number,
  out: Uint32Array,
  from: number,
  limit: number,
): number {
  if (queue.count === 0 || from >= limit) return from;
  const filled = queue.drain(cursor, out, from, limit);
  return filled < limit && queue.count > 0 ? queue.drain(0, out, filled, limit) : filled;
}

function nextIn(queue: LayeredBitmap, from: number, to: number): number {
  const page = queue.count === 0 ? -1 : queue.next(from);
  return page < to ? page : -1;
}
