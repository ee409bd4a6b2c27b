/**
 * The order while rewrite rates are not known yet: regions in which nothing was found dirty go first. One sync finds hardly a fifth of a hot
 * set, but nearly every region of it; a page sent from there is probably sent in vain. Before the first sync nothing is known at all, and QEMU
 * hands RAM over by address: then the freshest copies go (src/pages/send-queue.ts), and while QEMU is kept waiting pages from all over what has
 * arrived, so that of a hot set no more goes in vain than its share.
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

/** Golden ratio: neighbours fall into different classes, whatever the pattern of regions. */
const SCATTER = 0x9e3779b1;

function scattered(pageCount: number): Order {
  const classOfRegion = new Uint8Array(Math.ceil(pageCount / regionPagesOf(pageCount)));
  for (let region = 0; region < classOfRegion.length; region++)
    classOfRegion[region] = Math.imul(region, SCATTER) >>> 29;
  return { kind: 'region', classOfRegion };
}
