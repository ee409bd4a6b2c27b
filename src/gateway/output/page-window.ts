/**
 * How many pages may be between this gateway and the far one's QEMU. The link's window counts bytes, and with
 * deltas of a few bytes it lets through more pages than the far side loads in a second: all of that would be
 * downtime. So the far side tells how many it has applied. Pure; time is an argument.
 */

import { smoothed } from '../../base/index.ts';

/** About 8 MiB of guest memory: some ten milliseconds of loading, and enough to keep a near far side busy. */
const PAGES_MIN = 2048;
/** Beyond the round trip, what the far side loads in this time. */
const WINDOW_MS = 60;
const SAMPLE_MS = 100;
const WEIGHT = 0.3;
/**
 * Nothing heard for this long: its lane may be broken while others work, and the link's own window must do.
 */
const SILENCE_MS = 1000;

/**
 * While the link is what limits, the far side is seen to apply less than it could. A delta costs it and its
 * QEMU less than a zero page.
 */
const PAGES_PER_SECOND_ASSUMED = 200_000;
/** With less room than this nothing was sent for want of it: the far side is what limits. */
const ROOM_PAGES_FEW = 32;

export class PageWindow {
  #appliedPages: number | null = null;
  #heardMs = 0;
  #pagesPerMs = 0;
  #mostPerMs = 0;
  #sampleMs = 0;
  #samplePages = 0;
  /** Somewhere in the running sample it was the far side that all waited for. */
  #limits = false;
  /** What it applied while it was; null: it has not been. */
  #limitPerMs: number | null = null;

  /**
   * The far side has applied, and its QEMU loaded, `totalPages` since the beginning. A figure that goes back
   * is ignored: lanes are resumed.
   */
  noteApplied(nowMs: number, totalPages: number): void {
    if (this.#appliedPages === null) this.#sampleMs = nowMs;
    if (totalPages < (this.#appliedPages ?? 0)) return;
    this.#appliedPages = totalPages;
    this.#heardMs = nowMs;
    const spanMs = nowMs - this.#sampleMs;
    if (spanMs < SAMPLE_MS) return;
    const pagesPerMs = (totalPages - this.#samplePages) / spanMs;
    this.#pagesPerMs = smoothed(this.#pagesPerMs, pagesPerMs, WEIGHT);
    this.#mostPerMs = Math.max(this.#mostPerMs, pagesPerMs);
    if (this.#limits) this.#limitPerMs = smoothed(this.#limitPerMs, pagesPerMs, WEIGHT);
    this.#limits = false;
    this.#sampleMs = nowMs;
    this.#samplePages = totalPages;
  }

  /**
   * Deltas of a few bytes that the far side can apply: as seen while it was what limits, else as far as can
   * be told; null where it says nothing.
   */
  get appliedPagesPerSecondMax(): number | null {
    if (this.#appliedPages === null) return null;
    if (this.#limitPerMs !== null) return this.#limitPerMs * 1000;
    return Math.max(PAGES_PER_SECOND_ASSUMED, this.#mostPerMs * 1000);
  }

  /** Of `handedOverPages` since the beginning; undefined where the far side does not tell. */
  unloadedPages(handedOverPages: number): number | undefined {
    return this.#appliedPages === null ? undefined : handedOverPages - this.#appliedPages;
  }

  /** `handedOverPages`: since the beginning. Infinity where the far side does not tell. */
  roomPages(nowMs: number, handedOverPages: number, roundTripMs: number | null): number {
    const underWay = this.unloadedPages(handedOverPages);
    if (underWay === undefined) return Number.POSITIVE_INFINITY;
    if (underWay > 0 && nowMs - this.#heardMs > SILENCE_MS) return Number.POSITIVE_INFINITY;
    const window = Math.max(PAGES_MIN, this.#pagesPerMs * (WINDOW_MS + (roundTripMs ?? 0)));
    const room = Math.max(0, Math.floor(window - underWay));
    if (room < ROOM_PAGES_FEW) this.#limits = true;
    return room;
  }
}
