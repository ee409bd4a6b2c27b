/**
 * What a population of pages with known rewrite rates will look like: how much a link can keep current, and what stays dirty for ever. Pure
 * arithmetic on the rewrite histogram; not responsible for what to do about it.
 */

import { rateOfClass } from './measures.ts';

/** Lower bound of class `index`, per second. */
function floorOfClass(index: number): number {
  return 2 ** (index - 16);
}

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
  // From above the map is monotone, so this only ever falls; 64 rounds reach well below a page.
  for (let round = 0; round < 64; round++) pages = dirtyAfter(histogram, pages / linkPagesPerSecond);
  return pages;
}

export interface Share {
  /** Pages rewritten faster than this cannot be kept current; Infinity when all can. */
  readonly perSecondMax: number;
  /** How many those are: irreducible with whole pages. */
  readonly hotterPages: number;
}

/**
 * The coldest pages whose rewrite rates sum to `pagesPerSecond`: only those can be kept current by a link that spends that much on resending.
 * Classes are a factor of two wide; within one, rates are taken as evenly spread on the log scale.
 */
export function keptCurrent(histogram: Float64Array, pagesPerSecond: number): Share {
  let load = 0;
  let hotter = 0;
  for (const count of histogram) hotter += count;
  for (let index = 0; index < histogram.length; index++) {
    const count = histogram[index]!;
    const classLoad = count * rateOfClass(index);
    if (load + classLoad > pagesPerSecond) {
      const fraction = Math.max(0, (pagesPerSecond - load) / classLoad);
      return { perSecondMax: floorOfClass(index) * 2 ** fraction, hotterPages: hotter - fraction * count };
    }
    load += classLoad;
    hotter -= count;
  }
  return { perSecondMax: Number.POSITIVE_INFINITY, hotterPages: 0 };
}
