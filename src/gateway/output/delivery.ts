/**
 * What has really arrived. Bytes in a socket buffer prove nothing, so the sender marks positions in the
 * stream (a PING in a QEMU stream, a sequence number on the link) and the far end's answers tell how
 * far it has come. From that: the link rate, the round trip, and how much may be under way. Pure; the
 * caller brings the time.
 */

import { smoothed } from '../../base/index.ts';
import { linkWindowBytes } from './link-window.ts';

interface Mark {
  readonly id: number;
  readonly positionBytes: number;
  readonly sentMs: number;
}

const ROUND_TRIP_WEIGHT = 0.2;
const RATE_WINDOW_MS = 1000;
const RATE_SPAN_MS_MIN = 100;
/** Less than this delivered says more about one burst than about the link. */
const RATE_BYTES_MIN = 1024 * 1024;

export class DeliveryMeter {
  #marks: Mark[] = [];
  #sentBytes = 0;
  #deliveredBytes = 0;
  #roundTripMs: number | null = null;
  #roundTripMsMin: number | null = null;
  #rateBytesPerSecond: number | null = null;
  #best = 0;
  /** Acknowledgements of one stretch in which the link was never without work: (time, delivered). */
  #samples: { atMs: number; deliveredBytes: number }[] = [];
  #starved = true;

  get sentBytes(): number {
    return this.#sentBytes;
  }

  get deliveredBytes(): number {
    return this.#deliveredBytes;
  }

  get inFlightBytes(): number {
    return this.#sentBytes - this.#deliveredBytes;
  }

  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  /** Bytes a second while the link was busy, over about the last second; null until measured. */
  get bandwidthBytesPerSecond(): number | null {
    return this.#rateBytesPerSecond;
  }

  get windowBytes(): number {
    return linkWindowBytes(this.#best, this.#roundTripMsMin);
  }

  sent(bytes: number): void {
    // After a silence the pipe is empty, and filling it takes time: measured from what arrives first.
    if (this.#starved) this.#samples = [];
    this.#starved = false;
    this.#sentBytes += bytes;
  }

  /** There was room and nothing to send: until the next send, deliveries measure us and not the link. */
  starved(): void {
    this.#starved = true;
  }

  mark(id: number, nowMs: number): void {
    this.#marks.push({ id, positionBytes: this.#sentBytes, sentMs: nowMs });
  }

  /**
   * The far end has processed everything before mark `id`. Unknown ids are ignored: they may be another's.
   */
  acknowledge(id: number, nowMs: number): boolean {
    const at = this.#marks.findIndex((mark) => mark.id === id);
    if (at < 0) return false;
    const mark = this.#marks[at]!;
    this.#marks.splice(0, at + 1);
    this.#deliveredBytes = mark.positionBytes;
    const tripMs = nowMs - mark.sentMs;
    this.#roundTripMs = smoothed(this.#roundTripMs, tripMs, ROUND_TRIP_WEIGHT);
    this.#roundTripMsMin = Math.min(this.#roundTripMsMin ?? tripMs, tripMs);
    if (!this.#starved) this.#measure(nowMs);
    return true;
  }

  #measure(nowMs: number): void {
    const first = this.#samples[0];
    if (first !== undefined && this.#deliveredBytes <= first.deliveredBytes) return;
    this.#samples.push({ atMs: nowMs, deliveredBytes: this.#deliveredBytes });
    while (this.#samples.length > 2 && nowMs - this.#samples[1]!.atMs > RATE_WINDOW_MS) this.#samples.shift();
    const spanMs = nowMs - this.#samples[0]!.atMs;
    const bytes = this.#deliveredBytes - this.#samples[0]!.deliveredBytes;
    if (spanMs < RATE_SPAN_MS_MIN || bytes < RATE_BYTES_MIN) return;
    this.#rateBytesPerSecond = (bytes / spanMs) * 1000;
    this.#best = Math.max(this.#best * 0.99, this.#rateBytesPerSecond);
  }
}
