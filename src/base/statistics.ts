/** Order statistics of small samples, and a moving average. */

/** The `share` quantile (0..1) by linear interpolation; null of an empty sample. */
export function quantile(sample: readonly number[], share: number): number | null {
  if (sample.length === 0) return null;
  const sorted = [...sample].sort((left, right) => left - right);
  const position = share * (sorted.length - 1);
  const low = Math.floor(position);
  const high = Math.ceil(position);
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (position - low);
}

export function median(sample: readonly number[]): number | null {
  return quantile(sample, 0.5);
}

/**
 * A moving average: `before` moved by `weight` (0 to 1) of the way to `sample`; the first sample (`before`
 * null) is it.
 */
export function smoothed(before: number | null, sample: number, weight: number): number {
  return before === null ? sample : before + weight * (sample - before);
}
