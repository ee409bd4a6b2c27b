/**
 * QEMU's passes: how many there were, when the newest began, and how much of it QEMU says is left. Pure; the
 * caller brings the time.
 */

const NEARLY = 0.95;

export class Passes {
  #count = 0;
  #countAtIterationStart = 0;
  #syncMs: number | null = null;
  #arrivedPages = 0;
  /** Of the newest pass, where QEMU was asked; null: unknown. */
  remainingPages: number | null = null;

  get count(): number {
    return this.#count;
  }

  /** As many have come as the pass before had, but for a small rest. */
  isNearlyOver(arrivedPages: number): boolean {
    return this.last !== null && arrivedPages - this.#arrivedPages >= NEARLY * this.last.pages;
  }

  /** Of the running pass, when `arrivedPages` have come in all. */
  pagesOfRunning(arrivedPages: number): number {
    return arrivedPages - this.#arrivedPages + (this.remainingPages ?? 0);
  }

  /** QEMU's second dirty sync ends the first pass. */
  get firstIsDone(): boolean {
    return this.#count >= 2;
  }

  /** What the newest finished pass handed over; null before QEMU's second has ended. */
  last: { readonly pages: number; readonly durationMs: number } | null = null;

  /**
   * Pass number `count` begins with a sync at `nowMs`, when `arrivedPages` had come in all; returns
   * when the one
   * before did, null for none.
   */
  begin(nowMs: number, count: number, arrivedPages: number): number | null {
    const before = this.#syncMs;
    if (before !== null && count >= 3) {
      this.last = { pages: arrivedPages - this.#arrivedPages, durationMs: nowMs - before };
    }
    this.#arrivedPages = arrivedPages;
    this.#count = count;
    this.#syncMs = nowMs;
    this.remainingPages = null;
    return before;
  }

  /** null before the first. */
  sinceSyncMs(nowMs: number): number | null {
    return this.#syncMs === null ? null : nowMs - this.#syncMs;
  }

  /** How many began in the iteration that ends now. */
  endIteration(): number {
    const passes = this.#count - this.#countAtIterationStart;
    this.#countAtIterationStart = this.#count;
    return passes;
  }
}
