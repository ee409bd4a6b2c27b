/**
 * A trace without its addresses (docs/format/trace.md, 7): regions permuted, pages permuted within each,
 * times rounded.
 */

import { Bitmap, Prng } from '../base/index.ts';
import type { Recording } from './recording.ts';
import type { TraceWriter } from './writer.ts';

const REGION_PAGES = 512;
const TIME_GRAIN_MS = 10;

/** `seed` is the key: do not keep it. Ends the trace. */
export function anonymize(recording: Recording, writer: TraceWriter, seed: number): void {
  const { header, sets, runs } = recording;
  const prng = new Prng(seed);
  const wholeRegions = Math.floor(header.pageCount / REGION_PAGES);
  const regions = shuffled(wholeRegions, prng);
  const within = shuffled(REGION_PAGES, prng);
  // A part of a region at the end stays where it is, so that no page leaves the guest.
  const moved = (page: number) => {
    const region = Math.floor(page / REGION_PAGES);
    return region < wholeRegions ? regions[region]! * REGION_PAGES + within[page % REGION_PAGES]! : page;
  };
  const pages = new Bitmap(header.pageCount);
  if (recording.content !== null) {
    for (let page = recording.content.next(0); page >= 0; page = recording.content.next(page + 1)) {
      pages.add(moved(page));
    }
    writer.content(pages);
  }
  const rounded = (ms: number) => Math.round(ms / TIME_GRAIN_MS) * TIME_GRAIN_MS;
  for (const set of sets) {
    pages.clear();
    for (let run = set.firstRun; run < set.endRun; run++) {
      const end = runs[2 * run]! + runs[2 * run + 1]!;
      for (let page = runs[2 * run]!; page < end; page++) pages.add(moved(page));
    }
    writer.set(rounded(set.startMs), rounded(set.endMs), pages);
  }
  if (recording.cost !== null) writer.cost(recording.cost);
  if (recording.end.whole) writer.end();
}

function shuffled(count: number, prng: Prng): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index--) {
    const other = prng.below(index + 1);
    [order[index], order[other]] = [order[other]!, order[index]!];
  }
  return order;
}
