/**
 * Tables count what they should, and the page shows it: whole, escaped, and without a figure that nobody
 * measured.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { reportHtml } from './html.ts';
import { recordOf } from './record.testing.ts';
import { buildReport, resultsCsv, spreadOf } from './report.ts';
import type { RunRecord } from './results.ts';

test('medians of what succeeded, rates of all, ratios within a run', () => {
  const failed = { success: false, outcome: 'timed-out', reason: 'not converged after 60 s' } as const;
  const report = buildReport([
    recordOf({ run: 0, downtimeMs: 1000 }),
    recordOf({ run: 1, downtimeMs: 3000 }),
    recordOf({ run: 2, ...failed, downtimeMs: null, totalMigrationTimeMs: null }),
    recordOf({ run: 0, strategy: 'relaxed', downtimeMs: 2000 }),
    recordOf({ run: 1, strategy: 'relaxed', downtimeMs: 4000 }),
    recordOf({ run: 0, strategy: 'relaxed', kind: 'calibration', downtimeMs: 1 }),
  ]);
  const row = report?.rows.find(({ strategy }) => strategy === 'mp');
  assert.deepEqual([row?.runs, row?.successes], [3, 2]);
  assert.deepEqual(row?.failures, [{ reason: 'not converged after 60 s', runs: 1 }]);
  assert.deepEqual(row?.metrics.downtimeMs, { median: 2000, min: 1000, max: 3000, runs: 2 });
  assert.deepEqual(row?.ratios[0]?.against, 'relaxed');
  assert.deepEqual(row?.ratios[0]?.metrics.downtimeMs, { median: 0.625, min: 0.5, max: 0.75, runs: 2 });
  assert.deepEqual(row?.dirtyOverLink?.median, 2);
  assert.equal(buildReport([]), null);
  assert.equal(spreadOf([null, null]), null);
});

test('CSV leaves the unknown empty and quotes what it must', () => {
  const [head, line] = resultsCsv([recordOf({ downtimeMs: null, reason: 'a "b", c' })]).split('\r\n');
  assert.equal(head?.split(',').length, 27);
  assert.match(line ?? '', /^uniform,mp,0,40,true,completed,"a ""b"", c",10000,,800,,/);
});

const never: Partial<RunRecord> = {
  strategy: 'qemu-precopy',
  success: false,
  outcome: 'timed-out',
  reason: 'not converged after 60 s',
  totalMigrationTimeMs: null,
  downtimeMs: null,
  downtimePredictedMs: null,
  expected: 'failure',
};

test('what the plan expects is compared with every run', () => {
  const rowOf = (records: RunRecord[]) => buildReport(records)?.rows[0];
  assert.equal(rowOf([recordOf(never), recordOf({ ...never, run: 1 })])?.asExpected, true);
  assert.equal(rowOf([recordOf(never), recordOf({ ...never, run: 1, success: true })])?.asExpected, false);
  assert.equal(rowOf([recordOf({ expected: 'success' })])?.asExpected, true);
  assert.equal(rowOf([recordOf({ expected: 'success', success: false })])?.asExpected, false);
  assert.equal(rowOf([recordOf({ success: false })])?.asExpected, true);
});

test('distance to the bounds, run by run; unknown where the bound is', () => {
  const half = { transferredBytes: 1.5e8, totalMigrationTimeMs: 5000, downtimeMs: null };
  const row = buildReport([recordOf(), recordOf({ run: 1, bounds: half })])?.rows[0];
  assert.deepEqual(row?.overBounds.totalMigrationTimeMs, { median: 1.625, min: 1.25, max: 2, runs: 2 });
  assert.deepEqual(row?.overBounds.downtimeMs, { median: 1.25, min: 1.25, max: 1.25, runs: 1 });
  assert.equal(row?.bounds.downtimeMs?.runs, 1);
});

test('a prediction that was not kept stays in the figures although its run failed', () => {
  const broken = { success: false, downtimeMs: 1600, downtimePredictedMs: 800 };
  const row = buildReport([recordOf(), recordOf({ run: 1, ...broken })])?.rows[0];
  assert.deepEqual(row?.downtimeOverPredicted, { median: 1.625, min: 1.25, max: 2, runs: 2 });
  assert.equal(row?.metrics.downtimeMs?.runs, 1);
});

test('what clients felt: the gap, and throughput during the move over before it', () => {
  const phase = (answersPerSecond: number) => ({
    ...{ answersPerSecond, latencyMedianMs: 1, latency99Ms: 2, latencyMaxMs: 3 },
  });
  const clients = {
    ...{ gapMs: 300, errors: 0, firstError: null },
    ...{ before: phase(200), during: phase(50), after: null },
  };
  const [row] = buildReport([recordOf({ clients, setupMs: 640 }), recordOf({ run: 1 })])?.rows ?? [];
  assert.deepEqual([row?.clientGapMs?.median, row?.clientGapMs?.runs], [300, 1]);
  assert.equal(row?.clientThroughputRatio?.median, 0.25);
  assert.deepEqual(row?.setupMs, { median: 640, min: 640, max: 640, runs: 1 });
});

test('deviations follow from the runs', () => {
  const said = (changed: Partial<RunRecord>) => buildReport([recordOf(changed)])?.deviations.join('\n') ?? '';
  assert.match(said({ accelerator: 'tcg' }), /emulated/);
  assert.doesNotMatch(said({ accelerator: 'kvm' }), /emulated/);
  assert.match(said({ link: 'relay' }), /relay in one process/);
  assert.match(said({ arrangement: 'single' }), /single arrangement/);
  assert.match(said({ memoryIntensive: false }), /not memory-intensive.*uniform/);
  assert.match(said({}), /256 MiB and the link carries 200 Mbit/);
});

const page = (records: RunRecord[]) => reportHtml(buildReport(records)!, records);

test('the page has every workload, strategy and run, and needs nothing else', () => {
  const iterations = [
    { index: 0, startMs: 0, dirtyPages: 65_536, sentPages: 9000, sentBytes: 36e6, heldPages: 0 },
    { index: 1, startMs: 1500, dirtyPages: 9000, sentPages: 9000, sentBytes: 36e6, heldPages: 9000 },
  ];
  const html = page([
    recordOf({ iterations }),
    recordOf({ run: 1, workload: 'stress', iterations }),
    recordOf({ ...never, iterations }),
  ]);
  assert.equal(html.match(/class="dot"/g)?.length, 2 * 4);
  assert.equal(html.match(/class="course"/g)?.length, 3 * 3);
  for (const text of ['Workload uniform', 'Workload stress', 'none succeeded', 'not converged after 60 s']) {
    assert.ok(html.includes(text), text);
  }
  assert.doesNotMatch(html, /<script|<link|src=|href=|@import|url\(/);
});

test('text from results is never markup', () => {
  const html = page([
    recordOf({
      workload: '<img src=x>',
      strategy: '"><script>',
      reason: '<b>',
      success: false,
      outcome: 'failed',
    }),
  ]);
  assert.doesNotMatch(html, /<img|<script|<b>/);
});

const figure = fc.oneof(fc.constant(null), fc.constant(0), fc.double({ min: 1e-3, max: 1e12, noNaN: true }));

test('whatever was measured or not, the page shows no figure that is none', () => {
  const records = fc.array(
    fc.record({
      run: fc.nat(3),
      workload: fc.constantFrom('uniform', 'stress'),
      strategy: fc.constantFrom('qemu-precopy', 'frs', 'mp'),
      success: fc.boolean(),
      totalMigrationTimeMs: figure,
      downtimeMs: figure,
      downtimePredictedMs: figure,
      guestSpeedShare: figure,
      othersCores: figure,
    }),
    { minLength: 1, maxLength: 8 },
  );
  fc.assert(
    fc.property(records, (changes) => {
      const html = page(changes.map((changed) => recordOf(changed)));
      assert.doesNotMatch(html, /NaN|undefined|Infinity|>null</);
    }),
  );
});
