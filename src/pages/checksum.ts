/**
 * An order-independent checksum over page copies. Both gateways add every copy they hand on; equal
 * counts and sums mean that the same copies arrived, in whatever order and over whatever connections. It
 * finds damage and loss, not malice (TLS does that). Not responsible for which copy is the newest: that
 * is the link's sequence rule.
 */

import { assert } from '../base/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';

const WORDS = PAGE_SIZE_BYTES / 4;
// Odd multipliers of the 32-bit finalizers of MurmurHash3 (fmix32) and xxHash32.
const M0 = 0x85ebca6b;
const M1 = 0xc2b2ae35;
const M2 = 0x9e3779b1;
const M3 = 0x27d4eb2f;

export class PageChecksum {
  #pages = 0;
  #low = 0;
  #high = 0;
  readonly #scratch = Buffer.alloc(PAGE_SIZE_BYTES);
  readonly #scratchWords = new Int32Array(this.#scratch.buffer, this.#scratch.byteOffset, WORDS);

  get pages(): number {
    return this.#pages;
  }

  /** 16 hexadecimal digits. */
  get digest(): string {
    return hex(this.#high) + hex(this.#low);
  }

  /** A copy of page `pageIndex` at any byte offset. */
  add(pageIndex: number, source: Uint8Array, offset: number): void {
    assert(offset >= 0 && offset + PAGE_SIZE_BYTES <= source.length, 'a whole page is given');
    if (source instanceof Buffer) source.copy(this.#scratch, 0, offset, offset + PAGE_SIZE_BYTES);
    else this.#scratch.set(source.subarray(offset, offset + PAGE_SIZE_BYTES));
    this.addWords(pageIndex, this.#scratchWords, 0);
  }

  addZero(pageIndex: number): void {
    this.#mix(pageIndex, ZERO_LOW, ZERO_HIGH);
  }

  /** The fast way, for a copy at a word boundary: 1024 words of `words` from `at`. */
  addWords(pageIndex: number, words: Int32Array, at: number): void {
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    // Four chains, because a multiplication takes three cycles and a chain waits for each. The shifts bring
    // high bits down: without them two flips of bit 31 in one chain would cancel.
    for (let word = at; word < at + WORDS; word += 4) {
      a = Math.imul(a ^ words[word]!, M0);
      b = Math.imul(b ^ words[word + 1]!, M1);
      c = Math.imul(c ^ words[word + 2]!, M2);
      d = Math.imul(d ^ words[word + 3]!, M3);
      a ^= a >>> 15;
      b ^= b >>> 15;
      c ^= c >>> 13;
      d ^= d >>> 13;
    }
    this.#mix(pageIndex, finish(a) + finish(b ^ M3), finish(c ^ M1) + finish(d));
  }

  #mix(pageIndex: number, low: number, high: number): void {
    this.#pages++;
    this.#low = (this.#low + finish(Math.imul(pageIndex + 1, M2) ^ low)) | 0;
    this.#high = (this.#high + finish(Math.imul(pageIndex + 1, M0) ^ high)) | 0;
  }
}

function finish(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, M0);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, M1);
  return mixed ^ (mixed >>> 16);
}

// All four chains stay at 0 for a page of zeros.
const ZERO_LOW = finish(M3);
const ZERO_HIGH = finish(M1);

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}
