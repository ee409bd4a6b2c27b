import assert from 'node:assert/strict';
import test from 'node:test';
import { MIB } from '../../base/index.ts';
import type { Recording } from '../../trace/index.ts';
import { confidenceOf } from './confidence.ts';
import { guestFactsOf } from './guest-facts.ts';
import { movesOf, traceOf } from './measured.testing.ts';

test('more seen, and steadier, is surer', () => {
  const level = (trace: Recording) =>
    confidenceOf(guestFactsOf({ trace, cost: null }), movesOf(trace, [25e6])).level;
  assert.equal(level(traceOf(10 * MIB, 20_000)), 'high');
  assert.equal(level(traceOf(10 * MIB, 5000)), 'medium');
  assert.equal(level(traceOf(10 * MIB, 1000)), 'low');
});
