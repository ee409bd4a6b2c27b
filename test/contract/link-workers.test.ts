/** The codec on worker threads: shared slots, order per lane, failures. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Prng } from '../../src/base/index.ts';
import { WorkerPool } from '../../src/link/index.ts';
import {
  BatchApplier,
  BatchEncoder,
  codecTaskModule,
  NO_SLOT,
  ParallelCodec,
  SlotMemory,
} from '../../src/pages/codec/index.ts';

const SLOTS = 256;

function makeChunk(seed: number): SharedArrayBuffer {
  const chunk = new SharedArrayBuffer(SLOTS * 4096);
  const words = new Uint32Array(chunk);
  const prng = new Prng(seed);
  for (let word = 0; word < words.length; word++) words[word] = prng.u32() & 0x0f0f0f0f;
  return chunk;
}

function batchOf(first: number, count: number) {
  return {
    pages: Uint32Array.from({ length: count }, (_, index) => first + index),
    slots: Int32Array.from({ length: count }, (_, index) => first + index),
    referenceSlots: new Int32Array(count).fill(NO_SLOT),
    pack: true,
  };
}

test('workers give the bytes the encoder gives, in the order of each lane', async (context) => {
  const chunk = makeChunk(1);
  const pool = new WorkerPool({ size: 2, module: codecTaskModule, init: { slotsPerChunk: SLOTS } });
  context.after(() => pool.close());
  const codec = new ParallelCodec(pool);
  codec.setChunk(0, chunk);
  const memory = new SlotMemory(SLOTS);
  memory.set(0, chunk);
  const here = new BatchEncoder(memory);
  const settled: string[] = [];
  // Large and small batches by turns: the small ones would overtake.
  const jobs = Array.from({ length: 24 }, (_, job) => {
    const request = batchOf(job, job % 2 === 0 ? 200 : 1);
    return codec.encodeBatch(job % 3, request).then((batch) => {
      settled.push(`${job % 3}:${job}`);
      const expected = here.encode(request);
      assert.ok(Buffer.from(batch.bytes).equals(expected.bytes));
      assert.equal(batch.checksum, expected.checksum);
      assert.ok(batch.encodeMs >= 0);
    });
  });
  await Promise.all(jobs);
  for (const lane of [0, 1, 2]) {
    const order = settled
      .filter((entry) => entry.startsWith(`${lane}:`))
      .map((entry) => Number(entry.slice(2)));
    assert.deepEqual(
      order,
      order.toSorted((left, right) => left - right),
    );
  }
});

test('a chunk that was replaced is read at its new place, one given back no more', async (context) => {
  const pool = new WorkerPool({ size: 2, module: codecTaskModule, init: { slotsPerChunk: SLOTS } });
  context.after(() => pool.close());
  const codec = new ParallelCodec(pool);
  const read = async (): Promise<Buffer> => {
    let content = Buffer.alloc(0);
    const applier = new BatchApplier({
      pageCount: SLOTS,
      sink: {
        page: (_, source, offset) => {
          content = Buffer.from(source.subarray(offset, offset + 4096));
        },
        zero: () => {},
        delta: () => {},
      },
    });
    const { bytes } = await codec.encodeBatch(0, batchOf(3, 1));
    applier.applyUnpacked(await codec.unpackBatch(bytes));
    return content;
  };
  for (const seed of [5, 6]) {
    const chunk = makeChunk(seed);
    codec.setChunk(0, chunk);
    assert.ok((await read()).equals(Buffer.from(chunk, 3 * 4096, 4096)));
  }
  codec.setChunk(0, null);
  await assert.rejects(read(), { code: 'ASSERTION' });
});

test('errors keep their code, and a worker that is gone is LINK_WORKER', async () => {
  const pool = new WorkerPool({ size: 1, module: codecTaskModule, init: { slotsPerChunk: SLOTS } });
  const codec = new ParallelCodec(pool);
  await assert.rejects(codec.unpackBatch(Uint8Array.of(9, 9, 9, 9)), { code: 'CODEC_FORMAT' });
  codec.setChunk(0, makeChunk(1));
  const waiting = Array.from({ length: 50 }, () => codec.encodeBatch(0, batchOf(0, SLOTS)));
  const last = assert.rejects(waiting.at(-1)!, { code: 'LINK_WORKER' });
  const settled = Promise.allSettled(waiting);
  await pool.close();
  await last;
  await settled;
  await assert.rejects(codec.encodeBatch(0, batchOf(0, 1)), { code: 'LINK_WORKER' });
});
