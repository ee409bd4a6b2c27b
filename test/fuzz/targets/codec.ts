/** Batches of pages from the other gateway. */

import assert from 'node:assert/strict';
import type { Prng } from '../../../src/base/index.ts';
import { BatchApplier, BatchEncoder } from '../../../src/pages/codec/index.ts';
import { pageMap } from '../../../src/pages/codec/page-map.testing.ts';
import { makeGuest, nextBatch, PAGES } from '../codec-check.ts';
import { applyNaively } from '../codec-naive.ts';
import { mutateBytes } from '../mutate.ts';
import type { FuzzTarget } from '../target.ts';

function newPages(): Map<number, Buffer> {
  return new Map(Array.from({ length: PAGES }, (_, page) => [page, Buffer.alloc(4096, page + 1)]));
}

/** The encoder's second batch: the first one has no deltas. */
function generate(prng: Prng): Uint8Array {
  const guest = makeGuest();
  const encoder = new BatchEncoder(guest.memory);
  for (let round = prng.below(3); round > 0; round--) nextBatch(guest, encoder, prng);
  return Uint8Array.from(nextBatch(guest, encoder, prng).bytes);
}

/** Records stand first and unpacked: most changes go there. */
function mutate(bytes: Uint8Array, prng: Prng): Uint8Array {
  const head = Math.min(bytes.length, 16 + prng.below(200));
  const changed = Uint8Array.from(bytes);
  for (let count = 1 + prng.below(3); count > 0 && head > 0; count--) {
    const at = prng.below(head);
    changed[at] = prng.below(3) === 0 ? prng.below(8) : prng.below(256);
  }
  return prng.below(3) === 0 ? mutateBytes(changed, bytes, prng) : changed;
}

/** What is taken, the naive twin takes too, and leaves the same memory. */
export const batch: FuzzTarget = {
  name: 'batch',
  codes: /^CODEC_/,
  generate,
  mutate,
  run: (bytes) => {
    const [pages, naive] = [newPages(), newPages()];
    new BatchApplier({ pageCount: PAGES, sink: pageMap(pages) }).apply(Uint8Array.from(bytes));
    applyNaively(bytes, naive);
    assert.deepEqual([...pages.keys()].sort(), [...naive.keys()].sort());
    for (const [page, content] of pages) {
      assert.equal(content.length, 4096);
      assert.ok(content.equals(naive.get(page)!), `page ${page}`);
    }
  },
};
