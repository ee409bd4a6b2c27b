/** Writes a decoded stream again as a gateway would: newest copies only, in another order, in sections of its own. */

import { Prng } from '../../src/base/index.ts';
import { RAM_RECORD_BYTES_MAX, SECTION_BYTES_MAX, StreamEncoder } from '../../src/stream/index.ts';
import type { Recorder } from './recorder.ts';

export function reemit(recorder: Recorder, seed: number): Buffer {
  const setup = recorder.setup!;
  const tail = recorder.tail!;
  const prng = new Prng(seed);
  const encoder = new StreamEncoder(setup);
  const pages = shuffled([...recorder.memory.keys()], prng);
  const out = Buffer.alloc(pages.length * (RAM_RECORD_BYTES_MAX + SECTION_BYTES_MAX + 5) + 64);
  let at = 0;
  for (const [index, page] of pages.entries()) {
    if (encoder.isOpen && prng.below(10) === 0) at = encoder.closeSection(out, at);
    if (!encoder.isOpen) at = encoder.openSection(out, at, 'part');
    const content = recorder.memory.get(page);
    if (content == null) at = encoder.zeroPage(out, at, page);
    else if (index % 2 === 0) at = encoder.page(out, at, page, content, 0);
    else {
      at = encoder.pageHeader(out, at, page);
      at += content.copy(out, at);
    }
  }
  if (encoder.isOpen) at = encoder.closeSection(out, at);
  at = encoder.closeSection(out, encoder.openSection(out, at, 'end'));
  return Buffer.concat([...recorder.raw, out.subarray(0, at), tail.devices, tail.end]);
}

function shuffled(values: number[], prng: Prng): number[] {
  for (let index = values.length - 1; index > 0; index--) {
    const other = prng.below(index + 1);
    [values[index], values[other]] = [values[other]!, values[index]!];
  }
  return values;
}
