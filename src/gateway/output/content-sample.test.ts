/**
 * The sample against pages whose costs are known: noise does not pack, text does, and one changed word
 * is a small delta.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Prng } from '../../base/index.ts';
import { ContentSample } from './content-sample.ts';

const PAGE = 4096;

function noise(prng: Prng): Uint8Array {
  const bytes = new Uint8Array(PAGE);
  const words = new Uint32Array(bytes.buffer);
  for (let word = 0; word < words.length; word++) words[word] = prng.u32();
  return bytes;
}

test('nothing was sampled: nothing is known', () => {
  assert.equal(new ContentSample().cost(), null);
});

test('noise costs whole pages, and its rewritten pages too', () => {
  const prng = new Prng(1);
  const sample = new ContentSample();
  for (let page = 0; page < 5000; page++) sample.first(page, noise(prng), 0);
  for (let round = 0; round < 4; round++) {
    for (let page = 0; page < 500; page++) sample.again(page, noise(prng), 0);
  }
  const cost = sample.cost()!;
  assert.ok(cost.packedBytes > PAGE && cost.packedBytes < 1.01 * PAGE, `${cost.packedBytes}`);
  assert.ok(cost.deltaBytes! > 0.99 * PAGE && cost.deltaBytes! < 1.01 * PAGE, `${cost.deltaBytes}`);
});

test('text packs; a page in which one word changed is a few bytes', () => {
  const sample = new ContentSample();
  const text = Buffer.alloc(PAGE);
  for (let page = 0; page < 5000; page++) {
    text.fill(`line ${page} of a log that says the same in other numbers, ${page * 7}\n`);
    sample.first(page, text, 0);
  }
  const prng = new Prng(2);
  const pages = Array.from({ length: 300 }, () => noise(prng));
  for (let round = 0; round < 20; round++) {
    for (const [page, bytes] of pages.entries()) {
      bytes[(round * 8) % PAGE] = round + 1;
      sample.again(page, bytes, 0);
    }
  }
  const cost = sample.cost()!;
  assert.ok(cost.packedBytes < PAGE / 4, `${cost.packedBytes}`);
  assert.ok(cost.deltaBytes! < 40, `${cost.deltaBytes}`);
  assert.ok(cost.sampledPages > 200);
});
