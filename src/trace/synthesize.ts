/** Writes what a guest model does as a trace. */

import { Bitmap } from '../base/index.ts';
import { type DirtySink, type GuestModel, STEP_MS } from './types.ts';
import type { TraceWriter } from './writer.ts';

class BitmapSink implements DirtySink {
  readonly bitmap: Bitmap;

  constructor(pageCount: number) {
    this.bitmap = new Bitmap(pageCount);
  }

  page(pageIndex: number): void {
    this.bitmap.add(pageIndex);
  }

  range(firstPage: number, pageCount: number): void {
    for (let page = firstPage; page < firstPage + pageCount; page++) this.bitmap.add(page);
  }

  word(wordIndex: number, mask: number): void {
    this.bitmap.words[wordIndex]! |= mask;
  }
}

/** A set every `intervalMs`, for `durationMs`; ends the trace. */
export function synthesize(
  guest: GuestModel,
  writer: TraceWriter,
  durationMs: number,
  intervalMs: number,
): void {
  const sink = new BitmapSink(guest.pageCount);
  const stepsPerSet = Math.max(1, Math.round(intervalMs / STEP_MS));
  const steps = Math.max(1, Math.round(durationMs / STEP_MS));
  sink.range(guest.content.firstPage, guest.content.pageCount);
  writer.content(sink.bitmap);
  writer.cost(guest.cost);
  for (let first = 0; first < steps; first += stepsPerSet) {
    const end = Math.min(steps, first + stepsPerSet);
    sink.bitmap.clear();
    for (let step = first; step < end; step++) guest.writeStep(step, sink);
    writer.set(first * STEP_MS, end * STEP_MS, sink.bitmap);
  }
  writer.end();
}
