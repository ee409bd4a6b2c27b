/** Regions: equal power-of-two runs of pages, at most REGIONS_MAX of them. */

import { REGIONS_MAX } from './statistics.ts';

/** 2 MiB, the granularity of a huge page, unless RAM is too large for it. */
const REGION_PAGES_MIN = 512;

export function regionPagesOf(pageCount: number): number {
  let regionPages = REGION_PAGES_MIN;
  while (Math.ceil(pageCount / regionPages) > REGIONS_MAX) regionPages *= 2;
  return regionPages;
}
