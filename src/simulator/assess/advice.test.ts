import assert from 'node:assert/strict';
import test from 'node:test';
import { MIB } from '../../base/index.ts';
import { adviceOf } from './advice.ts';
import { movesOf, PREDICT_OPTIONS, traceOf } from './measured.testing.ts';

test('a guest that outwrites its slow link: plain pre-copy never ends, the fast link keeps the limit', () => {
  const moves = movesOf(traceOf(60 * MIB, 10_000), [10e6, 1e9]);
  assert.equal(moves.length, 8);
  const plain = moves[0]!;
  assert.deepEqual([plain.strategy, plain.successRate, plain.totalMigrationTimeMs], ['precopy', 0, null]);
  const advice = adviceOf(moves, PREDICT_OPTIONS.downtimeLimitMs);
  const [slow, fast] = advice as [(typeof advice)[0], (typeof advice)[0]];
  assert.equal(slow.keepsLimit, false);
  assert.equal(slow.plainPrecopy, 'never');
  assert.ok(slow.strategy === 'mp' || slow.strategy === 'adaptive', String(slow.strategy));
  assert.ok(slow.postcopyDowntimeMs! < PREDICT_OPTIONS.downtimeLimitMs);
  assert.equal(fast.keepsLimit, true);
});

test('an idle guest needs no strategy, and none that ends is an answer too', () => {
  assert.equal(adviceOf(movesOf(traceOf(0, 10_000), [25e6]), 300)[0]!.strategy, 'precopy');
  const moves = movesOf(traceOf(60 * MIB, 5000), [10e6], ['precopy']);
  assert.equal(adviceOf(moves, 300)[0]!.strategy, null);
});

test('what is for the simulator only is predicted, and never advised', () => {
  const moves = movesOf(traceOf(0, 5000), [25e6], ['vmotion', 'trace-replay']);
  assert.ok(moves.some(({ successRate }) => successRate === 1));
  assert.equal(adviceOf(moves, 60_000)[0]!.strategy, null);
});
