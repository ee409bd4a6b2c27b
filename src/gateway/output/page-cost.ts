/** What pages cost on the link lately, from the batches sent: whole ones, and those sent as deltas. Pure. */

import { smoothed } from '../../base/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';

/** Half of an estimate comes from the last seven batches. */
const WEIGHT = 0.1;

/** Of one batch, zero pages apart. Bytes are those on the link, with the records around the content. */
export interface BatchCost {
  readonly wholePages: number;
  readonly wholeBytes: number;
  readonly deltaPages: number;
  readonly deltaBytes: number;
}

export class PageCost {
  #wholeBytes = PAGE_SIZE_BYTES;
  #deltaBytes: number | null = null;

  /** Bytes of a whole page, however packed; a raw page's before the first batch. */
  get wholeBytes(): number {
    return this.#wholeBytes;
  }

  /** null before the first delta. */
  get deltaBytes(): number | null {
    return this.#deltaBytes;
  }

  observe({ wholePages, wholeBytes, deltaPages, deltaBytes }: BatchCost): void {
    if (wholePages > 0) this.#wholeBytes = smoothed(this.#wholeBytes, wholeBytes / wholePages, WEIGHT);
    if (deltaPages > 0) this.#deltaBytes = smoothed(this.#deltaBytes, deltaBytes / deltaPages, WEIGHT);
  }
}
