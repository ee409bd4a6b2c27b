/**
 * The copies that the destination is known to have, kept to send deltas against. They give way when room is needed: a
 * clock sweeps the pages and evicts those not dirtied lately (unlikely to be sent again) before the others. Evictions are
 * reported so that the far side drops the same ones. Not responsible for slots' memory.
 */

import { assert } from '../base/index.ts';
import { LayeredBitmap } from './layered-bitmap.ts';

/** Evictions waiting to be reported; none happens while this many wait. */
export const EVICTIONS_MAX = 65_536;

/** Recent pages passed over before one of them is evicted all the same. */
const SECOND_CHANCES = 64;

export class References {
  readonly #slots: Int32Array;
  readonly #pages: LayeredBitmap;
  readonly #evicted: Uint32Array;
  #evictedCount = 0;
  #evictedTotal = 0;
  #hand = 0;

  constructor(pageCount: number) {
    this.#slots = new Int32Array(pageCount).fill(-1);
    this.#pages = new LayeredBitmap(pageCount);
    this.#evicted = new Uint32Array(Math.min(pageCount, EVICTIONS_MAX));
  }

  static bytesFor(pageCount: number): number {
    return pageCount * 4 + LayeredBitmap.bytesFor(pageCount) + Math.min(pageCount, EVICTIONS_MAX) * 4;
  }

  /** Bytes that grow with RAM; the report of evictions is a buffer of fixed size. */
  get byteLength(): number {
    return this.#slots.byteLength + this.#pages.byteLength;
  }
  get count(): number {
    return this.#pages.count;
  }
  get evictedTotal(): number {
    return this.#evictedTotal;
  }
  /** References that may be evicted now. */
  get evictable(): number {
    return Math.min(this.#pages.count, this.#evicted.length - this.#evictedCount);
  }

  /** -1: none. */
  slotOf(pageIndex: number): number {
    return this.#slots[pageIndex]!;
  }

  set(pageIndex: number, slot: number): void {
    assert(this.#slots[pageIndex] === -1, 'a page has one reference');
    this.#slots[pageIndex] = slot;
    this.#pages.add(pageIndex);
  }

  /** Takes the reference off the page; returns its slot or -1. */
  remove(pageIndex: number): number {
    const slot = this.#slots[pageIndex]!;
    if (slot < 0) return -1;
    this.#slots[pageIndex] = -1;
    this.#pages.delete(pageIndex);
    return slot;
  }

  /** Evicts one reference; returns its slot, or -1 when none may go. */
  evict(isRecent: (pageIndex: number) => boolean): number {
    if (this.evictable === 0) return -1;
    let page = this.#atOrAfter(this.#hand);
    for (let chances = 0; chances < SECOND_CHANCES && isRecent(page); chances++)
      page = this.#atOrAfter(page + 1);
    this.#hand = page + 1;
    this.#evicted[this.#evictedCount++] = page;
    this.#evictedTotal++;
    return this.remove(page);
  }

  /** Evictions not reported yet, oldest first; `out` must hold EVICTIONS_MAX or all of them. */
  drainEvicted(out: Uint32Array): number {
    const count = this.#evictedCount;
    assert(count <= out.length, 'the report of evictions fits');
    out.set(this.#evicted.subarray(0, count));
    this.#evictedCount = 0;
    return count;
  }

  #atOrAfter(from: number): number {
    const page = this.#pages.next(from);
    return page >= 0 ? page : this.#pages.next(0);
  }
}
