/** When pages go to the output, and when the sender says that all have gone. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bitmap, MIB } from '../../base/index.ts';
import { PageStore } from '../../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import type { PageOutput } from '../output/types.ts';
import { ReadGate } from './read-gate.ts';
import { Sender } from './sender.ts';

const PAGES = 4096;

function setUp(roomPages: number) {
  const sent: number[] = [];
  const asked = { measured: 0, awaited: 0, starved: 0 };
  const output = {
    keepsReferences: false,
    facts: { sentBytes: 0, deliveredBytes: 0, bandwidthBytesPerSecond: null, roundTripMs: null },
    measure: () => void asked.measured++,
    roomPages: () => roomPages,
    awaitRoom: () => void asked.awaited++,
    starved: () => void asked.starved++,
    sendPages: (pages: Uint32Array, count: number, store: PageStore) => {
      for (const page of pages.subarray(0, count)) {
        sent.push(page);
        store.release(page);
      }
    },
  } as unknown as PageOutput;
  const state = { isLast: true };
  const sender = new Sender({
    output,
    gate: new ReadGate(true),
    bandwidthBytesPerSecondMax: null,
    nowMs: () => 0,
    isLast: () => state.isLast,
    onTurn: () => undefined,
  });
  const store = new PageStore({ pageCount: PAGES, memoryBytesMax: 32 * MIB });
  const content = Buffer.alloc(PAGE_SIZE_BYTES, 1);
  const put = (count: number) => {
    for (let page = 0; page < count; page++) store.put(page, 0, content, 0);
  };
  return { sender, store, sent, asked, state, put };
}

test('an output without room is measured and asked to call, and gets nothing', () => {
  const { sender, store, sent, asked, put } = setUp(0);
  put(10);
  sender.begin(store);
  sender.turn();
  assert.deepEqual([sent.length, asked.measured, asked.awaited, asked.starved], [0, 1, 1, 0]);
});

test('all that waits goes, and an output with room to spare learns that it is starved', async () => {
  const { sender, store, sent, asked, put } = setUp(100);
  put(250);
  sender.begin(store);
  await sender.drained();
  assert.equal(sent.length, 250);
  assert.equal(new Set(sent).size, 250);
  assert.deepEqual([asked.starved, asked.awaited], [1, 0]);
});

test('a turn ends after sixteen batches; the rest goes in turns that follow', async () => {
  const { sender, store, sent, put } = setUp(10);
  put(200);
  sender.begin(store);
  const drained = sender.drained();
  assert.equal(sent.length, 160);
  await drained;
  assert.equal(sent.length, 200);
});

test('held pages stay until they may go', () => {
  const { sender, store, sent, put } = setUp(100);
  put(20);
  const regions = new Bitmap(store.index.regionCount);
  for (let region = 0; region < store.index.regionCount; region++) regions.add(region);
  store.index.setHold({ kind: 'regions', regions });
  sender.begin(store);
  sender.turn();
  assert.equal(sent.length, 0);
  sender.sendsHeld = true;
  sender.turn();
  assert.equal(sent.length, 20);
});

test('while more may come, a few pages wait for company; closed, it sends nothing', () => {
  const { sender, store, sent, state, put } = setUp(100);
  state.isLast = false;
  put(20);
  sender.begin(store);
  sender.turn();
  assert.equal(sent.length, 0);
  sender.close();
  state.isLast = true;
  sender.turn();
  assert.equal(sent.length, 0);
});
