/** What the cheap looks at a page must tell apart. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prng } from '../../base/index.ts';
import { PAGE_WORDS } from './format.ts';
import { looksRandom } from './sample.ts';

function page(fill: (index: number) => number): Uint32Array {
  return Uint32Array.from({ length: PAGE_WORDS }, (_, index) => fill(index));
}

test('noise looks random, all but a page in a thousand', () => {
  const prng = new Prng(1);
  let taken = 0;
  for (let round = 0; round < 4000; round++) {
    const words = page(() => prng.u32());
    if (looksRandom(words, 0)) taken++;
  }
  assert.ok(taken >= 3996, `${taken} of 4000`);
});

test('words from a small dictionary compress although each of their bytes looks random', () => {
  const prng = new Prng(2);
  const dictionary = page(() => prng.u32()).subarray(0, 64);
  for (let round = 0; round < 1000; round++) {
    // A quarter of the page is noise.
    const words = page((index) => (index % 4 === 0 ? prng.u32() : dictionary[prng.below(64)]!));
    assert.equal(looksRandom(words, 0), false);
  }
});

test('what is remembered of one page does not speak for the next', () => {
  const prng = new Prng(3);
  const words = page(() => prng.u32());
  // More often than generations are told apart.
  for (let round = 0; round < 600; round++) assert.equal(looksRandom(words, 0), true);
});
