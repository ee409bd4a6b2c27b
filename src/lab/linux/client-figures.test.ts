/** Figures from a log made by hand. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { type ClientLog, clientFigures } from './client-figures.ts';

/** An answer every 10 ms from 0 to 3,000, except between 1,200 and 1,500; those of the move take longer. */
const done = Array.from({ length: 301 }, (_, index) => index * 10)
  .filter((atMs) => atMs <= 1200 || atMs >= 1500)
  .map((atMs) => [atMs, atMs > 1000 && atMs <= 2000 ? 40 : 5] as const);
const log: ClientLog = { done, errors: [[1300, 'reset']] };

test('the longest gap, errors, and each phase by itself', () => {
  const figures = clientFigures(log, 1000, 2000);
  assert.deepEqual([figures.gapMs, figures.errors, figures.firstError], [300, 1, 'reset']);
  assert.equal(figures.before?.answersPerSecond, 100);
  assert.equal(figures.during?.answersPerSecond, 71);
  assert.deepEqual([figures.before?.latencyMedianMs, figures.during?.latencyMedianMs], [5, 40]);
  assert.equal(figures.after?.latency99Ms, 5);
});

test('answers out of order are put in order; no answer is no figure', () => {
  const mixed = { done: log.done.toReversed(), errors: [] };
  assert.equal(clientFigures(mixed, 1000, 2000).gapMs, 300);
  const silent = clientFigures({ done: [], errors: [] }, 1000, 2000);
  assert.deepEqual([silent.gapMs, silent.before, silent.after], [null, null, null]);
  assert.deepEqual(silent.during, {
    ...{ answersPerSecond: 0, latencyMedianMs: null, latency99Ms: null, latencyMaxMs: null },
  });
});
