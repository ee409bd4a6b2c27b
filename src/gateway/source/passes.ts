/**
 * QEMU's passes: how many there were, when the newest began, and how much of it QEMU says is left. Pure; the
 * caller brings the time.
 */

export class Passes {
  #count = 0;
  #countAtIterationStart = 0;
  #syncMs: number | null = null;
  /** Of the newest pass, where QEMU was asked; null: unknown. */
  remainingPages: number | null = null;

  get count(): number {
    return this.#count;
  }

  /** QEMU's second dirty sync ends the first pass. */
  get firstIsDone(): boolean {
    return this.#count >= 2;
  }

  /** Pass number `count` begins with a sync at `nowMs`; returns when the one before did, null for none. */
  begin(nowMs: number, count: number): number | null {
    const before = this.#syncMs;
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
