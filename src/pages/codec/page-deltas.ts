/**
 * Deltas of one page at a time, for an output that writes QEMU's stream itself: against the copy that the
 * destination has, or against zeros, where a page is mostly empty. Not responsible for which copies are
 * references, nor for batches (encoder.ts).
 */

import { encodeDelta } from './delta.ts';
import { DELTA_BYTES_MAX, PAGE_WORDS } from './format.ts';
import { SlotMemory } from './slot-memory.ts';

/** Odd, so that fields at fixed places of power-of-two records are all seen. */
const SAMPLE_STRIDE = 63;
const SAMPLE_WORDS = 16;
/** A delta is at most half a page: of a page that may become one, hardly more words than half are set. */
const SAMPLE_SET_MAX = 11;

const zeroWords = new Uint32Array(PAGE_WORDS);
const ZEROS = { words: zeroWords, longs: new BigInt64Array(zeroWords.buffer) };

export class PageDeltas {
  /** The newest delta, from the first byte on. */
  readonly bytes = new Uint8Array(DELTA_BYTES_MAX);
  readonly #memory: SlotMemory;

  constructor(slotsPerChunk: number) {
    this.#memory = new SlotMemory(slotsPerChunk);
  }

  onChunk(chunk: number, memory: SharedArrayBuffer): void {
    this.#memory.set(chunk, memory);
  }

  /** Bytes of what turns the copy in `referenceSlot` into the one in `slot`; -1: the page goes whole. */
  against(referenceSlot: number, slot: number): number {
    const memory = this.#memory;
    return encodeDelta(
      memory.of(slot),
      memory.offset(slot) / 4,
      memory.of(referenceSlot),
      memory.offset(referenceSlot) / 4,
      this.bytes,
      0,
    );
  }

  /** Bytes of what turns zeros into the copy in `slot`; -1: the page goes whole. */
  againstZeros(slot: number): number {
    const chunk = this.#memory.of(slot);
    const word = this.#memory.offset(slot) / 4;
    return looksSparse(chunk.words, word) ? encodeDelta(chunk, word, ZEROS, 0, this.bytes, 0) : -1;
  }
}

function looksSparse(words: Uint32Array, at: number): boolean {
  let set = 0;
  for (let sample = 0; sample < SAMPLE_WORDS; sample++) if (words[at + sample * SAMPLE_STRIDE] !== 0) set++;
  return set <= SAMPLE_SET_MAX;
}
