/**
 * A set of small integers as a bitmap with summary bitmaps above it (one bit a word, 1/32 each
 * level), so that the next member is found in O(levels) however sparse the set is. Not responsible
 * for what the members mean.
 */

import { assert } from '../base/index.ts';

export class LayeredBitmap {
  readonly sizeBits: number;
  readonly #bottom: Int32Array;
  /** levels[0] is the bottom; the last one is a single word. */
  readonly #levels: Int32Array[] = [];
  #count = 0;

  constructor(sizeBits: number) {
    this.sizeBits = sizeBits;
    let words = Math.max(1, Math.ceil(sizeBits / 32));
    for (;;) {
      this.#levels.push(new Int32Array(words));
      if (words === 1) break;
      words = Math.ceil(words / 32);
    }
    this.#bottom = this.#levels[0]!;
  }

  static bytesFor(sizeBits: number): number {
    let words = Math.max(1, Math.ceil(sizeBits / 32));
    let bytes = words * 4;
    while (words > 1) {
      words = Math.ceil(words / 32);
      bytes += words * 4;
    }
    return bytes;
  }

  get count(): number {
    return this.#count;
  }

  get byteLength(): number {
    let bytes = 0;
    for (const level of this.#levels) bytes += level.byteLength;
    return bytes;
  }

  has(index: number): boolean {
    return ((this.#bottom[index >>> 5]! >>> (index & 31)) & 1) === 1;
  }

  add(index: number): void {
    const at = index >>> 5;
    const before = this.#bottom[at]!;
    const after = before | (1 << (index & 31));
    if (after === before) return;
    this.#bottom[at] = after;
    this.#count++;
    if (before === 0) this.#raise(at);
  }

  delete(index: number): void {
    const at = index >>> 5;
    const before = this.#bottom[at]!;
    const after = before & ~(1 << (index & 31));
    if (after === before) return;
    this.#bottom[at] = after;
    this.#count--;
    if (after === 0) this.#lower(at);
  }

  /** Adds every index from 0 to sizeBits - 1. */
  fill(): void {
    let bits = this.sizeBits;
    for (const level of this.#levels) {
      level.fill(-1);
      if (bits % 32 !== 0) level[level.length - 1] = (1 << (bits % 32)) - 1;
      if (bits === 0) level.fill(0);
      bits = Math.ceil(bits / 32);
    }
    this.#count = this.sizeBits;
  }

  /** Smallest member at or above `from`, or -1. */
  next(from: number): number {
    if (from >= this.sizeBits) return -1;
    const at = from >>> 5;
    const bits = this.#bottom[at]! & (-1 << (from & 31));
    return bits === 0 ? this.#nextBeyondWord(at) : at * 32 + lowestBit(bits);
  }

  /**
   * Removes members in ascending order from `from` on, writing them to `out` from position `filled` up to
   * `limit`; returns the new fill. It does not wrap around.
   */
  drain(from: number, out: Uint32Array, filled: number, limit: number): number {
    assert(limit <= out.length, 'the drained indexes fit their array');
    let position = filled;
    let index = position < limit ? this.next(from) : -1;
    while (index >= 0) {
      const at = index >>> 5;
      let word = this.#bottom[at]!;
      let bits = word & (-1 << (index & 31));
      while (bits !== 0 && position < limit) {
        const lowest = bits & -bits;
        out[position++] = at * 32 + 31 - Math.clz32(lowest);
        bits ^= lowest;
        word ^= lowest;
      }
      this.#bottom[at] = word;
      if (word === 0) this.#lower(at);
      index = position < limit ? this.#nextBeyondWord(at) : -1;
    }
    this.#count -= position - filled;
    return position;
  }

  #nextBeyondWord(bottomWord: number): number {
    let position = bottomWord + 1;
    for (let level = 1; level < this.#levels.length; level++) {
      const words = this.#levels[level]!;
      const at = position >>> 5;
      if (at < words.length) {
        const bits = words[at]! & (-1 << (position & 31));
        if (bits !== 0) return this.#descend(level, at * 32 + lowestBit(bits));
      }
      position = at + 1;
    }
    return -1;
  }

  #descend(fromLevel: number, fromPosition: number): number {
    let position = fromPosition;
    for (let level = fromLevel - 1; level >= 0; level--) {
      position = position * 32 + lowestBit(this.#levels[level]![position]!);
    }
    return position;
  }

  #raise(bottomWord: number): void {
    let position = bottomWord;
    for (let level = 1; level < this.#levels.length; level++) {
      const words = this.#levels[level]!;
      const at = position >>> 5;
      const before = words[at]!;
      words[at] = before | (1 << (position & 31));
      if (before !== 0) return;
      position = at;
    }
  }

  #lower(bottomWord: number): void {
    let position = bottomWord;
    for (let level = 1; level < this.#levels.length; level++) {
      const words = this.#levels[level]!;
      const at = position >>> 5;
      const after = words[at]! & ~(1 << (position & 31));
      words[at] = after;
      if (after !== 0) return;
      position = at;
    }
  }
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
