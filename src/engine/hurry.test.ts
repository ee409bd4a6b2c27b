import assert from 'node:assert/strict';
import test from 'node:test';
import { amountInHurry, HurriedPasses } from './hurry.ts';

/** When it is enough: passes begin `gapsMs` apart, and `rest(at)` pages wait. */
function enoughAt(gapsMs: readonly number[], rest: (atMs: number) => number): number | null {
  const passes = new HurriedPasses();
  let atMs = 0;
  for (const gapMs of gapsMs) {
    atMs += gapMs;
    if (passes.begin(atMs, rest(atMs))) return atMs;
  }
  return null;
}

const times = (count: number, gapMs: number) => Array.from({ length: count }, () => gapMs);

test('a guest that writes next to nothing is stopped with the first short pass that leaves nothing', () => {
  assert.equal(
    enoughAt(times(9, 5), () => 0),
    10,
  );
  assert.equal(
    enoughAt([0, 200, 60, 20, 5], () => 0),
    280,
    'passes that grow shorter are waited for',
  );
});

test('what still goes is waited for; what does not go any more is not', () => {
  assert.equal(
    enoughAt(times(200, 5), (atMs) => 4000 - 30 * atMs),
    130,
    'until the rest is no rest any more',
  );
  assert.equal(
    enoughAt(times(200, 5), () => 4000),
    110,
    'two looks: the second saw what the first did',
  );
  assert.ok(amountInHurry(1000) === 100 && amountInHurry(-5) === 0);
});

test('passes that are no shorter than one before end the wait', () => {
  assert.equal(
    enoughAt(times(9, 80), () => 4000),
    320,
  );
});
