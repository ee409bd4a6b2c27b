/** How fast a lane delivers while it has something to deliver, and the bucket that limits it. Time is an argument. */

/** A sample shorter than this says more about one acknowledgement than about the link. */
const SAMPLE_MS = 100;
/** Weight of the newest sample: half of what is known is about 200 ms old. */
const WEIGHT = 0.3;

export class DeliveryRate {
  #bytesPerSecond: number | null = null;
  #bytes = 0;
  #busyMs = 0;
  #lastMs: number | null = null;

  /** Null until 100 ms of delivery were seen. */
  get bytesPerSecond(): number | null {
    return this.#bytesPerSecond;
  }

  /** Until `nowMs` the lane was busy (had unacknowledged bytes) or not, and `bytes` were acknowledged. */
  advance(nowMs: number, busy: boolean, bytes: number): void {
    if (busy && this.#lastMs !== null) this.#busyMs += nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    this.#bytes += bytes;
    if (this.#busyMs < SAMPLE_MS) return;
    const sample = (this.#bytes * 1000) / this.#busyMs;
    this.#bytesPerSecond =
      this.#bytesPerSecond === null
        ? sample
        : this.#bytesPerSecond + WEIGHT * (sample - this.#bytesPerSecond);
    this.#bytes = 0;
    this.#busyMs = 0;
  }
}

/** Lets `bytesPerSecond` through, with a burst of 20 ms of it; null lets everything through. */
export class TokenBucket {
  #bytesPerSecond: number | null;
  #tokens = 0;
  #lastMs = 0;

  constructor(bytesPerSecond: number | null = null) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  get bytesPerSecond(): number | null {
    return this.#bytesPerSecond;
  }

  setRate(bytesPerSecond: number | null, nowMs: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    this.#tokens = 0;
    this.#lastMs = nowMs;
  }

  /** 0 when something may be sent now, else how long to wait. A frame may overdraw: frames are larger than bursts. */
  waitMs(nowMs: number): number {
    if (this.#bytesPerSecond === null) return 0;
    const burst = this.#bytesPerSecond / 50;
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#lastMs) * this.#bytesPerSecond) / 1000);
    this.#lastMs = nowMs;
    return this.#tokens >= 0 ? 0 : (-this.#tokens * 1000) / this.#bytesPerSecond;
  }

  take(bytes: number): void {
    if (this.#bytesPerSecond !== null) this.#tokens -= bytes;
  }
}
