/** The paired output against a link that only takes: what is promised to the far side before any answer. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB, systemClock } from '../base/index.ts';
import type { Link } from '../link/index.ts';
import { type BatchRequest, PageStore } from '../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import { InThreadEncoding } from './encoding.ts';
import { type BatchEncoding, PairedOutput } from './paired.ts';

const PAGES = 64;
const BATCH = 16;
const REFERENCES = 24;

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

  onChunk(chunk: number, memory: SharedArrayBuffer | null): void {
    this.#inner.onChunk(chunk, memory);
  }

  close(): void {}
}

test('copies that are still being encoded count against the references the far side offered', async () => {
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
  const output = new PairedOutput({ ...options, referencePagesMax: REFERENCES }, events);
  const store = new PageStore({
    pageCount: PAGES,
    memoryBytesMax: 8 * MIB,
    references: true,
    onChunk: (chunk, memory) => output.onChunk(chunk, memory),
  });
  const content = Buffer.alloc(PAGE_SIZE_BYTES);
  for (let page = 0; page < PAGES; page++) {
    content.writeUInt32LE(page + 1, 100);
    store.put(page, 0, content, 0);
  }
  const batch = new Uint32Array(BATCH);
  for (let left = PAGES; left > 0; left -= BATCH) {
    const count = store.index.take(BATCH, batch);
    assert.equal(count, BATCH);
    output.sendPages(batch, count, store);
  }
  const kept = encoding.requests.flatMap(({ keep }) => [...keep]).reduce((sum, one) => sum + one, 0);
  assert.equal(kept, REFERENCES);
  encoding.start.resolve();
  while (sent < PAGES / BATCH) await new Promise(setImmediate);
  assert.deepEqual(failures, []);
  assert.equal(store.referencePages, REFERENCES);
  output.close();
});
