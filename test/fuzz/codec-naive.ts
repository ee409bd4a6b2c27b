/**
 * The batch format read by the book, one byte at a time, into a map: the twin that checks src/pages/codec.
 * No caps, no speed.
 */

import { zstdDecompressSync } from 'node:zlib';

class Cursor {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  take(count: number): Buffer {
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  number(count: number): number {
    return this.take(count).readUIntBE(0, count);
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = BigInt(this.number(1));
      value |= (byte & 127n) << shift;
      if (byte < 128n) return value;
    }
  }

  get done(): boolean {
    return this.at === this.bytes.length;
  }
}

function segment(batch: Cursor): Cursor {
  const coding = batch.number(1);
  const plain = batch.number(3);
  const stored = batch.take(batch.number(3));
  const bytes = coding === 1 ? zstdDecompressSync(stored) : Buffer.from(stored);
  if (bytes.length !== plain) throw new Error('segment length');
  return new Cursor(bytes);
}

function changeRuns(page: Buffer, runs: Cursor): void {
  let byte = 0;
  while (!runs.done) {
    byte += Number(runs.varint());
    for (let count = Number(runs.varint()); count > 0; count--, byte++) page[byte] = runs.number(1);
  }
}

export function applyNaively(bytes: Uint8Array, pages: Map<number, Buffer>): void {
  const batch = new Cursor(Buffer.from(bytes));
  batch.take(2);
  const count = batch.number(2);
  const [records, deltas, packed, raw] = [segment(batch), segment(batch), segment(batch), segment(batch)];
  const contents: Buffer[] = [];
  let previous = -1n;
  for (let index = 0; index < count; index++) {
    const kind = records.number(1);
    const zigzag = records.varint();
    previous += 1n + (zigzag % 2n === 0n ? zigzag / 2n : -(zigzag + 1n) / 2n);
    const page = Number(previous);
    let content: Buffer;
    if (kind === 0) content = Buffer.alloc(4096);
    else if (kind === 1) content = Buffer.from(raw.take(4096));
    else if (kind === 2) content = Buffer.from(packed.take(4096));
    else if (kind === 3) {
      content = Buffer.from(pages.get(page)!);
      changeRuns(content, new Cursor(deltas.take(Number(records.varint()))));
    } else content = contents[index - Number(records.varint())]!;
    contents.push(content);
    pages.set(page, content);
  }
  if (![batch, records, deltas, packed, raw].every((part) => part.done)) throw new Error('left over');
}
