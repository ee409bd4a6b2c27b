/** What a measured trace says about its guest: memory, dirtying, and what its pages cost on a link. Pure. */

import { median, quantile } from '../../base/index.ts';
import { describeTrace, type Recording, replayGuest } from '../../trace/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';

/** A running VM as it was measured (src/controller/assess). */
export interface Measurement {
  readonly trace: Recording;
  /** Bytes of a whole page as packed, and of a rewritten one as a delta; null where too little was seen. */
  readonly cost: { readonly packedBytes: number; readonly deltaBytes: number | null } | null;
}

export interface GuestFacts {
  readonly memoryBytes: number;
  /** Not zero when the measurement began, or written since. */
  readonly contentBytes: number;
  /** Pages found dirty over time; a page counts once a dirty sync. */
  readonly dirtyBytesPerSecond: Spread;
  /** Distinct pages over the whole measurement. */
  readonly workingSetBytes: number;
  /** Of all dirtying, what falls on the hottest tenth of the working set; null where nothing was written. */
  readonly hottestTenthShare: number | null;
  /** Bytes of a whole page as packed, and of a rewritten one as a delta; null where too little was seen. */
  readonly packedBytes: number | null;
  readonly deltaBytes: number | null;
  /** Dirty syncs, and the time between the first and the last. */
  readonly sets: number;
  readonly observedMs: number;
  /** Pieces of WINDOW_MS of which the dirty rate is known. */
  readonly samples: number;
}

export interface Spread {
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
}

export function guestFactsOf({ trace, cost }: Measurement): GuestFacts {
  const about = describeTrace(trace);
  const rates = ratesOf(trace);
  return {
    memoryBytes: trace.header.pageCount * PAGE_SIZE_BYTES,
    contentBytes: replayGuest(trace).content.pageCount * PAGE_SIZE_BYTES,
    dirtyBytesPerSecond: {
      median: median(rates) ?? 0,
      p10: quantile(rates, 0.1) ?? 0,
      p90: quantile(rates, 0.9) ?? 0,
    },
    workingSetBytes: about.distinctPages * PAGE_SIZE_BYTES,
    hottestTenthShare: about.hottestTenthShare,
    packedBytes: cost?.packedBytes ?? null,
    deltaBytes: cost?.deltaBytes ?? null,
    sets: about.sets,
    observedMs: about.durationMs,
    samples: rates.length,
  };
}

/**
 * The dirty rate is taken over pieces of this length: QEMU makes some syncs of a quiet guest one right after
 * the other, and the pages of one then arrive with the next.
 */
const WINDOW_MS = 250;

function ratesOf(trace: Recording): number[] {
  const rates: number[] = [];
  let pages = 0;
  let durationMs = 0;
  for (const set of trace.sets) {
    pages += set.pages;
    durationMs += set.endMs - set.startMs;
    if (durationMs < WINDOW_MS) continue;
    rates.push((pages * PAGE_SIZE_BYTES * 1000) / durationMs);
    pages = 0;
    durationMs = 0;
  }
  return rates;
}
