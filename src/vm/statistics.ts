/** The aggregates that rules decide on: what one iteration did, and what waits now. Types and bounds only. */

export const REWRITE_CLASSES = 32;
export const REGIONS_MAX = 4096;

/**
 * One finished iteration. Iteration 0 is QEMU's first pass (every page once, nothing known about dirtying);
 * from 1 on, "dirty" is the set of distinct pages that QEMU sent again during the iteration.
 */
export interface IterationStats {
  readonly index: number;
  /** Since `migrate`. */
  readonly startMs: number;
  readonly durationMs: number;
  /** QEMU passes (dirty syncs) that were OR-ed into this iteration. */
  readonly passes: number;
  /** |D_k|: distinct pages. In iteration 0: pages seen for the first time. */
  readonly dirtyPages: number;
  /** |D_k \ F_k|, F_k as it stands when the iteration ends. */
  readonly dirtyOutsideHoldPages: number;
  readonly sentPages: number;
  /** Pages among the sent ones that had been sent before. */
  readonly resentPages: number;
  /** Bytes on the link. */
  readonly sentBytes: number;
  /** At the end of the iteration. */
  readonly backlog: Backlog;
  /** null until the link has been busy for long enough to measure. */
  readonly bandwidthBytesPerSecond: number | null;
  /**
   * Pages by estimated rewrite rate: class c counts rates in [2^(c-16), 2^(c-15)) per second; REWRITE_CLASSES
   * entries.
   */
  readonly rewriteHistogram: Float64Array;
  /** |D_k| by region of `regionPages` pages; at most REGIONS_MAX entries. */
  readonly regionHistogram: Uint32Array;
  readonly regionPages: number;
}

/**
 * What waits at the source gateway. `Bytes` are as they would go over the link (encoded, estimated where not
 * encoded yet).
 */
export interface Backlog {
  readonly queuedPages: number;
  readonly queuedBytes: number;
  readonly heldPages: number;
  readonly heldBytes: number;
  /**
   * Of both, pages of zeros: next to nothing on the link, and cheaper than others at both ends. Absent:
   * 0.
   */
  readonly zeroPages?: number;
}

/** The moment's aggregates, about every 50 ms. */
export interface Snapshot {
  readonly backlog: Backlog;
  /** Distinct pages dirtied in the running iteration so far. */
  readonly dirtyPages: number;
  readonly dirtyOutsideHoldPages: number;
  /** Copies of pages taken out of QEMU since `migrate`. Absent: not counted. */
  readonly arrivedPages?: number;
  /** Bytes on the link for a page that is not zero, as measured on the newest ones. Absent: unknown. */
  readonly writtenPageBytes?: number;
  /**
   * Bytes on the link for a page of which the destination has an older copy. Absent or null: such a page goes
   * whole again.
   */
  readonly deltaPageBytes?: number | null;
  /**
   * Pages that the slower end works on in a second, whatever the link carries: the source's gateway takes
   * them out of QEMU, the far one applies them. Absent or null where the far end does not tell.
   */
  readonly slowerEndPagesPerSecond?: number | null;
  /**
   * Pages that QEMU hands over in a second while nobody makes it wait: no gateway runs ahead of the link by
   * more. Absent or null: not measured yet.
   */
  readonly handOverPagesPerSecond?: number | null;
  /** Zero pages that the slowest stage carries in a second. Absent or null: they count as any other page. */
  readonly zeroPagesPerSecond?: number | null;
  /** What QEMU's newest finished pass handed over, and how long after its sync. Absent or null: none yet. */
  readonly lastPass?: { readonly pages: number; readonly durationMs: number } | null;
  /** Of the running pass: handed over, or left as far as QEMU says. Absent: unknown. */
  readonly passPages?: number;
  /** Totals since `migrate`. */
  readonly sentPages: number;
  readonly resentPages: number;
  readonly sentBytes: number;
  /** QEMU's first pass is over: every page has been seen once. */
  readonly firstPassDone: boolean;
  /** Passes since `migrate`. */
  readonly passes: number;
  /** Time since the last dirty sync. What was dirtied since then is unknown. null before the first sync. */
  readonly sinceSyncMs: number | null;
  readonly bandwidthBytesPerSecond: number | null;
  readonly roundTripMs: number | null;
  /** Handed over to the link, but not known to have arrived. Absent: unknown. */
  readonly underWayBytes?: number;
  /** Bytes of gateway memory in use and its cap. */
  readonly memoryBytes: number;
  readonly memoryBytesMax: number;
  /** The gateway holds QEMU's switchover-ack back: QEMU waits, and a switchover can start at once. */
  readonly gateHeld: boolean;
  /**
   * Pages that QEMU itself calls dirty and has not sent (`query-migrate` ram.remaining). Back-pressure keeps
   * pages inside QEMU, and rules have to see all that remains. null or absent: unknown.
   */
  readonly sourceRemainingPages?: number | null;
}
