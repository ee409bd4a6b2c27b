/**
 * Whether deltas would pay, from a sample of rewritten pages: how many words differ from the copy the
 * destination has, or, before it has one, from the copy that waits. Known before a hot page is ever sent. Not
 * responsible for the codec.
 */

import { smoothed } from '../../base/index.ts';
import { chunkOfSlot, offsetOfSlot, type PageStore } from '../../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';

const SAMPLE_EVERY = 64;
const SAMPLES_MIN = 16;
const WEIGHT = 0.05;
/** Two numbers before the first run. */
const RUN_HEADER_BYTES = 2;
/** A hot page is sent once more than needed. Its last copy must save more than that costs. */
const PAYING_SHARE = 0.25;

export class DeltaSample {
  #seen = 0;
  #samples = 0;
  #bytes = 0;

  /** A page arrives, 4,096 bytes at buffer[offset]; the store still has the copy before. */
  look(store: PageStore, pageIndex: number, buffer: Uint8Array, offset: number): void {
    if (this.#seen++ % SAMPLE_EVERY !== 0) return;
    const reference = store.referenceSlot(pageIndex);
    const slot = reference >= 0 ? reference : store.slotOf(pageIndex);
    if (slot < 0) return;
    const changed = changedBytes(buffer, offset, store.chunk(chunkOfSlot(slot)), offsetOfSlot(slot));
    this.#samples++;
    this.#bytes = smoothed(this.#bytes, changed + RUN_HEADER_BYTES, Math.max(WEIGHT, 1 / this.#samples));
  }

  /**
   * Expected bytes of a delta in a record of `recordBytes`, where deltas pay against `wholePageBytes`; null
   * where they do not, or too little was seen.
   */
  payingBytes(wholePageBytes: number, recordBytes: number): number | null {
    if (this.#samples < SAMPLES_MIN) return null;
    const bytes = this.#bytes + recordBytes;
    return bytes < wholePageBytes * PAYING_SHARE ? bytes : null;
  }
}

/** Bytes of the 32-bit words in which two pages differ. */
function changedBytes(left: Uint8Array, leftAt: number, right: Uint8Array, rightAt: number): number {
  let changed = 0;
  for (let at = 0; at < PAGE_SIZE_BYTES; at += 4) {
    const same =
      left[leftAt + at] === right[rightAt + at] &&
      left[leftAt + at + 1] === right[rightAt + at + 1] &&
      left[leftAt + at + 2] === right[rightAt + at + 2] &&
      left[leftAt + at + 3] === right[rightAt + at + 3];
    if (!same) changed += 4;
  }
  return changed;
}
