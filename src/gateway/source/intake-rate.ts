/**
 * How many rewritten pages a second come out of QEMU through this gateway while neither waits for the other.
 * Once the VM is stopped, the last pages come at this rate. Where deltas of a few bytes cross the link, it
 * decides the downtime. Pure; the caller brings the time.
 */

/** After a longer silence QEMU paused, or was left unread: such a span is not counted. */
const BUSY_GAP_MS_MAX = 10;
/**
 * A read that brings fewer is all that there was: the passes of an idle guest follow each other closely, and
 * their trickle says nothing of what QEMU could hand over.
 */
const BUSY_PAGES_MIN = 8;
const SAMPLE_MS = 40;
/**
 * The best rate of the last one or two spans of this length counts. An older one may be of a host that was
 * less busy.
 */
const EPOCH_MS = 5000;

export class IntakeRate {
  #lastMs = Number.NEGATIVE_INFINITY;
  #lastPages = 0;
  #busyMs = 0;
  #busyPages = 0;
  #epochMs = Number.NEGATIVE_INFINITY;
  #mostPerMs: number | null = null;
  #mostPerMsBefore: number | null = null;

  /** `totalPages` have arrived by now. */
  arrived(nowMs: number, totalPages: number): void {
    const gapMs = nowMs - this.#lastMs;
    const pages = totalPages - this.#lastPages;
    if (gapMs <= BUSY_GAP_MS_MAX && pages >= BUSY_PAGES_MIN) {
      this.#busyMs += gapMs;
      this.#busyPages += pages;
    }
    this.#lastMs = nowMs;
    this.#lastPages = totalPages;
    if (this.#busyMs < SAMPLE_MS) return;
    if (nowMs - this.#epochMs > EPOCH_MS) {
      this.#epochMs = nowMs;
      this.#mostPerMsBefore = this.#mostPerMs;
      this.#mostPerMs = null;
    }
    this.#mostPerMs = Math.max(this.#mostPerMs ?? 0, this.#busyPages / this.#busyMs);
    this.#busyMs = 0;
    this.#busyPages = 0;
  }

  /** null before there was enough to tell. */
  get pagesPerSecond(): number | null {
    if (this.#mostPerMs === null) return null;
    return Math.max(this.#mostPerMs, this.#mostPerMsBefore ?? 0) * 1000;
  }

  /**
   * Pages are read from QEMU, sent and loaded at the same time, so the rate of the slower end counts. null
   * where the far end does not tell its rate.
   */
  slowerOf(farPagesPerSecond: number | null): number | null {
    const near = this.pagesPerSecond;
    return farPagesPerSecond === null || near === null
      ? farPagesPerSecond
      : Math.min(farPagesPerSecond, near);
  }
}
