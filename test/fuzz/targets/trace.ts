/** Traces: files that somebody else recorded. */

import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { Bitmap, type Prng } from '../../../src/base/index.ts';
import {
  anonymize,
  describeTrace,
  heatMap,
  readRecording,
  replayGuest,
  TraceWriter,
} from '../../../src/trace/index.ts';
import { mutateBytes } from '../mutate.ts';
import type { FuzzTarget } from '../target.ts';

/**
 * Beyond this, what is counted page by page takes longer than an input should; the reader itself sees all.
 */
const PAGES_LOOKED_AT_MAX = 2 ** 16;

function generate(prng: Prng): Uint8Array {
  const parts: Uint8Array[] = [];
  const pageCount = 1 + prng.below(2000);
  const writer = new TraceWriter({ pageCount, source: 'recorded', write: (part) => parts.push(part) });
  const pages = new Bitmap(pageCount);
  const fill = () => {
    pages.clear();
    for (let count = prng.below(30); count > 0; count--) pages.add(prng.below(pageCount));
  };
  fill();
  if (prng.below(2) === 0) writer.content(pages);
  let atMs = prng.below(100);
  for (let count = prng.below(6); count > 0; count--) {
    fill();
    const endMs = atMs + prng.below(500);
    writer.set(atMs, endMs, pages);
    atMs = endMs + prng.below(10);
  }
  if (prng.below(2) === 0) writer.cost({ packedBytes: prng.below(4096), deltaBytes: prng.below(4096) });
  if (prng.below(4) > 0) writer.end();
  return Buffer.concat(parts);
}

/** Positions [from, end, end of check] of header and records, as far as their lengths can be followed. */
function partsOf(bytes: Buffer): [number, number, number][] {
  const parts: [number, number, number][] = [];
  for (let from = 0, length = 8; from + length < bytes.length; length = 1) {
    let at = from + length;
    let size = 0;
    for (let shift = 0; at < bytes.length && shift < 28; shift += 7) {
      const byte = bytes[at++]!;
      size += (byte & 127) * 2 ** shift;
      if (byte < 128) break;
    }
    if (at + size + 4 > bytes.length) break;
    parts.push([from, at + size, at + size + 4]);
    from = at + size + 4;
  }
  return parts;
}

/** Damage first, then right checks again wherever records can still be followed. */
function mutate(input: Uint8Array, prng: Prng): Uint8Array {
  const bytes = Buffer.from(input);
  const parts = partsOf(bytes);
  if (parts.length === 0 || prng.below(8) === 0) return mutateBytes(bytes, bytes, prng, ['GWTRACE1']);
  const [from, end] = parts[prng.below(parts.length)]!;
  const changed = mutateBytes(bytes.subarray(from, end), bytes.subarray(from, end), prng, [
    '"pageCount":1e9',
    '"pageCount":4294967296',
  ]);
  const result = Buffer.concat([bytes.subarray(0, from), changed, bytes.subarray(end)]);
  for (const [start, stop] of partsOf(result))
    result.writeUInt32LE(crc32(result.subarray(start, stop)), stop);
  return result;
}

function chunked(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}

export const trace: FuzzTarget = {
  name: 'trace',
  codes: /^TRACE_/,
  generate,
  mutate,
  inputBytesMax: 64 * 1024,
  run: (bytes) => {
    const recording = readRecording([bytes]);
    if (recording.header.pageCount > PAGES_LOOKED_AT_MAX) return;
    assert.deepEqual(readRecording(chunked(bytes, 1 + (bytes.length % 7))), recording);
    const about = describeTrace(recording);
    assert.ok(about.distinctPages <= recording.header.pageCount);
    heatMap(recording, 16, 16);
    const parts: Uint8Array[] = [];
    const { pageCount } = recording.header;
    const writer = new TraceWriter({ pageCount, source: 'recorded', write: (part) => parts.push(part) });
    anonymize(recording, writer, 1);
    assert.equal(readRecording(parts).end.dirtyPages, recording.end.dirtyPages);
    const guest = replayGuest(recording);
    const range = (firstPage: number, pages: number) =>
      assert.ok(firstPage >= 0 && pages > 0 && firstPage + pages <= pageCount, `${firstPage}+${pages}`);
    for (let step = 0; step < 50; step++) guest.writeStep(step, { range } as never);
  },
};
