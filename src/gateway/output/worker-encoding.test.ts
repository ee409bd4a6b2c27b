/** Where batches are encoded. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../base/index.ts';
import { type BatchRequest, NO_SLOT } from '../../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { WorkerEncoding } from './worker-encoding.ts';

const PAGES = 64;

/** A chunk of noise in its first half and of text in its second. */
function chunk(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(2 * PAGES * PAGE_SIZE_BYTES);
  const prng = new Prng(5);
  new Uint32Array(memory, 0, (PAGES * PAGE_SIZE_BYTES) / 4).forEach((_, at, words) => {
    words[at] = prng.u32();
  });
  new Uint8Array(memory, PAGES * PAGE_SIZE_BYTES).forEach((_, at, bytes) => {
    bytes[at] = 97 + prng.below(8);
  });
  return memory;
}

function request(firstSlot: number): BatchRequest {
  return {
    pages: Uint32Array.from({ length: PAGES }, (_, page) => page),
    slots: Int32Array.from({ length: PAGES }, (_, page) => firstSlot + page),
    referenceSlots: new Int32Array(PAGES).fill(NO_SLOT),
    pack: true,
  };
}

async function placesOf(cores: number): Promise<string[]> {
  const encoding = new WorkerEncoding(1, cores);
  encoding.onChunk(0, chunk());
  const places: string[] = [];
  try {
    const rounds = [...new Array<number>(16).fill(0), ...new Array<number>(4).fill(PAGES)];
    for (const firstSlot of rounds) {
      const batch = encoding.encode(request(firstSlot), null);
      places.push(batch instanceof Promise ? 'worker' : 'here');
      const { stats } = await batch;
      assert.equal(firstSlot === 0 ? stats.rawPages : stats.packedPages, PAGES);
    }
  } finally {
    encoding.close();
  }
  return places;
}

test('with few cores noise is encoded here once it is known as noise, and text by the worker again', async () => {
  const places = await placesOf(2);
  assert.equal(places[0], 'worker');
  assert.equal(places[15], 'here');
  assert.equal(places[16], 'here', 'nobody knows that the next batch is text');
  assert.equal(places.at(-1), 'worker');
});

test('with more cores the worker encodes everything', async () => {
  assert.deepEqual(new Set(await placesOf(4)), new Set(['worker']));
});
