/**
 * Real VMs: a plain move of an idle guest over a shaped link holds every check; damage does not get past
 * them.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MIB, sleep } from '../base/index.ts';
import { connectQmp, cont, migrate, migrateIncoming, queryMigrate, queryStatus, stop } from '../qmp/index.ts';
import {
  compareRam,
  damagePage,
  type LabPair,
  type Migrator,
  makeRunFolder,
  measureDirtyRate,
  type Network,
  openNetwork,
  openPair,
  parsePlan,
  removeRunFolder,
  runBaseline,
  runChecks,
  runPlan,
} from './index.ts';
import { qemuMissing } from './machine/qemu.testing.ts';

const skip = qemuMissing();

const memoryBytes = 64 * MIB;
const limits = { timeLimitMs: 60_000, downtimeLimitMs: null, downtimePredictedMs: null };
let network: Network;
let pair: LabPair | null = null;

before(async () => {
  network = await openNetwork({ linkBytesPerSecond: 50e6 });
});

after(async () => {
  await pair?.close();
  await network.close();
});

async function open(options: Partial<Parameters<typeof openPair>[0]>): Promise<LabPair> {
  await pair?.close();
  pair = await openPair({ network, memoryBytes, cores: null, ...options });
  return pair;
}

test('a plain move of an idle guest with a disk holds every check', { skip }, async (context) => {
  if (network.note !== null) context.diagnostic(network.note);
  const moving = await open({ disk: 'plain', guest: { workload: 'idle', seed: 5 } });
  const report = await runBaseline(moving, { baseline: 'qemu-precopy', memoryBytes, timeLimitMs: 30_000 });
  assert.equal(report.outcome, 'completed', report.reason ?? '');
  // 64 MiB of random pages at 50 MB/s take 1.34 s: neither the link nor the counters are imagined.
  assert.ok(report.totalMigrationTimeMs !== null && report.totalMigrationTimeMs > 1100);
  assert.ok(report.transferredBytes > 0.9 * memoryBytes, `${report.transferredBytes}`);
  assert.ok(report.downtimeMs !== null && report.downtimeMs > 0 && report.downtimeMs < 5000);
  const checked = await runChecks({
    pair: moving,
    place: 'moved',
    limits: { ...limits, ...figuresOf(report) },
  });
  assert.deepEqual(
    checked.results.filter((result) => !result.holds),
    [],
  );
  assert.deepEqual(
    checked.results.map((result) => result.id),
    ['one-running', 'heartbeat', 'memory', 'disk-log', 'limits'],
  );
});

test('both oracles find nothing in an honest copy and one damaged page in the other', { skip }, async () => {
  const moving = await open({
    destinationPaused: true,
    guest: { workload: 'uniform', hotBytes: 8 * MIB, rateBytesPerSecond: 10e6 },
  });
  const rate = await measureDirtyRate(moving.source);
  const written = rate.writtenBytesPerSecond ?? 0;
  assert.ok(written > 8e6 && written < 11e6, JSON.stringify(rate));
  const report = await runBaseline(moving, {
    baseline: 'qemu-precopy',
    memoryBytes,
    timeLimitMs: 30_000,
    downtimeLimitMs: 2000,
    arrivesPaused: true,
  });
  assert.equal(report.outcome, 'completed', report.reason ?? '');
  const honest = await compareRam(moving.source, moving.destination);
  assert.equal(honest.differing, 0, JSON.stringify(honest.first));
  assert.ok(honest.pages > memoryBytes / 4096, 'ROMs are compared too');

  const damage = { block: 'pc.ram', pageIndex: 5000 };
  await damagePage(moving.destination, damage);
  const damaged = await compareRam(moving.source, moving.destination);
  assert.deepEqual([damaged.differing, damaged.first], [1, damage]);
  await cont(moving.destination.qmp);
  const checked = await runChecks({
    pair: moving,
    place: 'moved',
    limits: { ...limits, ...figuresOf(report) },
  });
  const memory = checked.results.find((result) => result.id === 'memory');
  assert.equal(memory?.holds, false);
  assert.equal(checked.verification?.badPages, 1);
});

test('a guest that dirties faster than the link stays at the source, unharmed', { skip }, async () => {
  const staying = await open({ disk: 'iothread', guest: { workload: 'stress', hotBytes: 32 * MIB } });
  const report = await runBaseline(staying, { baseline: 'qemu-precopy', memoryBytes, timeLimitMs: 3000 });
  assert.equal(report.outcome, 'timed-out');
  assert.deepEqual([report.downtimeMs, report.totalMigrationTimeMs], [null, null]);
  const checked = await runChecks({
    pair: staying,
    place: 'stayed',
    limits: { ...limits, ...figuresOf(report) },
  });
  assert.deepEqual(
    checked.results.filter((result) => !result.holds),
    [],
  );
});

const plan = parsePlan(`
schema: godwit.plan/1
name: live-test
runs: 1
link: 200Mbit
memory: 64M
warmUp: 500ms
timeLimit: 5s
strategies: [{ name: qemu-precopy }, { name: by-hand }, { name: gives-up }]
workloads: [{ workload: stress, hot: 32M }]
`);

/** Stop, copy, continue: the crudest migration that there is, through the monitors that a migrator gets. */
const byHand: Migrator = async (request) => {
  const source = await connectQmp({ path: request.sourceQmpPath });
  const destination = await connectQmp({ path: request.destinationQmpPath });
  const { listen, connect } = request.destination;
  await migrateIncoming(destination, `tcp:${listen.host}:${listen.port}`);
  await stop(source);
  await migrate(source, `tcp:${connect.host}:${connect.port}`);
  while ((await queryMigrate(source)).status !== 'completed') await sleep(20);
  while ((await queryStatus(destination)).status === 'inmigrate') await sleep(5);
  await cont(destination);
  await Promise.all([source.close(), destination.close()]);
  const nothing = { arrangement: null, downtimeLimitMs: null, iterations: [], decision: null };
  const rest = { ...nothing, notes: [], setupMs: null, stopAndCopy: {} };
  return { outcome: 'completed', reason: null, downtimePredictedMs: 2700, ...rest };
};

const givesUp: Migrator = async () => {
  throw new Error('the migrator gave up');
};

test('a plan runs every contestant, and resumes where it stopped', { skip }, async () => {
  const folder = makeRunFolder();
  const resultsPath = join(folder, 'results.jsonl');
  const migratorOf = ({ name }: { name: string }) =>
    ({ 'by-hand': byHand, 'gives-up': givesUp })[name] ?? null;
  const records = await runPlan({ plan, resultsPath, migratorOf });
  const of = (strategy: string) => records.find((record) => record.strategy === strategy)!;
  for (const record of records) {
    assert.ok(record.memoryIntensive && record.dirtyBytesPerSecond < 1e9, `${record.dirtyBytesPerSecond}`);
    assert.equal(record.verification?.badPages, 0);
    assert.equal(record.verification?.heartbeatsLost, 0);
  }
  assert.deepEqual([of('qemu-precopy').outcome, of('qemu-precopy').success], ['timed-out', false]);
  assert.deepEqual(
    [of('by-hand').outcome, of('by-hand').checks.filter((check) => !check.holds)],
    ['completed', []],
  );
  assert.ok(
    of('by-hand').downtimeMs! > 1000 && of('by-hand').downtimeMs! <= of('by-hand').totalMigrationTimeMs!,
  );
  assert.deepEqual([of('gives-up').outcome, of('gives-up').reason], ['failed', 'the migrator gave up']);

  const never = () => () => assert.fail('a cell ran twice');
  assert.equal((await runPlan({ plan, resultsPath, migratorOf: never })).length, 3);
  await assert.rejects(runPlan({ plan: { ...plan, hash: 'other' }, resultsPath, migratorOf: never }), {
    code: 'LAB_RESULTS',
  });
  removeRunFolder(folder);
});

function figuresOf(report: { totalMigrationTimeMs: number | null; downtimeMs: number | null }) {
  return { totalMigrationTimeMs: report.totalMigrationTimeMs, downtimeMs: report.downtimeMs };
}
