/** A running migration steered from another terminal, through the commands a user has. */

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { MIB, sleep } from '../../src/base/index.ts';
import type { MigrationStatus } from '../../src/controller/index.ts';
import {
  type LabPair,
  makeRunFolder,
  type Network,
  openNetwork,
  removeRunFolder,
  verifyGuest,
} from '../../src/lab/index.ts';
import { qemuMissing } from '../../src/lab/machine/qemu.testing.ts';
import { queryStatus } from '../../src/qmp/index.ts';
import { openSmallPair } from './small-pair.ts';
import { GODWIT } from './ssh-rig.ts';

const skip = qemuMissing();
const BANDWIDTH = '1MiB/s';
let network: Network;
let pair: LabPair;
let folder: string;

beforeEach(async () => {
  if (skip) return;
  network = await openNetwork({ linkBytesPerSecond: 1e9, kind: 'relay' });
  folder = makeRunFolder();
  const guest = { workload: 'uniform', hotBytes: 4 * MIB, rateBytesPerSecond: 4 * MIB, seed: 9 } as const;
  pair = await openSmallPair(network, { guest });
});

afterEach(async () => {
  if (skip) return;
  await pair?.close();
  await network?.close();
  if (folder) removeRunFolder(folder);
});

const environment = () => ({ ...process.env, GODWIT_STATE_DIR: join(folder, 'state') });

interface Ended {
  readonly code: number | null;
  readonly out: string;
}

/**
 * A migration that does not end by itself: its rule waits for what 1 ms carries, and the guest writes more.
 */
function startMigration(): Promise<Ended> {
  const ends = [`qmp:${pair.source.controlPath}`, `qmp:${pair.destination.controlPath}`];
  const rule = ['--strategy', 'precopy', '--downtime-limit', '2ms'];
  const options = [...rule, '--bandwidth', BANDWIDTH, '--json'];
  const child = spawn(process.execPath, [GODWIT, 'migrate', ...ends, ...options], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: environment(),
  });
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += String(chunk);
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out })));
}

function godwit(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [GODWIT, ...args], { env: environment() }, (error, out) => {
      resolve({ code: error ? Number(error.code) : 0, out });
    });
  });
}

async function ask(...args: string[]): Promise<MigrationStatus[]> {
  const { code, out } = await godwit(...args, '--json');
  assert.equal(code, 0, out);
  return (JSON.parse(out) as { migrations: MigrationStatus[] }).migrations;
}

async function untilUnderWay(): Promise<MigrationStatus> {
  for (;;) {
    const [status] = await ask('status');
    if (status !== undefined && status.phase !== 'preparing') return status;
    await sleep(100);
  }
}

/** However slow this machine is: a link that was still capped at its old rate would never be. */
async function untilFasterThan(migrationId: string, bytesPerSecond: number): Promise<void> {
  const sentBytes = async () => (await ask('status', migrationId))[0]?.sentBytes ?? 0;
  for (;;) {
    const startMs = performance.now();
    const before = await sentBytes();
    await sleep(1000);
    const sent = (await sentBytes()) - before;
    if (sent > (bytesPerSecond * (performance.now() - startMs)) / 1000) return;
  }
}

test('status, set and switch from another terminal', { skip, timeout: 120_000 }, async () => {
  const ended = startMigration();
  const { migrationId, bandwidthBytesPerSecondMax } = await untilUnderWay();
  assert.equal(bandwidthBytesPerSecondMax, MIB);
  const state = join(folder, 'state', 'migrations', migrationId);
  assert.equal(statSync(state).mode & 0o777, 0o700);
  assert.equal(statSync(join(state, 'control.sock')).mode & 0o777, 0o600);
  const short = migrationId.slice(0, 6);
  const [slow] = await ask('set', short, '--downtime-limit', '1ms');
  assert.deepEqual([slow?.downtimeMsMax, slow?.bandwidthBytesPerSecondMax], [1, MIB]);
  const [fast] = await ask('set', short, '--bandwidth', '8MiB/s');
  assert.equal(fast?.bandwidthBytesPerSecondMax, 8 * MIB);
  await untilFasterThan(short, 1.5 * MIB);
  await ask('switch', short);
  const { code, out } = await ended;
  assert.equal(code, 0, out);
  const report = JSON.parse(out) as { decision: { rule: string } };
  assert.equal(report.decision.rule, 'operator');
  assert.equal((await verifyGuest(pair.destination)).badPages, 0);
  assert.equal((await godwit('status', short)).code, 1);
  assert.deepEqual(readdirSync(state), ['journal.jsonl']);
});

test('cancel from another terminal: the source goes on', { skip, timeout: 60_000 }, async () => {
  const ended = startMigration();
  const { migrationId } = await untilUnderWay();
  await ask('cancel', migrationId);
  const { code, out } = await ended;
  const report = JSON.parse(out) as { outcome: string; failure: { code: string } };
  assert.deepEqual([code, report.outcome, report.failure.code], [1, 'aborted', 'CANCELLED']);
  assert.equal((await queryStatus(pair.source.qmp)).running, true);
  assert.equal((await verifyGuest(pair.source)).badPages, 0);
});
