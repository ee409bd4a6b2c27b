/**
 * A guest, as far as its memory is concerned: which pages it writes in each step of its own time. Types only.
 */

/** Guests are sampled in steps of this much guest time. The order of writes within a step is not known. */
export const STEP_MS = 50;

/** Takes the pages that were written. A page may be told more than once within a step. */
export interface DirtySink {
  page(pageIndex: number): void;
  range(firstPage: number, pageCount: number): void;
  /** Bit b of `mask`: page 32 x `wordIndex` + b was written. */
  word(wordIndex: number, mask: number): void;
  /**
   * True: another write to any of these pages would change nothing, so the guest need not draw it. Absent:
   * never true.
   */
  settled?(firstPage: number, pageCount: number): boolean;
}

/** Pages that are written alike. */
export interface RateGroup {
  readonly pages: number;
  /** Writes a second of each page, while the guest is busy. */
  readonly perSecond: number;
}

/** Bytes of a page beyond its record header, by the way it is sent. */
export interface PageCost {
  /** A whole page under zstd level 1. */
  readonly packedBytes: number;
  /** A rewritten page against the copy sent before. */
  readonly deltaBytes: number;
}

export interface GuestModel {
  readonly pageCount: number;
  /** Pages outside of this range are zero and never written. */
  readonly content: { readonly firstPage: number; readonly pageCount: number };
  readonly cost: PageCost;
  /** null: not known (a recorded trace). */
  readonly rates: readonly RateGroup[] | null;
  /** Longest time without writes, ms; 0 for a guest that never rests. */
  readonly quietMs: number;
  /**
   * The writes of step `step` (from `step` x STEP_MS on): the same for the same step, in whatever order steps
   * are asked for.
   */
  writeStep(step: number, sink: DirtySink): void;
}

/** A recorded guest, and how far into its trace the migration begins: 0 to 1. */
export interface TraceSource {
  readonly file: string;
  readonly startShare: number;
}
