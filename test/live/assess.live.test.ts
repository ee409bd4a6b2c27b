/**
 * A real guest of a known rate is assessed, interrupted, and left by a killed godwit: it runs on, and its
 * settings are as they were.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MIB, sleep } from '../../src/base/index.ts';
import { type AssessOptions, assess } from '../../src/controller/index.ts';
import {
  GUEST_BINARY_PATH,
  guestCommandLine,
  lastHeartbeat,
  makeRunFolder,
  parseGuestLine,
  removeRunFolder,
  startVm,
  type Vm,
  verifyGuest,
} from '../../src/lab/index.ts';
import { qemuMissing } from '../../src/lab/machine/qemu.testing.ts';
import { queryMigrateCapabilities, queryMigrateParameters, queryStatus } from '../../src/qmp/index.ts';
import { readTraceFile } from '../../src/trace/index.ts';

const GODWIT = fileURLToPath(new URL('../../bin/godwit.mjs', import.meta.url));
const TIMEOUT_MS = 60_000;
const MEMORY_BYTES = 64 * MIB;
const FILL_BYTES = 40 * MIB;
const HOT_BYTES = 16 * MIB;
const RATE = 16 * MIB;

let folder = '';
let vm: Vm;
let stops = 0;

before(async () => {
  if (qemuMissing() !== false) return;
  folder = makeRunFolder();
  vm = await startVm({
    name: 'source',
    memoryBytes: MEMORY_BYTES,
    kernel: GUEST_BINARY_PATH,
    commandLine: guestCommandLine({
      workload: 'uniform',
      fillBytes: FILL_BYTES,
      hotBytes: HOT_BYTES,
      rateBytesPerSecond: RATE,
      seed: 5,
    }),
    folder,
  });
  vm.qmp.on((event) => {
    if (event.name === 'STOP') stops++;
  });
  const waiting = { timeoutMs: TIMEOUT_MS, what: 'ready guest' };
  await vm.serial.waitFor((text) => parseGuestLine(text).kind === 'ready', waiting);
});

after(async () => {
  if (folder === '') return;
  await vm?.close();
  removeRunFolder(folder);
});

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function godwit(args: readonly string[], onSaid: (said: string, child: ChildProcess) => void = () => {}) {
  return new Promise<Run>((resolve) => {
    const child = execFile(
      process.execPath,
      [GODWIT, 'assess', `qmp:${vm.controlPath}`, ...args],
      {
        timeout: TIMEOUT_MS,
        killSignal: 'SIGKILL',
        env: { ...process.env, GODWIT_STATE_DIR: join(folder, 'state') },
      },
      (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err }),
    );
    let said = '';
    child.stderr!.on('data', (chunk) => {
      said += chunk;
      onSaid(said, child);
    });
  });
}

async function settings(): Promise<unknown> {
  const [capabilities, parameters] = [
    await queryMigrateCapabilities(vm.qmp),
    await queryMigrateParameters(vm.qmp),
  ];
  return [Object.fromEntries(capabilities), Object.fromEntries(parameters)];
}

async function runsOn(): Promise<void> {
  const { running } = await queryStatus(vm.qmp);
  assert.equal(running, true);
  const beat = lastHeartbeat(vm.serial.lines)!.counter;
  await sleep(100);
  assert.ok(lastHeartbeat(vm.serial.lines)!.counter > beat, 'the guest beats on');
  assert.equal(stops, 0, 'the VM was never stopped');
}

const options = { skip: qemuMissing(), timeout: TIMEOUT_MS };

test('assess measures a running guest and predicts, and leaves it as it was', options, async () => {
  const earlier = await settings();
  const { code, out, err } = await godwit([
    '--duration',
    '5s',
    '--link',
    '200Mbit',
    '--link',
    '40Mbit',
    '--json',
  ]);
  assert.equal(code, 0, err);
  await runsOn();
  assert.deepEqual(await settings(), earlier);
  const report = JSON.parse(out);
  assert.equal(report.schema, 'godwit.assessment/1');
  assert.equal(report.session.pausedMs, 0);
  assert.equal(report.session.endedBy, 'duration');
  assert.match(report.session.qemuVersion, /^\d+\.\d+/);
  const { guest, predictions, recommendation, confidence, advice } = report;
  // Distinct pages within a pass, and a few of the guest's own: near the rate at which it writes.
  assert.ok(guest.dirtyBytesPerSecond.median > 0.6 * RATE, `${guest.dirtyBytesPerSecond.median}`);
  assert.ok(guest.dirtyBytesPerSecond.median < 1.5 * RATE, `${guest.dirtyBytesPerSecond.median}`);
  assert.ok(
    guest.contentBytes >= FILL_BYTES && guest.contentBytes < FILL_BYTES + 6 * MIB,
    `${guest.contentBytes}`,
  );
  assert.ok(guest.workingSetBytes > 0.8 * HOT_BYTES && guest.workingSetBytes < HOT_BYTES + 6 * MIB);
  assert.ok(guest.packedBytes > 2000 && guest.deltaBytes > 2000, 'random bodies do not pack');
  assert.ok(guest.samples >= 8, `${guest.samples} samples`);
  assert.equal(predictions.length, 12);
  const of = (strategy: string, link: number) =>
    predictions.find(
      (row: { strategy: string; linkBytesPerSecond: number }) =>
        row.strategy === strategy && row.linkBytesPerSecond === link / 8,
    );
  // 42 MiB over 25 MB/s, and a guest that writes half of what the link carries.
  assert.ok(of('adaptive', 200e6).totalMigrationTimeMs > 1700, JSON.stringify(of('adaptive', 200e6)));
  assert.ok(of('adaptive', 200e6).totalMigrationTimeMs < 8000);
  assert.equal(of('precopy', 200e6).successRate, 1);
  assert.equal(of('precopy', 40e6).successRate, 0, 'it writes more than 40 Mbit/s carry');
  assert.equal(advice.length, 2);
  assert.ok(['high', 'medium', 'low'].includes(confidence.level));
  assert.match(recommendation[1], /^40 Mbit\/s: /);
});

test(
  'as if QEMU knew no ack: only where a pause is accepted, and a guest that keeps writing is not stopped',
  options,
  async () => {
    const earlier = await settings();
    const asked: AssessOptions = {
      sourceQmpPath: vm.controlPath,
      durationMs: 3000,
      acceptPause: true,
      ackGate: 'off',
      recordPath: join(folder, 'measured.trace'),
      stateDirectory: join(folder, 'state'),
    };
    const hooks = { onProgress: () => undefined, onNote: () => undefined };
    const { signal } = new AbortController();
    await assert.rejects(assess({ ...asked, acceptPause: false }, hooks, signal), { code: 'ASSESS_NO_ACK' });
    assert.deepEqual(await settings(), earlier);
    const { trace, pausedMs, endedBy } = await assess(asked, hooks, signal);
    await runsOn();
    assert.deepEqual(await settings(), earlier);
    assert.deepEqual([pausedMs, endedBy], [0, 'duration']);
    assert.ok(trace.sets.length >= 4, `${trace.sets.length} sets`);
    // The file may hold a last set that the cancelled pass left incomplete.
    const { sets } = readTraceFile(join(folder, 'measured.trace'));
    assert.deepEqual(sets.slice(0, trace.sets.length), trace.sets);
  },
);

test('Ctrl-C puts everything back', options, async () => {
  const earlier = await settings();
  const { code, out } = await godwit(['--json'], (said, child) => {
    if (/observing: [1-9]/.test(said)) child.kill('SIGINT');
  });
  assert.equal(code, 130);
  assert.equal(out, '');
  await runsOn();
  assert.deepEqual(await settings(), earlier);
});

test(
  'a killed assess leaves the guest running, and its guardian puts the settings back',
  options,
  async () => {
    const earlier = await settings();
    await godwit(['--json'], (said, child) => {
      if (/observing: [1-9]/.test(said)) child.kill('SIGKILL');
    });
    await runsOn();
    const deadlineMs = performance.now() + 10_000;
    while (performance.now() < deadlineMs) {
      if (JSON.stringify(await settings()) === JSON.stringify(earlier)) break;
      await sleep(50);
    }
    assert.deepEqual(await settings(), earlier);
    await runsOn();
    const verified = await verifyGuest(vm);
    assert.equal(verified.badPages, 0);
  },
);
