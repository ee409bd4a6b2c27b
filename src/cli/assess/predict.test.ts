/** Predictions and advice from traces of guests that are known: what fits, what does not, and how sure that is. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { MIB } from '../../base/index.ts';
import { makeGuest, type Recording, readRecording, synthesize, TraceWriter } from '../../trace/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { adviceOf, confidenceOf, guestOf, type Prediction, predict } from './predict.ts';
import { adviceLines, confidenceLine, linkText, predictionTable, sessionLines } from './text.ts';

const MEMORY_BYTES = 64 * MIB;

function traceOf(rateBytesPerSecond: number, durationMs: number): Recording {
  const pageCount = MEMORY_BYTES / PAGE_SIZE_BYTES;
  const guest = makeGuest(pageCount, {
    workload: 'uniform',
    hotBytes: 24 * MIB,
    fillBytes: 40 * MIB,
    rateBytesPerSecond,
  });
  const chunks: Uint8Array[] = [];
  const write = (bytes: Uint8Array) => void chunks.push(bytes);
  synthesize(guest, new TraceWriter({ pageCount, source: 'synthetic', write }), durationMs, 250);
  return readRecording(chunks);
}

const OPTIONS = {
  strategies: ['precopy', 'mp', 'adaptive', 'postcopy'],
  downtimeLimitMs: 300,
  roundTripMs: 0.2,
  arrangement: 'single',
} as const;

function predictions(trace: Recording, linksBytesPerSecond: readonly number[]): Prediction[] {
  return [...predict({ trace, cost: null }, { ...OPTIONS, linksBytesPerSecond })];
}

test('a guest is described as it was made', () => {
  const guest = guestOf({ trace: traceOf(30 * MIB, 10_000), cost: null });
  assert.equal(guest.memoryBytes, MEMORY_BYTES);
  assert.ok(Math.abs(guest.contentBytes - 42 * MIB) < 2 * MIB, `${guest.contentBytes}`);
  assert.ok(
    Math.abs(guest.dirtyBytesPerSecond.median - 27 * MIB) < 6 * MIB,
    `${guest.dirtyBytesPerSecond.median}`,
  );
  assert.equal(guest.samples, 40);
  assert.equal(guest.packedBytes, null, 'unknown stays unknown');
});

test('a guest that outwrites its link: plain pre-copy fails, and the advice says so in words', () => {
  const trace = traceOf(60 * MIB, 10_000);
  const rows = predictions(trace, [10e6, 1e9]);
  assert.equal(rows.length, 8);
  const plain = rows[0]!;
  assert.deepEqual([plain.strategy, plain.successRate, plain.totalMigrationTimeMs], ['precopy', 0, null]);
  const guest = guestOf({ trace, cost: null });
  const advice = adviceOf(rows, OPTIONS.downtimeLimitMs);
  const [slow, fast] = advice as [(typeof advice)[0], (typeof advice)[0]];
  assert.equal(slow.keepsLimit, false);
  assert.ok(slow.strategy === 'mp' || slow.strategy === 'adaptive', String(slow.strategy));
  assert.ok(slow.postcopyDowntimeMs! < OPTIONS.downtimeLimitMs);
  assert.equal(fast.keepsLimit, true);
  const [slowText, fastText] = adviceLines(advice, guest, OPTIONS.downtimeLimitMs) as [string, string];
  assert.match(slowText, /^80 Mbit\/s: no strategy keeps 300 ms .* plain pre-copy does not end/);
  assert.match(slowText, /post-copy .* loses the VM/);
  assert.match(fastText, /^8 Gbit\/s: /);
  assert.equal(predictionTable(rows).length, 2 + rows.length);
});

test('an idle guest needs no strategy', () => {
  const trace = traceOf(0, 10_000);
  const rows = predictions(trace, [25e6]);
  const advice = adviceOf(rows, 300);
  assert.equal(advice[0]!.strategy, 'precopy');
  assert.match(
    adviceLines(advice, guestOf({ trace, cost: null }), 300)[0]!,
    /^200 Mbit\/s: plain pre-copy does it: /,
  );
});

test('more seen, and steadier, is surer', () => {
  const level = (trace: Recording) =>
    confidenceOf(guestOf({ trace, cost: null }), predictions(trace, [25e6])).level;
  assert.equal(level(traceOf(10 * MIB, 20_000)), 'high');
  assert.equal(level(traceOf(10 * MIB, 5000)), 'medium');
  assert.equal(level(traceOf(10 * MIB, 1000)), 'low');
  const trace = traceOf(10 * MIB, 1000);
  assert.match(
    confidenceLine(confidenceOf(guestOf({ trace, cost: null }), predictions(trace, [25e6]))),
    /^confidence low: 4 samples/,
  );
});

test('plain pre-copy is not praised where it breaks the limit', () => {
  const trace = traceOf(10 * MIB, 10_000);
  const row = predictions(trace, [125e6])[0]!;
  assert.equal(row.strategy, 'precopy');
  const guest = guestOf({ trace, cost: null });
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
  const row = predictions(traceOf(60 * MIB, 5000), [10e6])[0]!;
  const advice = adviceOf([row], 300);
  assert.equal(advice[0]!.strategy, null);
  assert.equal(linkText(25e6), '200 Mbit/s');
});
