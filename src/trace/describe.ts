/** What a trace says about its guest: rates, set sizes, where the writes go. Pure. */

import { median, quantile } from '../base/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import type { Recording } from './recording.ts';

export interface TraceDescription {
  readonly pageCount: number;
  readonly source: string;
  readonly about: string;
  readonly whole: boolean;
  readonly reason: string | null;
  readonly sets: number;
  readonly durationMs: number;
  /** Distinct pages over all sets. */
  readonly distinctPages: number;
  /** A page counts once a set: at most the true rate. null without time. */
  readonly dirtyBytesPerSecond: number | null;
  readonly setPagesMedian: number | null;
  readonly setPagesP95: number | null;
  readonly setPagesMax: number | null;
  /** Pages in at least half of all sets. */
  readonly hotPages: number;
  /** Share of all dirtying that falls on the hottest tenth of the distinct pages. */
  readonly hottestTenthShare: number | null;
}

export function describeTrace(recording: Recording): TraceDescription {
  const { header, sets, runs, end } = recording;
  const counts = new Uint32Array(header.pageCount);
  for (const set of sets) {
    for (let run = set.firstRun; run < set.endRun; run++) {
      const stop = runs[2 * run]! + runs[2 * run + 1]!;
      for (let page = runs[2 * run]!; page < stop; page++) counts[page]!++;
    }
  }
  const used = counts.filter((count) => count > 0).sort();
  const tenth = used.subarray(Math.floor(used.length * 0.9));
  const sizes = sets.map(({ pages }) => pages);
  const durationMs = sets.reduce((sum, set) => sum + (set.endMs - set.startMs), 0);
  return {
    pageCount: header.pageCount,
    source: header.source,
    about: header.about,
    whole: end.whole,
    reason: end.reason,
    sets: sets.length,
    durationMs,
    distinctPages: used.length,
    dirtyBytesPerSecond: durationMs > 0 ? (end.dirtyPages * PAGE_SIZE_BYTES * 1000) / durationMs : null,
    setPagesMedian: median(sizes),
    setPagesP95: quantile(sizes, 0.95),
    setPagesMax: quantile(sizes, 1),
    hotPages: counts.reduce((sum, count) => sum + (count > 0 && count * 2 >= sets.length ? 1 : 0), 0),
    hottestTenthShare:
      end.dirtyPages > 0 ? tenth.reduce((sum, count) => sum + count, 0) / end.dirtyPages : null,
  };
}

/** Dirty pages by cell of address (rows) and time (columns). */
export function heatMap(recording: Recording, columns: number, rows: number): Float64Array {
  const { header, sets, runs } = recording;
  const cells = new Float64Array(columns * rows);
  const first = sets[0]?.startMs ?? 0;
  const spanMs = Math.max(1, (sets.at(-1)?.endMs ?? 0) - first);
  for (const set of sets) {
    const from = Math.min(columns - 1, Math.floor(((set.startMs - first) / spanMs) * columns));
    const to = Math.max(from + 1, Math.min(columns, Math.round(((set.endMs - first) / spanMs) * columns)));
    for (let run = set.firstRun; run < set.endRun; run++) {
      let page = runs[2 * run]!;
      const stop = page + runs[2 * run + 1]!;
      while (page < stop) {
        const row = Math.floor((page * rows) / header.pageCount);
        const rowEnd = Math.min(stop, Math.max(page + 1, Math.ceil(((row + 1) * header.pageCount) / rows)));
        // The set does not say when a page was written: all columns of its time get a share.
        const share = (rowEnd - page) / (to - from);
        for (let column = from; column < to; column++) cells[row * columns + column]! += share;
        page = rowEnd;
      }
    }
  }
  return cells;
}
