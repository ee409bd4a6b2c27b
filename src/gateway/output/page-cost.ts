/**
 * What pages cost on the link lately, from the batches that were encoded: whole ones, and those
 * sent as deltas. Pure.
 */

import { smoothed } from '../../base/index.ts';
import type { BatchStats } from '../../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';

/** Half of an estimate comes from the last seven batches. */
const WEIGHT = 0.1;
/** A whole page's record around its content, and a delta's. */
const WHOLE_RECORD_BYTES = 4;
const DELTA_RECORD_BYTES = 3;

export class PageCost {
  #wholeBytes = PAGE_SIZE_BYTES;
  #deltaBytes: number | null = null;

  /** Bytes of a whole page, packed or raw; a raw page's before the first batch. */
  get wholeBytes(): number {
    return this.#wholeBytes;
  }

  /** null before the first delta. */
  get deltaBytes(): number | null {
    return this.#deltaBytes;
  }

  observe(stats: BatchStats): void {
    const whole = stats.rawPages + stats.packedPages;
    if (whole > 0) {
      const contentBytes = stats.rawPages * PAGE_SIZE_BYTES + stats.packedStoredBytes;
      this.#wholeBytes = smoothed(this.#wholeBytes, contentBytes / whole + WHOLE_RECORD_BYTES, WEIGHT);
    }
    if (stats.deltaPages > 0) {
      const bytes = stats.deltaBytes / stats.deltaPages + DELTA_RECORD_BYTES;
      this.#deltaBytes = smoothed(this.#deltaBytes, bytes, WEIGHT);
    }
  }
}
