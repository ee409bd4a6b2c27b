import assert from 'node:assert/strict';
import test from 'node:test';
import { Prng } from '../base/index.ts';
import { LayeredBitmap } from './layered-bitmap.ts';

const SIZES = [0, 1, 31, 32, 33, 1023, 1024, 1025, 40_000];

test('a layered bitmap agrees with a Set: next, has, count', () => {
  const prng = new Prng(3);
  for (const size of SIZES) {
    const bitmap = new LayeredBitmap(size);
    const naive = new Set<number>();
    for (let step = 0; step < 400 && size > 0; step++) {
      const index = prng.below(size);
      if (prng.unit() < 0.5) {
        bitmap.add(index);
        naive.add(index);
      } else {
        bitmap.delete(index);
        naive.delete(index);
      }
      const from = prng.below(size);
      const expected = [...naive].filter((member) => member >= from).sort((left, right) => left - right)[0];
      assert.equal(bitmap.next(from), expected ?? -1);
      assert.equal(bitmap.has(from), naive.has(from));
      assert.equal(bitmap.count, naive.size);
    }
    assert.equal(bitmap.next(size), -1);
    assert.equal(bitmap.byteLength, LayeredBitmap.bytesFor(size));
  }
});

test('drain takes members in ascending order from a position, and leaves the others', () => {
  const prng = new Prng(4);
  for (const size of SIZES.slice(1)) {
    const bitmap = new LayeredBitmap(size);
    const naive = new Set<number>();
    for (let step = 0; step < size / 3; step++) {
      const index = prng.below(size);
      bitmap.add(index);
      naive.add(index);
    }
    const out = new Uint32Array(size + 5);
    while (naive.size > 0) {
      const from = prng.unit() < 0.3 ? 0 : prng.below(size);
      const limit = 5 + prng.below(size + 1);
      const filled = bitmap.drain(from, out, 5, limit);
      const expected = [...naive]
        .filter((member) => member >= from)
        .sort((left, right) => left - right)
        .slice(0, Math.max(0, limit - 5));
      assert.deepEqual([...out.subarray(5, filled)], expected);
      for (const member of expected) naive.delete(member);
      assert.equal(bitmap.count, naive.size);
    }
    assert.equal(bitmap.next(0), -1);
  }
});

test('fill holds every index and no other', () => {
  for (const size of SIZES) {
    const bitmap = new LayeredBitmap(size);
    bitmap.fill();
    assert.equal(bitmap.count, size);
    const out = new Uint32Array(size + 1);
    assert.equal(bitmap.drain(0, out, 0, size + 1), size);
    assert.deepEqual(
      [...out.subarray(0, size)],
      Array.from({ length: size }, (_, index) => index),
    );
  }
});
