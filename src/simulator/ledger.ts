/**
 * The truth about every page: whether the guest has written it, whether QEMU still has to send it, whether
 * its newest content has left QEMU, and whether that has arrived. Bitmaps are enough: of a version number one
 * would only ask whether it is the newest. The run's invariants are read off here. Not responsible for what
 * the gateway believes (src/pages), nor for time.
 */

import { assert, popcount32 } from '../base/index.ts';
import type { DirtySink } from '../trace/index.ts';

/**
 * Words of a chunk. Clean chunks are skipped, so that the cost of a pass grows with what is dirty and not
 * with RAM.
 */
const CHUNK_SHIFT = 10;
const CHUNK_WORDS = 1 << CHUNK_SHIFT;
const CHUNK_PAGES = CHUNK_WORDS * 32;

export class Ledger implements DirtySink {
  readonly pageCount: number;
  /** Written since QEMU's last dirty sync. */
  readonly #dirty: Int32Array;
  /** Left to send in QEMU's running pass. */
  readonly #pass: Int32Array;
  /** The copy that left QEMU last is what the guest has now. */
  readonly #taken: Int32Array;
  /** The destination does not have what the guest has now. */
  readonly #stale: Int32Array;
  /** The destination has had a copy. */
  readonly #delivered: Int32Array;
  /** 1: the chunk may hold dirty pages, or pages of the pass. */
  readonly #dirtyChunks: Uint8Array;
  readonly #passChunks: Uint8Array;
  /** 1: all of the chunk was settled when last looked at. */
  readonly #settledChunks: Uint8Array;
  readonly #zeroFrom: number;
  #passPages: number;
  #stalePages: number;
  #staleZeroPages: number;
  /** Stale pages of which the destination has an older copy. */
  #staleAgainPages = 0;
  #dirtiedPages = 0;
  /**
   * The word at which the scan goes on. QEMU scans around, and a sync does not bring it back to the
   * beginning.
   */
  #cursor = 0;

  /** Pages from `zeroFrom` on are zero; all are left to send. */
  constructor(pageCount: number, zeroFrom: number) {
    this.pageCount = pageCount;
    const words = (pageCount + 31) >>> 5;
    this.#dirty = new Int32Array(words);
    this.#pass = filled(words, pageCount);
    this.#taken = new Int32Array(words);
    this.#stale = filled(words, pageCount);
    this.#delivered = new Int32Array(words);
    this.#dirtyChunks = new Uint8Array((words + CHUNK_WORDS - 1) >>> CHUNK_SHIFT);
    this.#passChunks = new Uint8Array(this.#dirtyChunks.length).fill(1);
    this.#settledChunks = new Uint8Array(this.#dirtyChunks.length);
    this.#zeroFrom = zeroFrom;
    this.#passPages = pageCount;
    this.#stalePages = pageCount;
    this.#staleZeroPages = pageCount - zeroFrom;
  }

  get passPages(): number {
    return this.#passPages;
  }
  get stalePages(): number {
    return this.#stalePages;
  }
  get staleZeroPages(): number {
    return this.#staleZeroPages;
  }
  get staleAgainPages(): number {
    return this.#staleAgainPages;
  }
  /** Writes as the guest told them: a page counts once a step. */
  get dirtiedPages(): number {
    return this.#dirtiedPages;
  }

  page(pageIndex: number): void {
    this.word(pageIndex >>> 5, 1 << (pageIndex & 31));
  }

  range(firstPage: number, pageCount: number): void {
    const end = firstPage + pageCount;
    let page = firstPage;
    while (page < end) {
      const from = page & 31;
      const bits = Math.min(32 - from, end - page);
      this.word(page >>> 5, (bits === 32 ? -1 : (1 << bits) - 1) << from);
      page += bits;
    }
  }

  word(wordIndex: number, mask: number): void {
    this.#dirty[wordIndex]! |= mask;
    this.#dirtyChunks[wordIndex >>> CHUNK_SHIFT] = 1;
    this.#taken[wordIndex]! &= ~mask;
    const stale = this.#stale[wordIndex]!;
    const fresh = mask & ~stale;
    if (fresh !== 0) {
      this.#stale[wordIndex] = stale | mask;
      this.#stalePages += popcount32(fresh);
      this.#staleAgainPages += popcount32(fresh & this.#delivered[wordIndex]!);
    }
    this.#dirtiedPages += (mask & (mask - 1)) === 0 ? 1 : popcount32(mask);
  }

  /**
   * Each of these pages is dirty and stale, and no copy of it is under way: another write changes nothing but
   * `dirtiedPages`.
   */
  settled(firstPage: number, pageCount: number): boolean {
    const end = firstPage + pageCount;
    for (let from = firstPage; from < end; ) {
      const chunk = Math.floor(from / CHUNK_PAGES);
      const to = Math.min(end, (chunk + 1) * CHUNK_PAGES);
      if (this.#settledChunks[chunk] === 0) {
        if (!this.#areSettled(from, to)) return false;
        if (to - from === CHUNK_PAGES) this.#settledChunks[chunk] = 1;
      }
      from = to;
    }
    return true;
  }

  #areSettled(firstPage: number, end: number): boolean {
    const lastWord = (end - 1) >>> 5;
    for (let at = firstPage >>> 5; at <= lastWord; at++) {
      let others = at * 32 < firstPage ? (1 << (firstPage & 31)) - 1 : 0;
      if (at === lastWord && (end & 31) !== 0) others |= -1 << (end & 31);
      if (((this.#dirty[at]! & this.#stale[at]! & ~this.#taken[at]!) | others) !== -1) return false;
    }
    return true;
  }

  isZero(pageIndex: number): boolean {
    return pageIndex >= this.#zeroFrom;
  }

  wasDelivered(pageIndex: number): boolean {
    return ((this.#delivered[pageIndex >>> 5]! >>> (pageIndex & 31)) & 1) === 1;
  }

  /**
   * QEMU's dirty sync: the next pass is what was written, and what the running pass has left. Returns its
   * number of pages.
   */
  sync(): number {
    let pages = 0;
    for (let chunk = 0; chunk < this.#dirtyChunks.length; chunk++) {
      if (this.#dirtyChunks[chunk] === 0 && this.#passChunks[chunk] === 0) continue;
      const found = this.#syncChunk(chunk);
      this.#dirtyChunks[chunk] = 0;
      this.#settledChunks[chunk] = 0;
      this.#passChunks[chunk] = found === 0 ? 0 : 1;
      pages += found;
    }
    this.#passPages = pages;
    return pages;
  }

  #syncChunk(chunk: number): number {
    const end = Math.min(this.#pass.length, (chunk + 1) * CHUNK_WORDS);
    let pages = 0;
    for (let at = chunk * CHUNK_WORDS; at < end; at++) {
      const word = this.#pass[at]! | this.#dirty[at]!;
      if (word === 0) continue;
      this.#pass[at] = word;
      this.#dirty[at] = 0;
      pages += popcount32(word);
    }
    return pages;
  }

  /**
   * The next pages of the pass in address order and around, at most `max`; their content leaves QEMU as it is
   * now.
   */
  take(max: number, out: Uint32Array): number {
    const limit = Math.min(max, out.length, this.#passPages);
    let filled = 0;
    let at = this.#cursor;
    while (filled < limit) {
      if (at >= this.#pass.length) at = 0;
      if ((at & (CHUNK_WORDS - 1)) === 0 && this.#passChunks[at >>> CHUNK_SHIFT] === 0) {
        at += CHUNK_WORDS;
        continue;
      }
      const before = this.#pass[at]!;
      let word = before;
      while (word !== 0 && filled < limit) {
        const lowest = word & -word;
        out[filled++] = at * 32 + 31 - Math.clz32(lowest);
        word ^= lowest;
      }
      if (before !== word) {
        this.#pass[at] = word;
        this.#taken[at]! |= before ^ word;
        this.#settledChunks[at >>> CHUNK_SHIFT] = 0;
      }
      if (word === 0) at++;
    }
    this.#cursor = at;
    this.#passPages -= filled;
    return filled;
  }

  /** The copy that left QEMU last has arrived at the destination. */
  deliver(pageIndex: number): void {
    const at = pageIndex >>> 5;
    const bit = 1 << (pageIndex & 31);
    if ((this.#taken[at]! & this.#stale[at]! & bit) !== 0) {
      this.#stale[at]! &= ~bit;
      this.#stalePages--;
      if (pageIndex >= this.#zeroFrom) this.#staleZeroPages--;
      else if ((this.#delivered[at]! & bit) !== 0) this.#staleAgainPages--;
    } else if ((this.#stale[at]! & ~this.#delivered[at]! & bit) !== 0) this.#staleAgainPages++;
    this.#delivered[at]! |= bit;
  }

  /** For post-copy, and for what ships no pages: the destination gets everything at once. */
  deliverAll(): void {
    this.#pass.fill(0);
    this.#dirty.fill(0);
    this.#stale.fill(0);
    this.#settledChunks.fill(0);
    this.#passPages = this.#stalePages = this.#staleZeroPages = this.#staleAgainPages = 0;
  }

  /** Conservation, counted anew from the bitmaps: every page arrived exactly as last written. */
  assertConserved(): void {
    let stale = 0;
    let left = 0;
    for (let at = 0; at < this.#stale.length; at++) {
      if (this.#stale[at] !== 0) stale += popcount32(this.#stale[at]!);
      if ((this.#pass[at]! | this.#dirty[at]!) !== 0) left += popcount32(this.#pass[at]! | this.#dirty[at]!);
    }
    assert(stale === this.#stalePages, `stale pages add up: counted ${stale}, kept ${this.#stalePages}`);
    assert(left === 0, `QEMU has sent everything: ${left} pages are left`);
    assert(stale === 0, `every page arrived as last written: ${stale} did not`);
  }
}

function filled(words: number, bits: number): Int32Array {
  const array = new Int32Array(words).fill(-1);
  if ((bits & 31) !== 0) array[words - 1] = (1 << (bits & 31)) - 1;
  return array;
}
