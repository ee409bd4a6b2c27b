import assert from 'node:assert/strict';
import test from 'node:test';
import type { IterationStats } from '../vm/index.ts';
import { ITERATIONS_REPORTED_MAX, NOTES_MAX, ReportLog } from './report-log.ts';

function iteration(index: number): IterationStats {
  return {
    index,
    startMs: index * 300.4,
    durationMs: 299.6,
    passes: 1,
    dirtyPages: 5,
    dirtyOutsideHoldPages: 4,
    sentPages: 3,
    resentPages: 2,
    sentBytes: 1,
    backlog: { queuedPages: 7, queuedBytes: 70, heldPages: 8, heldBytes: 80 },
    bandwidthBytesPerSecond: null,
    rewriteHistogram: new Float64Array(1),
    regionHistogram: new Uint32Array(1),
    regionPages: 1,
  };
}

test('a migration of days keeps its first pass and its newest iterations, without histograms', () => {
  const log = new ReportLog();
  for (let index = 0; index < 5 * ITERATIONS_REPORTED_MAX; index++) log.add(iteration(index));
  const rows = log.iterations;
  assert.equal(rows.length, ITERATIONS_REPORTED_MAX);
  assert.deepEqual(
    [rows[0]!.index, rows[1]!.index, rows.at(-1)!.index],
    [0, 4 * ITERATIONS_REPORTED_MAX + 1, 5 * ITERATIONS_REPORTED_MAX - 1],
  );
  assert.deepEqual(rows[0], {
    index: 0,
    startMs: 0,
    durationMs: 300,
    dirtyPages: 5,
    sentPages: 3,
    resentPages: 2,
    heldPages: 8,
    queuedPages: 7,
    sentBytes: 1,
  });
});

test('the notes say how many more there were', () => {
  const log = new ReportLog();
  for (let index = 0; index < NOTES_MAX; index++) log.note(`${index}`);
  assert.equal(log.notes.length, NOTES_MAX);
  log.note('one more');
  assert.equal(log.notes.at(-1), '1 more notes are left out');
});
