/** How a page's bookkeeping is packed (docs/format/page-store.md). */

/** `meta`: one Int32 a page. Bits 0-7 flags, 8-15 history, 16-31 stamp of the last rewrite (0: unknown). */
export const STATE_MASK = 0b11;
export const STATE_NONE = 0;
export const STATE_QUEUED = 1;
export const STATE_HELD = 2;
export type PageState = typeof STATE_NONE | typeof STATE_QUEUED | typeof STATE_HELD;

export const SEEN = 1 << 2;
export const SENT = 1 << 3;
/** In the frequent set F (window and rate holds). */
export const MEMBER = 1 << 4;
export const ZERO = 1 << 5;
/** The interval is a bound, not an average: the next sample replaces it. */
export const BOUND_ONLY = 1 << 6;
/** Estimated once, clean for the whole window since: counted in the histogram of cooled pages. */
export const COOLED = 1 << 7;

export const HISTORY_SHIFT = 8;
/** Dirty in the running iteration: bit 0 of the history. */
export const DIRTY_NOW = 1 << HISTORY_SHIFT;
export const HISTORY_MASK = 0xff << HISTORY_SHIFT;

/** Dirty bits of the last 8 iterations, bit 0 the running one. */
export function historyBits(word: number): number {
  return (word >>> HISTORY_SHIFT) & 0xff;
}

export const STAMP_SHIFT = 16;
export const LOW_HALF = 0xffff;
/** Stamps run 1..65535. */
export const STAMP_MODULUS = 65_535;

/** `heat`: one Uint16 a page. Bits 0-7 interval code, 8-12 modification counter, 13-15 class in the queue. */
export const INTERVAL_MASK = 0xff;
export const COUNTER_SHIFT = 8;
export const COUNTER_MASK = 0x1f;
export const CLASS_SHIFT = 13;
export const NOT_CLASS = (1 << CLASS_SHIFT) - 1;

/** Queue classes: sent in ascending order. */
export const CLASSES = 8;
