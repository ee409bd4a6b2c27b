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

test("the trickle of an idle guest's short passes says nothing", () => {
  const intake = new IntakeRate();
  for (let ms = 0; ms < 10_000; ms += 2) intake.arrived(ms, ms);
  assert.equal(intake.pagesPerSecond, null);
  // One pass that had something to hand over.
  for (let ms = 1; ms <= 40; ms++) intake.arrived(10_000 + ms, 10_000 + ms * 60);
  assert.ok(Math.abs(intake.pagesPerSecond! - 60_000) < 3000, `${intake.pagesPerSecond}`);
});

test('a host that has become busy is believed after a while, and silence changes nothing', () => {
  const intake = new IntakeRate();
  let nowMs = 0;
  let pages = 0;
  const run = (forMs: number, perMs: number) => {
    for (const endMs = nowMs + forMs; nowMs < endMs; nowMs++) intake.arrived(nowMs, (pages += perMs));
  };
  run(1000, 100);
  nowMs += 60_000;
  assert.equal(intake.pagesPerSecond, 100_000);
  run(4000, 20);
  assert.equal(intake.pagesPerSecond, 100_000);
  run(8000, 20);
  assert.equal(intake.pagesPerSecond, 20_000);
});
