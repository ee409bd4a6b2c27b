/**
 * The copies that the destination is known to have, kept to send deltas against. They give way when room is
 * needed: a clock sweeps the pages and evicts those not dirtied lately (unlikely to be sent again) before the
 * others. Not responsible for slots' memory.
 */

import { assert } from '../base/index.ts';
import { LayeredBitmap } from './layered-bitmap.ts';

/** Recent pages passed over before one of them is evicted all the same. */
const SECOND_CHANCES = 64;

export class References {
  readonly #slots: Int32Array;
  readonly #pages: LayeredBitmap;
  #hand = 0;

  constructor(pageCount: number) {
    this.#slots = new Int32Array(pageCount).fill(-1);
    this.#pages = new LayeredBitmap(pageCount);
  }

  static bytesFor(pageCount: number): number {
    return pageCount * 4 + LayeredBitmap.bytesFor(pageCount);
  }

  get byteLength(): number {
    return this.#slots.byteLength + this.#pages.byteLength;
  }
  get count(): number {
    return this.#pages.count;
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

  /** Evicts one reference; returns its slot, or -1 when there is none. */
  evict(isRecent: (pageIndex: number) => boolean): number {
    if (this.#pages.count === 0) return -1;
    return this.#evictFrom(this.#lookFor(isRecent));
  }

  /** As `evict`, but -1 too where all that were looked at are recent. */
  evictCold(isRecent: (pageIndex: number) => boolean): number {
    if (this.#pages.count === 0) return -1;
    const page = this.#lookFor(isRecent);
    if (!isRecent(page)) return this.#evictFrom(page);
    this.#hand = page + 1;
    return -1;
  }

  #lookFor(isRecent: (pageIndex: number) => boolean): number {
    let page = this.#atOrAfter(this.#hand);
    for (let chances = 0; chances < SECOND_CHANCES && isRecent(page); chances++)
      page = this.#atOrAfter(page + 1);
    return page;
  }

  #evictFrom(page: number): number {
    this.#hand = page + 1;
    return this.remove(page);
  }

  #atOrAfter(from: number): number {
    const page = this.#pages.next(from);
    return page >= 0 ? page : this.#pages.next(0);
  }
}
