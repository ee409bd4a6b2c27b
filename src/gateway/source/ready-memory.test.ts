import assert from 'node:assert/strict';
import test from 'node:test';
import { MIB } from '../../base/index.ts';
import { PageStore, SLOTS_PER_CHUNK } from '../../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { ReadyMemory } from './ready-memory.ts';

const CHUNK_BYTES = SLOTS_PER_CHUNK * PAGE_SIZE_BYTES;
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('whole chunks are made ready, as many as fit, and none after the end', async () => {
  const ready = new ReadyMemory(1024 * MIB, 2.5 * CHUNK_BYTES);
  while (ready.readyChunks < 2) await turn();
  for (let turns = 0; turns < 50; turns++) await turn();
  assert.equal(ready.readyChunks, 2);
  assert.equal(ready.take()?.byteLength, CHUNK_BYTES);
  assert.equal(ready.readyChunks, 1);
  const ended = new ReadyMemory(1024 * MIB, 1024 * MIB);
  await turn();
  assert.equal(ended.take(), null);
  for (let turns = 0; turns < 100; turns++) await turn();
  assert.equal(ended.readyChunks, 0, 'none is made once the stream has begun');
  assert.equal(new ReadyMemory(1024 * MIB, null).take(), null);
});

test('a page store begins with memory that is ready', async () => {
  const ready = new ReadyMemory(CHUNK_BYTES, 1024 * MIB);
  while (ready.readyChunks < 1) await turn();
  const pageCount = 2 * SLOTS_PER_CHUNK;
  const store = new PageStore({ pageCount, memoryBytesMax: 1024 * MIB, readyChunk: () => ready.take() });
  store.put(0, 0, Buffer.alloc(PAGE_SIZE_BYTES, 1), 0);
  assert.equal(ready.readyChunks, 0);
  for (let page = 1; page <= SLOTS_PER_CHUNK; page++) store.put(page, 0, Buffer.alloc(PAGE_SIZE_BYTES, 1), 0);
  assert.equal(store.memoryBytes > 2 * CHUNK_BYTES, true, 'the second one is new');
});
