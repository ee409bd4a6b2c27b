/** The paired output against a link that only takes: what is promised to the far side before any answer. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB, systemClock } from '../../base/index.ts';
import type { Link } from '../../link/index.ts';
import { type BatchRequest, NO_SLOT, PageStore } from '../../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { InThreadEncoding } from './encoding.ts';
import { PairedOutput } from './paired.ts';
import type { BatchEncoding } from './types.ts';

const PAGES = 64;
const BATCH = 16;

/** Encodes nothing before it is told to: batches pile up, as behind a busy worker. */
class LateEncoding implements BatchEncoding {
  readonly encoders = 1;
  readonly requests: BatchRequest[] = [];
  readonly start = Promise.withResolvers<void>();
  readonly #inner = new InThreadEncoding();

  async encode(request: BatchRequest, output: SharedArrayBuffer | null) {
    this.requests.push(request);
    await this.start.promise;
    return this.#inner.encode(request, output);
  }

  onChunk(chunk: number, memory: SharedArrayBuffer): void {
    this.#inner.onChunk(chunk, memory);
  }

  close(): void {}
}

test('a page that goes out again while its older copy is being encoded goes whole', async () => {
  const encoding = new LateEncoding();
  let sent = 0;
  const link = {
    laneCount: 1,
    stats: () => [],
    send: () => {
      sent++;
    },
    abort: () => undefined,
  } as unknown as Link;
  const failures: Error[] = [];
  const events = {
    onRoom: () => undefined,
    onReturnPath: () => undefined,
    onError: (error: Error) => failures.push(error),
  };
  const options = { link, encoding, clock: systemClock, prepareTimeoutMs: 1000 };
  const output = new PairedOutput({ ...options, keepsReferences: true }, events);
  const store = new PageStore({
    pageCount: PAGES,
    memoryBytesMax: 8 * MIB,
    references: true,
    onChunk: (chunk, memory) => output.onChunk(chunk, memory),
  });
  const content = Buffer.alloc(PAGE_SIZE_BYTES);
  for (let page = 0; page < BATCH; page++) {
    content.writeUInt32LE(page + 1, 100);
    store.put(page, 0, content, 0);
  }
  const batch = new Uint32Array(BATCH);
  const send = () => output.sendPages(batch, store.index.take(BATCH, batch), store);
  const settled = async (count: number) => {
    while (sent < count) await new Promise(setImmediate);
  };
  send();
  content.writeUInt32LE(99, 100);
  store.put(0, 1, content, 0);
  send();
  assert.equal(encoding.requests[1]!.pages[0], 0);
  assert.equal(encoding.requests[1]!.referenceSlots[0], NO_SLOT);
  encoding.start.resolve();
  await settled(2);
  store.put(0, 2, content, 0);
  send();
  await settled(3);
  assert.ok(encoding.requests[2]!.referenceSlots[0]! >= 0, 'the newer copy is what the far side has');
  assert.deepEqual(failures, []);
  output.close();
});
