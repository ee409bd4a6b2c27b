import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
import { GIB, MIB } from '../../base/index.ts';
import type { RunRecord } from '../../lab/index.ts';
import { recordOf } from '../../lab/report/record.testing.ts';
import { declareOptions, readDemoOptions } from './options.ts';
import {
  type BaselineRun,
  checkLines,
  closingSentence,
  comparison,
  type DemoOutcome,
  demoReport,
} from './report.ts';

function optionsOf(...args: string[]) {
  const command = new Command();
  declareOptions(command);
  command.parse(args, { from: 'user' });
  return readDemoOptions(command.opts(), 64 * GIB);
}

function contestOf(changes: Partial<RunRecord> = {}): RunRecord {
  return recordOf({
    ...{ plan: 'contest', key: 'uniform/mp/0', seed: 1 },
    memoryBytes: 256 * MIB,
    dirtyBytesPerSecond: 37.5e6,
    writtenBytesPerSecond: 100e6,
    totalMigrationTimeMs: 13_200,
    downtimeMs: 1750,
    downtimeByEventsMs: 1750,
    downtimeByHeartbeatMs: 1740,
    downtimePredictedMs: 1760,
    transferredBytes: 297 * MIB,
    guestSpeedShare: 1,
    bounds: { transferredBytes: 254 * MIB, totalMigrationTimeMs: 10_650, downtimeMs: 1240 },
    iterations: [{ index: 0, startMs: 0, dirtyPages: 1, sentPages: 2, sentBytes: 8192, heldPages: 3 }],
    decision: { action: 'stop-and-copy', rule: 'mp-settled', text: 'waiting buys nothing' },
    verification: { pages: 65_076, badPages: 0, heartbeatsLost: 0 },
    checks: [
      { id: 'one-running', holds: true, complaints: [], evidence: 'source postmigrate, destination running' },
    ],
    commit: null,
    modified: null,
    ...changes,
  });
}

const givenUp: BaselineRun = {
  title: 'plain pre-copy',
  record: contestOf({
    strategy: 'qemu-precopy',
    success: false,
    outcome: 'timed-out',
    reason: 'not converged after 60 s',
    totalMigrationTimeMs: null,
    downtimeMs: null,
    downtimePredictedMs: null,
    transferredBytes: 1.4 * GIB,
  }),
  lastProgress: null,
  time: { timeLimitMs: 60_000, cellTimeLimitMs: 60_000 },
  downtimeLimitMs: 300,
};

function outcomeOf(changes: Partial<RunRecord>, baseline: BaselineRun | null): DemoOutcome {
  return {
    options: optionsOf(),
    baseline,
    contestant: { title: 'godwit mp', record: contestOf(changes), report: null },
  };
}

test('the table compares the four metrics; what is not known is a dash', () => {
  assert.deepEqual(comparison(outcomeOf({}, givenUp)), [
    'migration       total time  downtime  predicted     data  success',
    '──────────────  ──────────  ────────  ─────────  ───────  ────────────',
    'plain pre-copy    > 60.0 s         –          –  1.4 GiB  no: given up',
    'godwit mp           13.2 s    1.75 s     1.76 s  297 MiB  yes',
    'bound               10.7 s    1.24 s          –  254 MiB',
    'bound: nobody who sends whole pages over this link can need less',
  ]);
});

test('a guest whose bound is not known gets no row for it', () => {
  const bounds = { transferredBytes: null, totalMigrationTimeMs: null, downtimeMs: null };
  assert.match(comparison(outcomeOf({ bounds }, null)).at(-1)!, /^godwit mp /);
});

test('the closing sentence says what happened to either', () => {
  assert.equal(
    closingSentence(outcomeOf({}, givenUp)),
    'Plain pre-copy did not end within 60.0 s, because the guest changes 1.5 times as much memory as the link carries; ' +
      'godwit mp moved the VM in 13.2 s with 1.75 s of downtime (1.76 s predicted), and every page of it is right.',
  );
});

test('a shortened baseline is called so', () => {
  const short = { ...givenUp, time: { timeLimitMs: 60_000, cellTimeLimitMs: 215_000 } };
  assert.match(
    closingSentence(outcomeOf({}, short)),
    /within 60\.0 s \(cut short: the lab allows 3 min 35 s\)/,
  );
});

test('a baseline that ends is no failure of its own', () => {
  const ended = { ...givenUp, record: contestOf({ downtimeMs: 120, dirtyBytesPerSecond: 5e6 }) };
  assert.match(
    closingSentence(outcomeOf({}, ended)),
    /^Plain pre-copy got there too with 120 ms of downtime, since this guest changes only 0\.2 times/,
  );
});

test('a VM that moved with a page gone wrong is no success, in words and in the report', () => {
  const broken = outcomeOf(
    {
      success: false,
      verification: { pages: 65_076, badPages: 2, heartbeatsLost: 0 },
      checks: [{ id: 'memory', holds: false, complaints: ['2 bad pages'], evidence: '65076 pages, 2 bad' }],
    },
    null,
  );
  assert.match(closingSentence(broken), /, but not as it should: memory\.$/);
  assert.match(comparison(broken)[2]!, /no: memory$/);
  const report = demoReport(broken);
  assert.equal(report.success, false);
  assert.deepEqual(report.failure, { code: 'CHECK_FAILED', text: 'memory: 2 bad pages' });
  assert.deepEqual(checkLines(broken.contestant.record), [
    { holds: false, text: 'memory: 2 bad pages (65076 pages, 2 bad)' },
  ]);
});

test('a move that failed says where the guest is', () => {
  const failed = {
    success: false,
    outcome: 'failed' as const,
    reason: 'the destination ended',
    checks: [
      { id: 'one-running', holds: true, complaints: [], evidence: 'source running, destination gone' },
    ],
  };
  assert.equal(
    closingSentence(outcomeOf(failed, null)),
    'godwit mp did not move the VM (the destination ended): the guest still runs at the source.',
  );
});

test("QEMU's words for a VM that stands still are explained", () => {
  assert.deepEqual(checkLines(contestOf()), [
    { holds: true, text: 'one VM runs: source stopped (postmigrate), destination running' },
  ]);
});

test('the report has every field a script may count on, also for plain QEMU', () => {
  const options = optionsOf('--strategy', 'precopy');
  const record = contestOf({ strategy: 'qemu-precopy', decision: null, downtimePredictedMs: null });
  const report = demoReport({
    options,
    baseline: null,
    contestant: { title: 'plain pre-copy', record, report: null },
  });
  const promised = [
    ...[
      'schema',
      'success',
      'strategy',
      'workload',
      'qemuVersion',
      'accelerator',
      'seed',
      'dirtyBytesPerSecond',
    ],
    ...[
      'linkBytesPerSecond',
      'totalMigrationTimeMs',
      'downtimeMs',
      'downtimePredictedMs',
      'transferredBytes',
    ],
    ...['iterations', 'decision', 'verification'],
  ];
  assert.deepEqual(
    promised.filter((name) => !(name in report)),
    [],
  );
  assert.equal(report.strategy, 'precopy');
  assert.equal(report.decision.action, 'stop-and-copy');
  assert.deepEqual(report.iterations, [
    { index: 0, startMs: 0, dirtyPages: 1, sentPages: 2, sentBytes: 8192, heldPages: 3 },
  ]);
});
