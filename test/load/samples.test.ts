import assert from 'node:assert/strict';
import test from 'node:test';
import { growthOf, isFlat, median } from './samples.ts';

test('the median of an odd and of an even number of values, and of none', () => {
  assert.equal(median([5, 1, 3]), 3);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([7]), 7);
  assert.ok(Number.isNaN(median([])));
});

test('a leak is seen, a warm-up and a single peak are not', () => {
  const leak = Array.from({ length: 90 }, (_, at) => 100 + at);
  const warm = Array.from({ length: 90 }, (_, at) => Math.min(100, at * 5));
  const peak = Array.from({ length: 90 }, (_, at) => (at === 80 ? 10_000 : 100));
  assert.equal(isFlat(growthOf(leak), 0.1, 8), false);
  assert.equal(isFlat(growthOf(warm), 0.1, 8), true);
  assert.equal(isFlat(growthOf(peak), 0.1, 8), true);
});
