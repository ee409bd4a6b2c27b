/**
 * A rate as a bucket of bytes that fills with time and that whoever sends takes from. Pure; the caller brings
 * the time.
 */

export class TokenBucket {
  readonly #bytesPerMs: number;
  readonly #burstMs: number;
  /**
   * The moment from which the next byte may go. What is taken moves it by the time that it takes at the rate.
   */
  #freeAtMs: number;
  #takenBytes = 0;

  /** `burstMs`: what this much time brings may be saved up. `fromMs`: the bucket is empty then. */
  constructor(bytesPerSecond: number, burstMs: number, fromMs = 0) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#burstMs = burstMs;
    this.#freeAtMs = fromMs;
  }

  /** Since the beginning. */
  get takenBytes(): number {
    return this.#takenBytes;
  }

  /** Takes `sizeBytes`, whether or not they are there, and returns how long to wait before they are sent. */
  take(sizeBytes: number, nowMs: number): number {
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs - this.#burstMs) + sizeBytes / this.#bytesPerMs;
    this.#takenBytes += sizeBytes;
    return Math.max(0, this.#freeAtMs - nowMs);
  }

  /** What may be taken now; less than 0 where more was taken than there was. */
  availableBytes(nowMs: number): number {
    return Math.min(nowMs - this.#freeAtMs, this.#burstMs) * this.#bytesPerMs;
  }
}
