/**
 * The link, and the stages before and behind it, as one queue: when it is free again, what it carried, and
 * what a sender may know of it. Latency is not in here: it counts once, at the handover. Pure arithmetic on
 * virtual time.
 */

/**
 * A sender knows the rate once the link has been busy for this long, and carried this much
 * (src/gateway/output/delivery.ts).
 */
const KNOWN_AFTER_MS = 100;
const KNOWN_AFTER_BYTES = 1024 * 1024;

export class LinkModel {
  readonly bytesPerSecond: number;
  readonly #seenBytesPerSecond: number;
  #freeAtMs = 0;
  #sentBytes = 0;
  #busyMs = 0;

  /**
   * `seenBytesPerSecond`: what a sender measures of whole pages, where a stage carries less than the
   * link.
   */
  constructor(bytesPerSecond: number, seenBytesPerSecond = bytesPerSecond) {
    this.bytesPerSecond = bytesPerSecond;
    this.#seenBytesPerSecond = seenBytesPerSecond;
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
      ? this.#seenBytesPerSecond
      : null;
  }

  /** Time by `toMs` that is left when sending begins at `fromMs` at the earliest. */
  roomMs(fromMs: number, toMs: number): number {
    return toMs - Math.max(fromMs, this.#freeAtMs);
  }

  /** `leastMs`: the slowest stage beside the link takes so long. */
  send(sizeBytes: number, fromMs: number, leastMs = 0): void {
    const durationMs = Math.max((sizeBytes * 1000) / this.bytesPerSecond, leastMs);
    this.#freeAtMs = Math.max(fromMs, this.#freeAtMs) + durationMs;
    this.#sentBytes += sizeBytes;
    this.#busyMs += durationMs;
  }
}
