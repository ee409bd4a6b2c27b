/**
 * Writes a decoded stream again as a gateway would: newest copies only, in another order, in
 * sections of its own.
 */

import { Prng } from '../../src/base/index.ts';
import { RAM_RECORD_BYTES_MAX, SECTION_BYTES_MAX, StreamEncoder } from '../../src/stream/index.ts';
import type { Recorder } from './recorder.ts';

/** `changes`: some pages as an older copy and what changed, which our own decoder does not read. */
export function reemit(recorder: Recorder, seed: number, { changes = false } = {}): Buffer {
  const setup = recorder.setup!;
  const tail = recorder.tail!;
  const prng = new Prng(seed);
  const encoder = new StreamEncoder(setup);
  const pages = shuffled([...recorder.memory.keys()], prng);
  const out = Buffer.alloc(2 * pages.length * (RAM_RECORD_BYTES_MAX + SECTION_BYTES_MAX + 5) + 64);
  let at = 0;
  for (const [index, page] of pages.entries()) {
    if (encoder.isOpen && prng.below(10) === 0) at = encoder.closeSection(out, at);
    if (!encoder.isOpen) at = encoder.openSection(out, at, 'part');
    const content = recorder.memory.get(page);
    if (content == null) at = encoder.zeroPage(out, at, page);
    else if (changes && isSparse(content)) at = fromZeros(encoder, out, at, page, content);
    else if (changes && index % 3 === 0) at = twice(encoder, out, at, page, content, prng);
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

/** An older copy first, then what changed: single bytes, runs, the first and the last byte, or half of it. */
function twice(
  encoder: StreamEncoder,
  out: Buffer,
  at: number,
  page: number,
  content: Buffer,
  prng: Prng,
): number {
  const older = Buffer.from(content);
  const delta: number[] = [];
  const gap = [2, 40, 600, 4096][prng.below(4)]!;
  for (let byte = prng.below(gap), done = 0; byte < 4096 && delta.length < 2048; ) {
    const count = Math.min(1 + prng.below(200), 4096 - byte);
    for (let change = byte; change < byte + count; change++) older[change]! ^= 0xa5;
    delta.push(...uleb128(byte - done), ...uleb128(count), ...content.subarray(byte, byte + count));
    done = byte + count;
    byte = done + 1 + prng.below(gap);
  }
  const between = encoder.page(out, at, page, older, 0);
  return encoder.pageDelta(out, between, page, Uint8Array.from(delta), 0, delta.length);
}

/** Half of it or less is set, from its first word on: what a page of zeros with a few words looks like. */
function isSparse(content: Buffer): boolean {
  return content.every((byte, at) => byte === 0 || at < 2048);
}

/** Zeros, and then what is set. */
function fromZeros(encoder: StreamEncoder, out: Buffer, at: number, page: number, content: Buffer): number {
  const delta: number[] = [];
  for (let byte = 0, done = 0; byte < 2048; ) {
    if (content[byte] === 0) {
      byte++;
      continue;
    }
    let end = byte;
    while (content[end] !== 0) end++;
    delta.push(...uleb128(byte - done), ...uleb128(end - byte), ...content.subarray(byte, end));
    byte = done = end;
  }
  const between = encoder.zeroPage(out, at, page);
  return encoder.pageDelta(out, between, page, Uint8Array.from(delta), 0, delta.length);
}

function uleb128(value: number): number[] {
  return value < 128 ? [value] : [0x80 | (value & 0x7f), value >>> 7];
}

function shuffled(values: number[], prng: Prng): number[] {
  for (let index = values.length - 1; index > 0; index--) {
    const other = prng.below(index + 1);
    [values[index], values[other]] = [values[other]!, values[index]!];
  }
  return values;
}
