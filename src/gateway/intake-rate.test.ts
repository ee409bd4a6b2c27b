import assert from 'node:assert/strict';
import test from 'node:test';
import { IntakeRate } from './intake-rate.ts';

test('only busy time counts, and the best of it', () => {
  const intake = new IntakeRate();
  intake.arrived(0, 0);
  for (let ms = 1; ms < 40; ms++) intake.arrived(ms, ms * 50);
  assert.equal(intake.pagesPerSecond, null);
  intake.arrived(40, 2000);
  assert.equal(intake.pagesPerSecond, 50_000);
  // A pause, a slower stretch, and one that is twice as fast.
  intake.arrived(1000, 2000);
  for (let ms = 1; ms <= 40; ms++) intake.arrived(1000 + ms, 2000 + ms * 10);
  assert.equal(intake.pagesPerSecond, 50_000);
  for (let ms = 1; ms <= 40; ms++) intake.arrived(1040 + ms, 2400 + ms * 100);
  assert.equal(intake.pagesPerSecond, 100_000);
});
