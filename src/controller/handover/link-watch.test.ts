import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { GodwitError } from '../../base/index.ts';
import { watchLink } from './link-watch.ts';

function watched(downtimeMsMax: number) {
  mock.timers.enable({ apis: ['setInterval'] });
  let nowMs = 0;
  const heard: (number | null)[] = [0, 0];
  const told: GodwitError[] = [];
  const watch = watchLink({
    stats: () => heard.map((heardAtMs) => ({ heardAtMs })),
    clock: { nowMs: () => nowMs },
    downtimeMsMax,
    onSilent: (error) => told.push(error),
  });
  const pass = (durationMs: number, alive: readonly boolean[]) => {
    for (let ms = 0; ms < durationMs; ms += 100) {
      nowMs += 100;
      for (const [lane, isAlive] of alive.entries()) if (isAlive) heard[lane] = nowMs;
      mock.timers.tick(100);
    }
  };
  return { heard, told, watch, pass };
}

test('one silent lane among others is told of, once, after the patience', () => {
  const { told, pass } = watched(300);
  pass(60_000, [true, true]);
  pass(2500, [true, false]);
  assert.equal(told.length, 0);
  pass(5000, [true, false]);
  assert.deepEqual([told.length, told[0]?.code], [1, 'LINK_SILENT']);
  mock.timers.reset();
});

test('a greater downtime limit waits longer, and a lane that comes back is forgiven', () => {
  const { told, pass, heard } = watched(10_000);
  heard[1] = null;
  pass(9_000, [true, false]);
  pass(1_000, [true, true]);
  heard[1] = null;
  pass(9_000, [true, false]);
  assert.equal(told.length, 0);
  pass(2_000, [true, false]);
  assert.equal(told.length, 1);
  mock.timers.reset();
});

test('after close nothing is told', () => {
  const { told, watch, pass } = watched(300);
  watch.close();
  pass(10_000, [false, false]);
  assert.equal(told.length, 0);
  mock.timers.reset();
});
