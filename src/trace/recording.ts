/** A whole trace in memory: its sets as runs. Bounded; not responsible for reading bytes (reader.ts). */

import { Bitmap, GodwitError } from '../base/index.ts';
import type { TraceHeader } from './format.ts';
import { type TraceEnd, TraceReader, type TraceSink } from './reader.ts';
import type { PageCost } from './types.ts';

/** A gigabyte of runs: a trace that does not fit is cut with `head`, or recorded for a shorter time. */
const RUNS_MAX = 2 ** 27;
/**
 * 2 TiB of guest memory. Some counts are kept page by page, and have to fit memory whatever a header says.
 */
const PAGES_MAX = 2 ** 29;

export interface TraceSet {
  readonly startMs: number;
  readonly endMs: number;
  readonly pages: number;
  /** Positions in `runs` of the first run and the one after the last. */
  readonly firstRun: number;
  readonly endRun: number;
}

export interface Recording {
  readonly header: TraceHeader;
  readonly sets: readonly TraceSet[];
  /** First page and number of pages, in turn. */
  readonly runs: Uint32Array;
  /** Pages that were not zero when the recording began; null: not told. */
  readonly content: Bitmap | null;
  /** As sampled while recording; null: not told. */
  readonly cost: PageCost | null;
  readonly end: TraceEnd;
}

class Collector implements TraceSink {
  header: TraceHeader | null = null;
  readonly sets: { startMs: number; endMs: number; pages: number; firstRun: number; endRun: number }[] = [];
  content: Bitmap | null = null;
  cost: PageCost | null = null;
  runs = new Uint32Array(1024);
  count = 0;

  onHeader(header: TraceHeader): void {
    if (header.pageCount > PAGES_MAX) {
      throw new GodwitError('TRACE_TOO_LARGE', `the trace is of a guest with ${header.pageCount} pages`, {
        hint: `at most ${PAGES_MAX} can be looked at`,
      });
    }
    this.header = header;
  }

  onContent(firstPage: number, pages: number): void {
    this.content ??= new Bitmap(this.header!.pageCount);
    for (let page = firstPage; page < firstPage + pages; page++) this.content.add(page);
  }

  onCost(cost: PageCost): void {
    this.cost = cost;
  }

  onSet(startMs: number, endMs: number): void {
    this.sets.push({ startMs, endMs, pages: 0, firstRun: this.count, endRun: this.count });
  }

  onRun(firstPage: number, pages: number): void {
    if (this.count >= RUNS_MAX) {
      throw new GodwitError('TRACE_TOO_LARGE', `a trace in memory has at most ${RUNS_MAX} runs of pages`, {
        hint: 'record for a shorter time',
      });
    }
    if (2 * this.count >= this.runs.length) {
      const larger = new Uint32Array(this.runs.length * 2);
      larger.set(this.runs);
      this.runs = larger;
    }
    this.runs[2 * this.count] = firstPage;
    this.runs[2 * this.count + 1] = pages;
    this.count++;
    const set = this.sets.at(-1)!;
    set.endRun = this.count;
    set.pages += pages;
  }
}

/** Reads all chunks. Errors: those of TraceReader, TRACE_TOO_LARGE. */
export function readRecording(chunks: Iterable<Uint8Array>): Recording {
  const collector = new Collector();
  const reader = new TraceReader(collector);
  for (const chunk of chunks) reader.write(chunk);
  const end = reader.end();
  const { header, sets, runs, content, cost } = collector;
  return { header: header!, sets, runs, content, cost, end };
}
