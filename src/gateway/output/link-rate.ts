/**
 * What the link carries, from what is acknowledged while enough is under way. With deltas the link is mostly
 * waiting for us: a sample that starved it says how fast we are, and may raise the estimate but not lower it.
 * Pure; time is an argument.
 */

import { smoothed } from '../../base/index.ts';

/** A sample shorter than this says more about one acknowledgement than about the link. */
const SAMPLE_MS = 120;
const WEIGHT = 0.4;
/**
 * Less than this under way, or than what the link carries in FULL_MS: it may have run dry between two looks.
 */
const FULL_BYTES_MIN = 64 * 1024;
const FULL_MS = 8;

export class LinkRate {
  #bytesPerSecond: number | null = null;
  #lastMs: number | null = null;
  #lastAcknowledgedBytes = 0;
  #wasBusy = false;
  #busyMs = 0;
  #bytes = 0;
  #starved = false;

  /** null until a sample is complete. */
  get bytesPerSecond(): number | null {
    return this.#bytesPerSecond;
  }

  /** Totals of all connections at `nowMs`; call often. */
  observe(nowMs: number, acknowledgedBytes: number, underWayBytes: number): void {
    const arrived = acknowledgedBytes - this.#lastAcknowledgedBytes;
    if (this.#lastMs !== null && this.#wasBusy) this.#busyMs += nowMs - this.#lastMs;
    this.#bytes += arrived;
    this.#lastMs = nowMs;
    this.#lastAcknowledgedBytes = acknowledgedBytes;
    this.#wasBusy = underWayBytes > 0;
    const full = Math.max(FULL_BYTES_MIN, ((this.#bytesPerSecond ?? 0) * FULL_MS) / 1000);
    if (underWayBytes < full) this.#starved = true;
    // Acknowledgements come a batch at a time: a sample ends with one.
    if (this.#busyMs >= SAMPLE_MS && arrived > 0) this.#close();
  }

  #close(): void {
    const sample = (this.#bytes * 1000) / this.#busyMs;
    const counts = !this.#starved || sample > (this.#bytesPerSecond ?? 0);
    if (counts) this.#bytesPerSecond = smoothed(this.#bytesPerSecond, sample, WEIGHT);
    this.#bytes = 0;
    this.#busyMs = 0;
    this.#starved = false;
  }
}
