import assert from 'node:assert/strict';
import test from 'node:test';
import {
  Bitmap,
  formatMs,
  GodwitError,
  median,
  Prng,
  parseDurationMs,
  parseRate,
  parseSize,
  quantile,
} from './index.ts';

test('sizes are binary, rates in bits are decimal', () => {
  assert.equal(parseSize('512M'), 512 * 1024 * 1024);
  assert.equal(parseSize('1.5GiB'), 1.5 * 2 ** 30);
  assert.equal(parseRate('200Mbit'), 25_000_000);
  assert.equal(parseRate('1Gb/s'), 125_000_000);
  assert.equal(parseRate('25MiB/s'), 25 * 2 ** 20);
  assert.equal(parseDurationMs('1.5s'), 1500);
  assert.equal(parseSize('4096B'), 4096);
  for (const parse of [parseSize, parseRate, parseDurationMs]) {
    assert.throws(
      () => parse('9'.repeat(400)),
      { code: 'USAGE_VALUE' },
      'and not Infinity, which is no limit',
    );
  }
  for (const parse of [parseSize, parseRate, parseDurationMs]) {
    assert.equal(parse('0'), 0);
    // What it is a number of is not guessed.
    for (const bare of ['10', '1.5', '0.5', ' 300 '])
      assert.throws(() => parse(bare), {
        code: 'USAGE_VALUE',
        message: /without a unit/,
        hint: /write it like/,
      });
  }
  assert.throws(() => parseRate('10/s'), GodwitError);
  for (const wrong of ['', 'much', '-3M', '3Q']) assert.throws(() => parseSize(wrong), GodwitError);
  assert.equal(formatMs(1500), '1.50 s');
});

test('the generator repeats for a seed, differs between seeds, and is roughly uniform', () => {
  const first = new Prng(7);
  const again = new Prng(7);
  const other = new Prng(8);
  const values = Array.from({ length: 1000 }, () => first.u32());
  assert.deepEqual(
    values,
    Array.from({ length: 1000 }, () => again.u32()),
  );
  assert.notDeepEqual(
    values.slice(0, 10),
    Array.from({ length: 10 }, () => other.u32()),
  );
  const mean = values.reduce((sum, value) => sum + value / 2 ** 32, 0) / values.length;
  assert.ok(mean > 0.45 && mean < 0.55, `mean ${mean}`);
});

test('a bitmap agrees with a Set', () => {
  const prng = new Prng(1);
  const bitmap = new Bitmap(1000);
  const naive = new Set<number>();
  for (let step = 0; step < 3000; step++) {
    const index = prng.below(1000);
    if (prng.unit() < 0.5) {
      bitmap.add(index);
      naive.add(index);
    } else {
      bitmap.delete(index);
      naive.delete(index);
    }
  }
  assert.equal(bitmap.count(), naive.size);
  const walked: number[] = [];
  for (let index = bitmap.next(0); index >= 0; index = bitmap.next(index + 1)) walked.push(index);
  assert.deepEqual(
    walked,
    [...naive].sort((left, right) => left - right),
  );
});

test('quantiles interpolate and are null of nothing', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(quantile([0, 10], 0.95), 9.5);
  assert.equal(median([]), null);
});
