/**
 * The link as a queue of bytes with a rate: when it is free again, what it carried, and what a sender may
 * know of it. Latency is not in here: it counts once, at the handover. Pure arithmetic on virtual time.
 */

/**
 * A sender knows the rate once the link has been busy for this long, and carried this much
 * (src/gateway/output/delivery.ts).
 */
const KNOWN_AFTER_MS = 100;
const KNOWN_AFTER_BYTES = 1024 * 1024;

export class LinkModel {
  readonly bytesPerSecond: number;
  #freeAtMs = 0;
  #sentBytes = 0;
  #busyMs = 0;

  constructor(bytesPerSecond: number) {
    this.bytesPerSecond = bytesPerSecond;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }
  get freeAtMs(): number {
    return this.#freeAtMs;
  }

  /** null until the link has been busy for long enough to tell. */
  get measuredBytesPerSecond(): number | null {
    return this.#busyMs >= KNOWN_AFTER_MS && this.#sentBytes >= KNOWN_AFTER_BYTES
      ? this.bytesPerSecond
      : null;
  }

  /** Bytes that can be on their way by `toMs` when sending begins at `fromMs` at the earliest. */
  roomBytes(fromMs: number, toMs: number): number {
    return ((toMs - Math.max(fromMs, this.#freeAtMs)) * this.bytesPerSecond) / 1000;
  }

  send(sizeBytes: number, fromMs: number): void {
    const durationMs = (sizeBytes * 1000) / this.bytesPerSecond;
    this.#freeAtMs = Math.max(fromMs, this.#freeAtMs) + durationMs;
    this.#sentBytes += sizeBytes;
    this.#busyMs += durationMs;
  }
}
