/**
 * The operator's cap on the link's rate, turned into how many pages may go now. Pure; the caller brings time
 * and count.
 */

import { PAGE_SIZE_BYTES } from '../../vm/index.ts';

export class BandwidthCap {
  #bytesPerSecond: number | null;
  #fromMs = 0;
  #fromBytes = 0;

  /** null: no cap. */
  constructor(bytesPerSecond: number | null) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  get bytesPerSecond(): number | null {
    return this.#bytesPerSecond;
  }

  /** Counts from now on: what was sent under the cap before is neither owed nor saved up. */
  set(bytesPerSecond: number | null, nowMs: number, sentBytes: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    this.#fromMs = nowMs;
    this.#fromBytes = sentBytes;
  }

  allowancePages(nowMs: number, sentBytes: number): number {
    return Math.ceil(this.allowanceBytes(nowMs, sentBytes) / PAGE_SIZE_BYTES);
  }

  allowanceBytes(nowMs: number, sentBytes: number): number {
    if (this.#bytesPerSecond === null) return Number.POSITIVE_INFINITY;
    return (this.#bytesPerSecond * (nowMs - this.#fromMs)) / 1000 - (sentBytes - this.#fromBytes);
  }
}
