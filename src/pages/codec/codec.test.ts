import assert from 'node:assert/strict';
import test from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { errorCode, Prng } from '../../base/index.ts';
import { BatchApplier } from './applier.ts';
import { PackChooser } from './chooser.ts';
import { unpackBatch } from './decoder.ts';
import { checkDelta, encodeDelta } from './delta.ts';
import { BatchEncoder, type BatchRequest } from './encoder.ts';
import { DELTA_BYTES_MAX, NO_SLOT } from './format.ts';
import { pageMap, patch } from './page-map.testing.ts';
import { SlotMemory } from './slot-memory.ts';

const PAGE = 4096;

function memoryOf(pages: readonly Uint8Array[]): SlotMemory {
  const chunk = new SharedArrayBuffer(pages.length * PAGE);
  for (const [slot, page] of pages.entries()) new Uint8Array(chunk).set(page, slot * PAGE);
  const memory = new SlotMemory(pages.length);
  memory.set(0, chunk);
  return memory;
}

function noise(seed: number): Buffer {
  const prng = new Prng(seed);
  const page = Buffer.alloc(PAGE);
  for (let word = 0; word < 1024; word++) page.writeUInt32LE(prng.u32(), word * 4);
  return page;
}

function request(slots: number[], fields: Partial<BatchRequest> = {}): BatchRequest {
  return {
    pages: Uint32Array.from(slots, (_, index) => index),
    slots: Int32Array.from(slots),
    referenceSlots: new Int32Array(slots.length).fill(NO_SLOT),
    pack: true,
    ...fields,
  };
}

function applier(pages: Map<number, Buffer>, pageCount = 64): BatchApplier {
  return new BatchApplier({ pageCount, sink: pageMap(pages) });
}

test('deltas turn the reference into the page and never touch its neighbours', () => {
  const change = fc.tuple(
    fc.nat(1023),
    fc.integer({ min: 1, max: 1024 }),
    fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), fc.nat(), (changes, seed) => {
      const reference = noise(seed);
      const page = Buffer.from(reference);
      for (const [word, count, value] of changes) {
        for (let at = word; at < Math.min(1024, word + count); at++)
          page.writeInt32LE(page.readInt32LE(at * 4) ^ value, at * 4);
      }
      const view = (bytes: Buffer) => {
        const copy = Uint8Array.from(bytes);
        return { words: new Uint32Array(copy.buffer), longs: new BigInt64Array(copy.buffer) };
      };
      const out = new Uint8Array(DELTA_BYTES_MAX);
      const end = encodeDelta(view(page), 0, view(reference), 0, out, 0);
      const changedBytes = page.reduce((sum, byte, at) => sum + (byte === reference[at] ? 0 : 1), 0);
      if (end < 0) return assert.ok(changedBytes > DELTA_BYTES_MAX / 8, 'little change has a delta');
      checkDelta(out, 0, end);
      patch(reference, out.subarray(0, end));
      assert.ok(reference.equals(page));
    }),
  );
});

test('any bytes as a delta are refused, or change no byte outside the page', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (delta) => {
      try {
        checkDelta(delta, 0, delta.length);
      } catch (error) {
        return assert.equal(errorCode(error), 'CODEC_DELTA');
      }
      const page = Buffer.alloc(2 * PAGE);
      patch(page, delta);
      assert.ok(page.subarray(PAGE).every((byte) => byte === 0));
    }),
    { numRuns: 1000 },
  );
});

test('a delta as QEMU refuses it is refused here', () => {
  const refused = (...bytes: number[]) =>
    assert.throws(() => checkDelta(Uint8Array.from(bytes), 0, bytes.length), { code: 'CODEC_DELTA' });
  checkDelta(Uint8Array.of(0, 1, 7, 1, 1, 8), 0, 6);
  checkDelta(Uint8Array.of(0xff, 0x1f, 1, 7), 0, 4);
  refused(5, 0);
  refused(0, 1, 7, 0, 1, 8);
  refused(0x80, 0x20, 1, 7);
  refused(1, 3, 7, 7);
  refused(1);
  refused(0x80, 0, 1, 7);
});

test('each kind of page is chosen where it is cheapest', () => {
  const text = Buffer.alloc(PAGE, 'migration ');
  const changed = noise(1);
  changed.writeUInt32LE(7, 400);
  const counters = noise(2);
  for (let word = 0; word < 1024; word++)
    counters.writeUInt32LE((counters.readUInt32LE(word * 4) ^ 1) >>> 0, word * 4);
  //                        0         1     2        3         4         5         6     7
  const memory = memoryOf([noise(1), text, changed, noise(2), counters, noise(3), text, Buffer.alloc(PAGE)]);
  const { stats, bytes } = new BatchEncoder(memory).encode(
    request([NO_SLOT, 7, 0, 1, 2, 4, 5, 6], {
      referenceSlots: Int32Array.of(-1, -1, -1, -1, 0, 3, 0, -1),
    }),
  );
  assert.deepEqual(
    {
      zero: stats.zeroPages,
      raw: stats.rawPages,
      packed: stats.packedPages,
      delta: stats.deltaPages,
      same: stats.samePages,
    },
    { zero: 2, raw: 3, packed: 1, delta: 1, same: 1 },
  );
  // Three noise pages (one of them changed in every word), and next to nothing for the other five.
  assert.ok(bytes.length < 3 * PAGE + 300, `${bytes.length} bytes`);
});

test('a page that changed in one word costs a few bytes', () => {
  const pages = Array.from({ length: 256 }, (_, index) => noise(index));
  const changed = pages.map((page, index) => {
    const copy = Buffer.from(page);
    copy.writeUInt32LE(index, (index % 1024) * 4);
    return copy;
  });
  const { bytes } = new BatchEncoder(memoryOf([...pages, ...changed])).encode(
    request(
      pages.map((_, index) => 256 + index),
      { referenceSlots: Int32Array.from(pages, (_, index) => index) },
    ),
  );
  assert.ok(bytes.length / 256 < 12, `${bytes.length / 256} bytes a page`);
});

test('without packing nothing is larger than its pages and their records', () => {
  const pages = Array.from({ length: 64 }, (_, index) => noise(index));
  const { bytes } = new BatchEncoder(memoryOf(pages)).encode(
    request(
      pages.map((_, index) => index),
      { pack: false },
    ),
  );
  assert.ok(bytes.length <= 64 * (PAGE + 3) + 32);
});

test('pages beyond RAM or lane are refused', () => {
  const memory = memoryOf([noise(1), noise(2)]);
  const encoder = new BatchEncoder(memory);
  const code = (bytes: Uint8Array, target: BatchApplier) => {
    try {
      target.apply(bytes);
      return null;
    } catch (error) {
      return errorCode(error);
    }
  };
  const two = encoder.encode(request([0, 1])).bytes;
  assert.equal(code(two, applier(new Map(), 2)), null);
  assert.equal(code(two, applier(new Map(), 1)), 'CODEC_PAGE');
  const ofLaneOne = new BatchApplier({
    pageCount: 64,
    sink: pageMap(new Map()),
    owns: (page) => page % 2 === 1,
  });
  assert.equal(code(encoder.encode(request([0])).bytes, ofLaneOne), 'CODEC_PAGE');
});

test('a batch cut at any byte, or longer by one, is refused', () => {
  const memory = memoryOf([noise(1), Buffer.alloc(PAGE, 'text '), noise(1)]);
  const { bytes } = new BatchEncoder(memory).encode(request([0, 1, 2, NO_SLOT]));
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => applier(new Map()).apply(bytes.subarray(0, length)), /page batch/);
  }
  assert.throws(() => applier(new Map()).apply(Buffer.concat([bytes, Buffer.alloc(1)])), {
    code: 'CODEC_TRAILING',
  });
});

test('a segment that says little and unpacks to much takes no memory', () => {
  const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024));
  const header = (coding: number, plain: number, stored: number) => {
    const bytes = Buffer.alloc(7);
    bytes[0] = coding;
    bytes.writeUIntBE(plain, 1, 3);
    bytes.writeUIntBE(stored, 4, 3);
    return bytes;
  };
  const batch = (plain: number) =>
    Buffer.concat([
      Buffer.from([1, 0, 0, 1]),
      header(1, plain, bomb.length),
      bomb,
      header(0, 0, 0),
      header(0, 0, 0),
      header(0, 0, 0),
    ]);
  assert.throws(() => unpackBatch(batch(12)), { code: 'CODEC_ZSTD' });
  assert.throws(() => unpackBatch(batch(13)), { code: 'CODEC_LIMIT' });
  assert.throws(() => unpackBatch(Buffer.from([2, 0, 0, 1])), { code: 'CODEC_FORMAT' });
  assert.throws(() => unpackBatch(Buffer.from([1, 0, 0, 0])), { code: 'CODEC_LIMIT' });
  assert.throws(() => unpackBatch(Buffer.from([1, 0, 4, 1])), { code: 'CODEC_LIMIT' });
});

test('bytes behind a zstd frame inside its segment are found', () => {
  const records = Buffer.alloc(300, 0);
  const frame = Buffer.concat([zstdCompressSync(records), Buffer.from([1, 2, 3])]);
  const bytes = Buffer.concat([
    Buffer.from([1, 0, 0, 150]),
    Buffer.from([1, 0, 1, 44, 0, 0, frame.length]),
    frame,
    Buffer.alloc(21),
  ]);
  assert.throws(() => unpackBatch(bytes), { code: 'CODEC_ZSTD' });
});

test('packing is given up on a link faster than zstd, tried again now and then, and kept on a slow one', () => {
  const chooser = new PackChooser(1);
  assert.equal(chooser.next(null), true);
  const mib = 1024 * 1024;
  // 300 MB/s through zstd at a ratio of 2.
  chooser.observe({ packedBytes: mib, storedBytes: mib / 2, encodeMs: 3.5, pageBytes: mib });
  assert.equal(chooser.next(25e6), true);
  assert.equal(chooser.next(250e6), true);
  const choices = Array.from({ length: 128 }, () => chooser.next(1200e6));
  assert.equal(choices.filter(Boolean).length, 2);
  // What zstd does not shrink is not worth its time on any link near its speed.
  const incompressible = new PackChooser(1);
  incompressible.observe({ packedBytes: mib, storedBytes: mib, encodeMs: 3.5, pageBytes: mib });
  assert.equal(incompressible.next(400e6), false);
});
