/** Is a series flat? Judged by medians of its thirds, so that no single sample decides. */

export interface Sample {
  readonly atMs: number;
  readonly residentBytes: number;
  readonly descriptors: number;
  /** The newest of the event loop's 99th percentiles; null before the first. */
  readonly delayMs: number | null;
  readonly heapBytes: number | null;
}

export interface Growth {
  /** Median of the middle third. */
  readonly before: number;
  /** Median of the last third. */
  readonly after: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  if (sorted.length === 0) return NaN;
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

/** The first third is the warming up, and is left out. */
export function growthOf(values: readonly number[]): Growth {
  const third = Math.floor(values.length / 3);
  return { before: median(values.slice(third, 2 * third)), after: median(values.slice(2 * third)) };
}

/** `shareMax`: of what was there before; `freeMax`: growth that is noise whatever was there. */
export function isFlat({ before, after }: Growth, shareMax: number, freeMax: number): boolean {
  return after - before <= Math.max(before * shareMax, freeMax);
}
