/**
 * What becomes of pages with known rewrite rates on a given link: how many the link keeps current, and how
 * many stay dirty whatever is sent. Pure arithmetic on the rewrite histogram; not responsible for what to do
 * about it.
 */

import { floorOfClass, rateOfClass } from './measures.ts';

/** U(T) = sum n (1 - exp(-r T)): distinct pages expected dirty after `seconds`. */
export function dirtyAfter(histogram: Float64Array, seconds: number): number {
  let pages = 0;
  for (let index = 0; index < histogram.length; index++) {
    pages += histogram[index]! * (1 - Math.exp(-rateOfClass(index) * seconds));
  }
  return pages;
}

/** R* = U(R* / B), in pages: where plain iterations settle when every dirty page is sent as it comes. */
export function plateauPages(histogram: Float64Array, linkPagesPerSecond: number): number {
  let pages = 0;
  for (const count of histogram) pages += count;
  // The map is monotone and begins above its fixed point, so it only falls; 64 rounds reach well below a
  // page.
  for (let round = 0; round < 64; round++) pages = dirtyAfter(histogram, pages / linkPagesPerSecond);
  return pages;
}

/** Where the pages that a link keeps current end, and those that it cannot keep current begin. */
export interface HotBoundary {
  /** Pages that are rewritten faster than this cannot be kept current; Infinity when all can. */
  readonly rewritesPerSecondMax: number;
  /** How many those are. With whole pages no rule gets below them. */
  readonly hotterPages: number;
}

/**
 * The coldest pages whose rewrite rates sum to `pagesPerSecond` are those that a link keeps current when it
 * spends that much on resending. Classes are a factor of two wide; within one, rates are taken as evenly
 * spread on the log scale.
 */
export function keptCurrent(histogram: Float64Array, pagesPerSecond: number): HotBoundary {
  let load = 0;
  let hotter = 0;
  for (const count of histogram) hotter += count;
  for (let index = 0; index < histogram.length; index++) {
    const count = histogram[index]!;
    const classLoad = count * rateOfClass(index);
    if (load + classLoad > pagesPerSecond) {
      const fraction = Math.max(0, (pagesPerSecond - load) / classLoad);
      const rewritesPerSecondMax = floorOfClass(index) * 2 ** fraction;
      return { rewritesPerSecondMax, hotterPages: hotter - fraction * count };
    }
    load += classLoad;
    hotter -= count;
  }
  return { rewritesPerSecondMax: Number.POSITIVE_INFINITY, hotterPages: 0 };
}
