/**
 * A recorded guest as a guest model. A set does not say when within its time a page was written, so its runs
 * are spread over that time: a long run from front to back, a short one at some moment of its own. When the
 * trace is over it begins again.
 */

import { Bitmap, GodwitError, popcount32 } from '../base/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import type { Recording, TraceSet } from './recording.ts';
import { type DirtySink, type GuestModel, type RateGroup, STEP_MS } from './types.ts';

/**
 * `startShare`: the migration begins so far into the trace, 0 to 1. Errors: TRACE_EMPTY for a trace without a
 * set.
 */
export function replayGuest(recording: Recording, startShare = 0): GuestModel {
  return replayOf(recording)(startShare);
}

/** The same for several moments, with the memory of one. */
export function replayOf(recording: Recording): (startShare: number) => GuestModel {
  const { header, sets } = recording;
  const first = sets[0];
  const last = sets.at(-1);
  if (first === undefined || last === undefined || last.endMs - first.startMs < STEP_MS) {
    throw new GodwitError('TRACE_EMPTY', 'the trace holds no time to replay', {
      hint: 'a migration records its first set after its second pass',
    });
  }
  const steps = Math.ceil((last.endMs - first.startMs) / STEP_MS);
  const starts = sets.map(({ startMs }) => Math.floor((startMs - first.startMs) / STEP_MS));
  const { runs, contentPages } = zeroPagesLast(recording);
  const writeAt = (at: number, sink: DirtySink) => {
    for (let index = lastAtOrBefore(starts, at); index >= 0; index--) {
      const set = sets[index]!;
      const length = Math.max(1, Math.round((set.endMs - set.startMs) / STEP_MS));
      // Sets follow each other: one that is over has only sets before it that are over too.
      if (at - starts[index]! >= length) break;
      writePart(runs, set, index, at - starts[index]!, length, sink);
    }
  };
  const guest = {
    pageCount: header.pageCount,
    content: { firstPage: 0, pageCount: contentPages },
    // Where contents were not sampled, whole pages are the safe assumption.
    cost: recording.cost ?? { packedBytes: PAGE_SIZE_BYTES, deltaBytes: PAGE_SIZE_BYTES },
    rates: ratesOf(recording, (steps * STEP_MS) / 1000),
    quietMs: 0,
  };
  return (startShare) => {
    const firstStep = Math.floor(startShare * steps);
    return { ...guest, writeStep: (step, sink) => writeAt((firstStep + step) % steps, sink) };
  };
}

/**
 * The same runs with the pages that are never anything but zero moved behind all others, which keep their
 * order: a guest model has its content in one piece. A written page is content, whatever it was before.
 */
function zeroPagesLast(recording: Recording): { runs: Uint32Array; contentPages: number } {
  const { header, content, runs, sets } = recording;
  if (content === null) return { runs, contentPages: header.pageCount };
  const kept = new Bitmap(header.pageCount);
  kept.words.set(content.words);
  const endRun = sets.at(-1)!.endRun;
  for (let run = 0; run < endRun; run++) {
    const end = runs[2 * run]! + runs[2 * run + 1]!;
    for (let page = runs[2 * run]!; page < end; page++) kept.add(page);
  }
  const before = new Uint32Array(kept.words.length);
  let contentPages = 0;
  for (let word = 0; word < before.length; word++) {
    before[word] = contentPages;
    contentPages += popcount32(kept.words[word]!);
  }
  const moved = runs.slice(0, 2 * endRun);
  for (let at = 0; at < moved.length; at += 2) {
    const page = moved[at]!;
    const below = kept.words[page >>> 5]! & ((1 << (page & 31)) - 1);
    moved[at] = before[page >>> 5]! + popcount32(below);
  }
  return { runs: moved, contentPages };
}

function lastAtOrBefore(starts: readonly number[], step: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (starts[middle]! <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function writePart(
  runs: Uint32Array,
  set: TraceSet,
  index: number,
  part: number,
  parts: number,
  sink: DirtySink,
): void {
  for (let run = set.firstRun; run < set.endRun; run++) {
    const firstPage = runs[2 * run]!;
    const pages = runs[2 * run + 1]!;
    if (pages < parts) {
      // Every run falls into one part of the set's time, neighbours into different parts, and into other
      // parts in the next set.
      if ((run - set.firstRun + index) % parts === part) sink.range(firstPage, pages);
      continue;
    }
    const from = Math.floor((pages * part) / parts);
    const to = Math.floor((pages * (part + 1)) / parts);
    if (to > from) sink.range(firstPage + from, to - from);
  }
}

/**
 * A page's rate is the number of sets it is in, over the time recorded. The true rate may be higher, because
 * a page counts once a set.
 */
function ratesOf({ header, sets, runs }: Recording, seconds: number): RateGroup[] {
  const counts = new Uint32Array(header.pageCount);
  for (const set of sets) {
    for (let run = set.firstRun; run < set.endRun; run++) {
      const firstPage = runs[2 * run]!;
      const end = firstPage + runs[2 * run + 1]!;
      for (let page = firstPage; page < end; page++) counts[page]!++;
    }
  }
  const pagesByCount = new Map<number, number>();
  for (const count of counts) if (count > 0) pagesByCount.set(count, (pagesByCount.get(count) ?? 0) + 1);
  return [...pagesByCount].map(([count, pages]) => ({ pages, perSecond: count / seconds }));
}
