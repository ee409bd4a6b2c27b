/** Real VMs: a plain move of an idle guest over a shaped link holds every check; damage does not get past them. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { MIB } from '../base/index.ts';
import { cont } from '../qmp/index.ts';
import {
  compareRam,
  damagePage,
  findQemu,
  type LabPair,
  measureDirtyRate,
  type Network,
  openNetwork,
  openPair,
  runBaseline,
  runChecks,
} from './index.ts';

const skip = haveQemu() ? false : 'no QEMU on PATH';

function haveQemu(): boolean {
  try {
    findQemu();
    return true;
  } catch {
    return false;
  }
}

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
  assert.ok(rate.writtenBytesPerSecond > 8e6 && rate.writtenBytesPerSecond < 11e6, JSON.stringify(rate));
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

function figuresOf(report: { totalMigrationTimeMs: number | null; downtimeMs: number | null }) {
  return { totalMigrationTimeMs: report.totalMigrationTimeMs, downtimeMs: report.downtimeMs };
}
