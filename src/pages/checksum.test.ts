import assert from 'node:assert/strict';
import test from 'node:test';
import { Prng } from '../base/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import { PageChecksum } from './checksum.ts';

const prng = new Prng(5);
const PAGES = 20;
const memory = Buffer.from(Array.from({ length: PAGES * PAGE_SIZE_BYTES }, () => prng.below(256)));

function digest(pages: readonly number[], bytes: Uint8Array = memory): string {
  const checksum = new PageChecksum();
  for (const page of pages) checksum.add(page, bytes, page * PAGE_SIZE_BYTES);
  return `${checksum.pages} ${checksum.digest}`;
}

test('order does not count, content, page and number of copies do', () => {
  const pages = Array.from({ length: PAGES }, (_, page) => page);
  const expected = digest(pages);
  assert.equal(digest([...pages].reverse()), expected);
  assert.notEqual(digest([...pages, 3]), expected);
  assert.notEqual(digest(pages.slice(1)), expected);
  const exchanged = new PageChecksum();
  for (const page of pages) exchanged.add(page ^ 1, memory, page * PAGE_SIZE_BYTES);
  assert.notEqual(`${exchanged.pages} ${exchanged.digest}`, expected);
});

test('any one flipped bit, and any two in one chain, change the checksum', () => {
  const expected = digest([0]);
  const damaged = Buffer.from(memory.subarray(0, PAGE_SIZE_BYTES));
  const flip = (bit: number) => (damaged[bit >>> 3]! ^= 1 << (bit & 7));
  for (let bit = 0; bit < PAGE_SIZE_BYTES * 8; bit += 5) {
    flip(bit);
    assert.notEqual(digest([0], damaged), expected, `bit ${bit}`);
    const far = (bit + 128 * (1 + prng.below(200))) % (PAGE_SIZE_BYTES * 8);
    flip(far);
    assert.notEqual(digest([0], damaged), expected, `bits ${bit} and ${far}`);
    flip(bit);
    flip(far);
  }
});

test('a zero page has one checksum however it is added, and aligned words give the same', () => {
  const zeros = new Uint8Array(PAGE_SIZE_BYTES + 3);
  const added = new PageChecksum();
  added.add(9, zeros, 3);
  const told = new PageChecksum();
  told.addZero(9);
  assert.equal(added.digest, told.digest);
  const words = new PageChecksum();
  words.addWords(2, new Int32Array(new Uint8Array(memory).buffer), (2 * PAGE_SIZE_BYTES) / 4);
  assert.equal(`1 ${words.digest}`, digest([2]));
});
