/**
 * The operator's cap on the link's rate, turned into how many pages may go now. Pure; the caller brings time
 * and count.
 */

import { TokenBucket } from '../../base/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';

export class BandwidthCap {
  #bucket: TokenBucket | null = null;
  #sentBytes = 0;

  /** null: no cap. Counts from now on: what went before under another cap is neither owed nor saved up. */
  set(bytesPerSecond: number | null, nowMs: number): void {
    // What a migration could not use for a while it may use later: the operator's cap is an average.
    this.#bucket =
      bytesPerSecond === null ? null : new TokenBucket(bytesPerSecond, Number.POSITIVE_INFINITY, nowMs);
  }

  /** `totalBytes` were sent since the beginning. */
  noteSent(totalBytes: number, nowMs: number): void {
    this.#bucket?.take(totalBytes - this.#sentBytes, nowMs);
    this.#sentBytes = totalBytes;
  }

  allowancePages(nowMs: number): number {
    return Math.ceil(this.allowanceBytes(nowMs) / PAGE_SIZE_BYTES);
  }

  allowanceBytes(nowMs: number): number {
    return this.#bucket?.availableBytes(nowMs) ?? Number.POSITIVE_INFINITY;
  }
}
