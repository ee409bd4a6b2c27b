/**
 * Memory for encoded batches, used again once a batch has arrived: fresh megabytes for each cost page
 * faults and full garbage collections. Shared, so that any worker may fill it. Not responsible for batches
 * that come out small.
 */

import { BATCH_BYTES_MAX } from '../../pages/index.ts';

/** More under way than this is rare, and gets memory of its own. */
const PIECES_MAX = 8;

export class BatchMemory {
  readonly #free: SharedArrayBuffer[] = [];
  #made = 0;

  /** null: all are under way. */
  take(): SharedArrayBuffer | null {
    // The piece used last is the likeliest to be in a cache.
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#made === PIECES_MAX) return null;
    this.#made++;
    return new SharedArrayBuffer(BATCH_BYTES_MAX);
  }

  give(memory: SharedArrayBuffer): void {
    this.#free.push(memory);
  }
}
