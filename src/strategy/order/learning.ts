/**
 * Which page goes next, from knowing nothing to knowing rewrite rates, in three stages:
 *
 * 1. Before the first sync nothing is known, and QEMU hands RAM over by address. Regions go in a scattered
 *    order, so that of a hot set no more is sent in vain than its share of RAM. While QEMU is not kept
 *    waiting, the freshest copies go first (src/pages/send-queue.ts).
 * 2. After the first sync, regions in which nothing was found dirty go first. One sync finds hardly a fifth
 *    of a hot set, but nearly every region of it, and a page sent from such a region is probably sent in
 *    vain.
 * 3. Once rewrite rates are known, the coldest pages go first.
 */

import { type Order, type Outlook, regionPagesOf } from '../../vm/index.ts';
import { COLDEST_FIRST } from '../common.ts';
import { lastIteration, ratesAreKnown } from '../measures.ts';

const CLASSES = 8;

export function learningOrder(outlook: Outlook): Order {
  const last = lastIteration(outlook);
  if (last === null && !outlook.snapshot.firstPassDone) return scattered(outlook.pageCount);
  if (last === null || ratesAreKnown(outlook.history)) return COLDEST_FIRST;
  const classOfRegion = Uint8Array.from(last.regionHistogram, (dirty) =>
    dirty === 0 ? 0 : Math.max(1, CLASSES + Math.floor(Math.log2(Math.min(0.99, dirty / last.regionPages)))),
  );
  return { kind: 'region', classOfRegion };
}

/**
 * 2^32 over the golden ratio: neighbouring regions fall into different classes, whatever the pattern of hot
 * regions.
 */
const SCATTER = 0x9e3779b1;

function scattered(pageCount: number): Order {
  const classOfRegion = new Uint8Array(Math.ceil(pageCount / regionPagesOf(pageCount)));
  for (let region = 0; region < classOfRegion.length; region++)
    classOfRegion[region] = Math.imul(region, SCATTER) >>> 29;
  return { kind: 'region', classOfRegion };
}
