/** What the command says about guests that are known: what fits, what does not, and how sure that is. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { MIB } from '../../base/index.ts';
import { movesOf, PREDICT_OPTIONS, traceOf } from '../../simulator/assess/measured.testing.ts';
import { adviceOf, confidenceOf, guestFactsOf } from '../../simulator/index.ts';
import { adviceLines, confidenceLine, linkText, predictionTable, sessionLines } from './text.ts';

test('a guest that outwrites its link: the advice says what plain pre-copy does, and what post-copy risks', () => {
  const trace = traceOf(60 * MIB, 10_000);
  const rows = movesOf(trace, [10e6, 1e9]);
  const limitMs = PREDICT_OPTIONS.downtimeLimitMs;
  const guest = guestFactsOf({ trace, cost: null });
  const [slow, fast] = adviceLines(adviceOf(rows, limitMs), guest, limitMs) as [string, string];
  assert.match(slow, /^80 Mbit\/s: no strategy keeps 300 ms .* plain pre-copy does not end/);
  assert.match(slow, /post-copy .* loses the VM/);
  assert.match(fast, /^8 Gbit\/s: /);
  assert.equal(predictionTable(rows).length, 2 + rows.length);
});

test('an idle guest needs no strategy, and a short look is not trusted', () => {
  const trace = traceOf(0, 1000);
  const guest = guestFactsOf({ trace, cost: null });
  const rows = movesOf(trace, [25e6]);
  assert.match(adviceLines(adviceOf(rows, 300), guest, 300)[0]!, /^200 Mbit\/s: plain pre-copy does it: /);
  assert.match(confidenceLine(confidenceOf(guest, rows)), /^confidence low: 4 samples/);
});

test('plain pre-copy is not praised where it breaks the limit', () => {
  const trace = traceOf(10 * MIB, 10_000);
  const row = movesOf(trace, [125e6])[0]!;
  assert.equal(row.strategy, 'precopy');
  const guest = guestFactsOf({ trace, cost: null });
  const kept = adviceLines(adviceOf([row], row.downtimeMs! + 1), guest, 300)[0]!;
  assert.match(kept, /plain pre-copy does it/);
  const broken = adviceLines(adviceOf([row], row.downtimeMs! - 1), guest, 20)[0]!;
  assert.match(broken, /^1 Gbit\/s: no strategy keeps 20 ms of downtime; plain pre-copy comes closest/);
});

test('what became of the VM, and why a measurement ended early', () => {
  const asAsked = sessionLines({ endedBy: 'duration', pausedMs: 0, durationMs: 20_000 });
  assert.deepEqual(asAsked, ['the VM was not stopped, and its settings are as they were']);
  const [why, stopped] = sessionLines({ endedBy: 'pause', pausedMs: 3.2, durationMs: 341 });
  assert.match(why!, /ended after 341 ms: the guest fell quiet/);
  assert.match(stopped!, /QEMU stopped the VM for 3 ms; it runs/);
});

test('no strategy that ends is an answer too', () => {
  const trace = traceOf(60 * MIB, 5000);
  const advice = adviceOf(movesOf(trace, [10e6], ['precopy']), 300);
  const guest = guestFactsOf({ trace, cost: null });
  assert.match(adviceLines(advice, guest, 300)[0]!, /^80 Mbit\/s: none of these strategies ends/);
  assert.equal(linkText(25e6), '200 Mbit/s');
});
