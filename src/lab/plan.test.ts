/** Plans say what is wrong with them; results survive a crash; tables count what they should. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { cellsOf, defaultTimeLimitMs, parsePlan } from './plan.ts';
import { buildReport, resultsCsv, spreadOf } from './report.ts';
import { parseResults, RESULT_SCHEMA, type RunRecord } from './results.ts';

const text = `
schema: godwit.plan/1
name: two-by-two
seed: 40
runs: 2
link: 200Mbit
memory: 256M
strategies:
  - name: qemu-precopy
  - { name: mp, parameters: { theta: 3 }, downtimeLimit: 300ms }
workloads:
  - { workload: uniform, hot: 64M, rate: 40M }
  - { id: busy, workload: stress }
`;

test('a plan in the units people write', () => {
  const plan = parsePlan(text);
  assert.equal(plan.linkBytesPerSecond, 25e6);
  assert.equal(plan.memoryBytes, 256 * 2 ** 20);
  assert.equal(plan.timeLimitMs, 60_000);
  assert.deepEqual(plan.workloads[0], {
    id: 'uniform',
    guest: { workload: 'uniform', hotBytes: 64 * 2 ** 20, rateBytesPerSecond: 40 * 2 ** 20 },
  });
  assert.equal(plan.strategies[1]?.downtimeLimitMs, 300);
  assert.equal(plan.hash, parsePlan(text).hash);
  assert.notEqual(plan.hash, parsePlan(text.replace('seed: 40', 'seed: 41')).hash);
  assert.equal(defaultTimeLimitMs(2 ** 30, 25e6), 214_749);
});

test('strategies alternate within a run and take turns to begin; a run has one seed', () => {
  const cells = cellsOf(parsePlan(text));
  assert.deepEqual(
    cells.map((cell) => cell.key),
    [
      ...['uniform/qemu-precopy/0', 'uniform/mp/0', 'busy/qemu-precopy/0', 'busy/mp/0'],
      ...['uniform/mp/1', 'uniform/qemu-precopy/1', 'busy/mp/1', 'busy/qemu-precopy/1'],
    ],
  );
  assert.deepEqual([...new Set(cells.map((cell) => `${cell.run}:${cell.seed}`))], ['0:40', '1:41']);
});

test('each fault of a plan is named where it is', () => {
  const faults: [string, string, RegExp][] = [
    ['link: 200Mbit', 'link: fast', /"fast" is not a rate[\s\S]*link/],
    ['runs: 2', 'runs: 0', /runs/],
    ['workload: stress', 'workload: chess', /workloads\[1\]\.workload/],
    ['name: mp', 'name: qemu-precopy', /"qemu-precopy" is there twice/],
    ['seed: 40', 'speed: 40', /speed/],
    ['schema: godwit.plan/1', 'schema: other/1', /schema/],
    ['runs: 2', 'runs: [', /no YAML/],
  ];
  for (const [from, to, expected] of faults) {
    assert.throws(() => parsePlan(text.replace(from, to)), { code: 'LAB_PLAN', message: expected }, to);
  }
});

function record(changed: Partial<RunRecord>): RunRecord {
  return {
    schema: RESULT_SCHEMA,
    kind: 'run',
    plan: 'two-by-two',
    planHash: 'x',
    key: '',
    workload: 'uniform',
    strategy: 'mp',
    parameters: {},
    run: 0,
    seed: 40,
    commit: 'c0ffee',
    modified: false,
    qemuVersion: '10.0.2',
    accelerator: 'tcg',
    nodeVersion: '24.0.0',
    cores: 2,
    link: 'namespaces',
    linkNote: null,
    startedAt: '2025-01-01T00:00:00Z',
    hostLoad: 1,
    othersCores: 0.1,
    guestCommandLine: '',
    memoryBytes: 2 ** 28,
    linkBytesPerSecond: 25e6,
    timeLimitMs: 60_000,
    dirtyBytesPerSecond: 50e6,
    writtenBytesPerSecond: 50e6,
    memoryIntensive: true,
    bounds: { transferredBytes: 2e8, totalMigrationTimeMs: 8000, downtimeMs: 800 },
    expected: null,
    success: true,
    outcome: 'completed',
    reason: null,
    arrangement: null,
    totalMigrationTimeMs: 10_000,
    downtimeMs: 1000,
    downtimeByEventsMs: 990,
    downtimeByHeartbeatMs: 1000,
    downtimePredictedMs: 800,
    downtimeLimitMs: null,
    transferredBytes: 3e8,
    returnedBytes: 1e5,
    guestSpeedShare: 0.9,
    iterations: [],
    decision: null,
    verification: { pages: 1, badPages: 0, heartbeatsLost: 0 },
    checks: [],
    notes: [],
    ...changed,
  };
}

test('a crash in the middle of a line loses that line only', () => {
  const lines = [record({ run: 0 }), record({ run: 1 })].map((one) => JSON.stringify(one)).join('\n');
  assert.equal(parseResults(`${lines}\n`).length, 2);
  assert.equal(parseResults(lines).length, 2);
  assert.equal(parseResults(lines.slice(0, -5)).length, 1);
  assert.throws(() => parseResults(`{"schema":"other"}\n`), { code: 'LAB_RESULTS' });
  assert.throws(() => parseResults(`{\n${lines}\n`), { code: 'LAB_RESULTS' });
});

test('medians of what succeeded, rates of all, ratios within a run', () => {
  const failed = { success: false, outcome: 'timed-out', reason: 'not converged after 60 s' } as const;
  const report = buildReport([
    record({ run: 0, downtimeMs: 1000 }),
    record({ run: 1, downtimeMs: 3000 }),
    record({ run: 2, ...failed, downtimeMs: null, totalMigrationTimeMs: null }),
    record({ run: 0, strategy: 'relaxed', downtimeMs: 2000 }),
    record({ run: 1, strategy: 'relaxed', downtimeMs: 4000 }),
    record({ run: 0, strategy: 'relaxed', kind: 'calibration', downtimeMs: 1 }),
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
  const [head, line] = resultsCsv([record({ downtimeMs: null, reason: 'a "b", c' })]).split('\r\n');
  assert.equal(head?.split(',').length, 26);
  assert.match(line ?? '', /^uniform,mp,0,40,true,completed,"a ""b"", c",10000,,800,,/);
});
