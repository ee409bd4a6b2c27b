import assert from 'node:assert/strict';
import test from 'node:test';
import { Prng } from '../base/index.ts';
import {
  blendIntervalCode,
  CLASS_OF_COUNTER,
  codeLimitOfRate,
  HEAT_CLASS_OF_CODE,
  HEAT_TICK_MS,
  INTERVAL_TICKS_MAX,
  intervalCodeOfTicks,
  modificationsOfCounter,
  nextCounter,
  REWRITE_CLASS_OF_CODE,
  ratePerSecondOfCode,
} from './heat.ts';

test('an interval survives its code within 2.5 %, up to 15 minutes', () => {
  for (let ticks = 1; ticks < 56_000; ticks += 7) {
    const rate = ratePerSecondOfCode(intervalCodeOfTicks(ticks));
    const ratio = (rate * ticks * HEAT_TICK_MS) / 1000;
    assert.ok(ratio > 0.975 && ratio < 1.025, `${ticks} ticks came back as ${ratio}`);
  }
  assert.equal(intervalCodeOfTicks(1e9), intervalCodeOfTicks(INTERVAL_TICKS_MAX));
  assert.equal(ratePerSecondOfCode(0), 0);
});

test('the exponential average finds the rate of periodic and of random rewrites', () => {
  const prng = new Prng(11);
  for (const meanTicks of [16, 64, 400]) {
    let periodic = intervalCodeOfTicks(meanTicks * 10);
    for (let sample = 0; sample < 40; sample++) periodic = blendIntervalCode(periodic, meanTicks);
    const off = (ratePerSecondOfCode(periodic) * meanTicks * HEAT_TICK_MS) / 1000;
    assert.ok(off > 0.85 && off < 1.15, `periodic ${meanTicks}: ${off}`);
    let sum = 0;
    let squares = 0;
    let random = intervalCodeOfTicks(meanTicks);
    for (let sample = 0; sample < 20_000; sample++) {
      random = blendIntervalCode(random, Math.max(1, Math.round(prng.exponential() * meanTicks)));
      const relative = 1000 / (ratePerSecondOfCode(random) * meanTicks * HEAT_TICK_MS);
      sum += relative;
      squares += (relative - 1) ** 2;
    }
    const ratio = sum / 20_000;
    assert.ok(ratio > 0.85 && ratio < 1.15, `random ${meanTicks}: ${ratio}`);
    // Of single samples the variance is 1; an average of weight w has w / (2 - w) = 1/7 of it.
    const variance = squares / 20_000;
    assert.ok(variance > 0.08 && variance < 0.22, `random ${meanTicks}: variance ${variance}`);
  }
});

test('a rate limit splits the codes exactly, and classes follow the rate', () => {
  for (const perSecondMax of [0.01, 0.5, 1, 4, 100]) {
    const limit = codeLimitOfRate(perSecondMax);
    for (let code = 1; code < 256; code++) {
      assert.equal(code < limit, ratePerSecondOfCode(code) > perSecondMax, `code ${code} at ${perSecondMax}`);
    }
  }
  for (let code = 1; code < 256; code++) {
    const lower = 2 ** (REWRITE_CLASS_OF_CODE[code]! - 16);
    const rate = ratePerSecondOfCode(code);
    assert.ok(rate >= lower && rate < lower * 2, `rate ${rate} in class ${REWRITE_CLASS_OF_CODE[code]}`);
    if (code > 1) assert.ok(HEAT_CLASS_OF_CODE[code]! <= HEAT_CLASS_OF_CODE[code - 1]!);
  }
  assert.deepEqual([HEAT_CLASS_OF_CODE[0], HEAT_CLASS_OF_CODE[1]], [0, 7]);
});

test('the modification counter is exact to 8 and right on average above', () => {
  for (const times of [1, 5, 8, 100, 2000]) {
    let sum = 0;
    const pages = 500;
    for (let page = 0; page < pages; page++) {
      let counter = 0;
      for (let tick = 0; tick < times; tick++) counter = nextCounter(counter, page, tick);
      sum += modificationsOfCounter(counter);
    }
    const ratio = sum / pages / times;
    assert.ok(
      times <= 8 ? ratio === 1 : ratio > 0.9 && ratio < 1.1,
      `${times} modifications count as ${ratio}`,
    );
  }
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 8, 12, 16, 31].map((counter) => CLASS_OF_COUNTER[counter]),
    [0, 1, 2, 3, 3, 4, 4, 5, 6, 7],
  );
});
