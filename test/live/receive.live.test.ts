/**
 * The far side by hand, as a user goes it: `godwit receive qmp: --listen` on one host, `godwit migrate qmp:
 * tls://` on the other, with certificates of one authority. Who else gets in: src/receive/listener.test.ts.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sleep } from '../../src/base/index.ts';
import { FAR_DEFAULTS, type FarOptions, type MigrateStep } from '../../src/controller/index.ts';
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
import { listJournals } from '../../src/recovery/index.ts';
import type { ChildOptions } from './handover-child.ts';
import { openSmallPair } from './small-pair.ts';
import { GODWIT } from './ssh-rig.ts';

const CERTIFICATES = fileURLToPath(new URL('../certificates/', import.meta.url));
const skip = qemuMissing();
/** A far side that is not told of the end waits for an hour. */
const TIMEOUT_MS = 120_000;
const live = { skip, timeout: TIMEOUT_MS };
let network: Network;
let folder: string;
let pair: LabPair;
const started: Command[] = [];

before(async () => {
  if (skip) return;
  network = await openNetwork({ linkBytesPerSecond: 50e6 });
  folder = makeRunFolder();
});

beforeEach(async () => {
  if (skip) return;
  pair = await openSmallPair(network, { disk: 'plain' });
});

afterEach(async () => {
  for (const { child } of started.splice(0)) child.kill('SIGKILL');
  await pair?.close();
});

after(async () => {
  await network?.close();
  if (folder) removeRunFolder(folder);
});

interface Command {
  readonly child: ChildProcess;
  out(): string;
  err(): string;
  readonly exited: Promise<number | null>;
}

const state = () => join(folder, 'state');

function start(argv: readonly string[]): Command {
  const child = spawn(argv[0]!, argv.slice(1), {
    // Standard input stays open: handover-child stands still by reading it.
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, GODWIT_STATE_DIR: state() },
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => {
    out += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    err += String(chunk);
  });
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const command = { child, out: () => out, err: () => err, exited };
  started.push(command);
  return command;
}

function certificates(name: string, authority = 'ours'): string[] {
  const at = (file: string) => join(CERTIFICATES, file);
  return [
    '--tls-cert',
    at(`${name}.pem`),
    '--tls-key',
    at(`${name}.key`),
    '--tls-ca',
    at(`${authority}.pem`),
  ];
}

/** On the destination host; `address` is where the source host reaches it. */
async function receive(
  how = certificates('far'),
): Promise<{ far: Command; listen: string; address: string }> {
  const { listen, connect } = await network.openPort();
  const where = `${listen.host}:${listen.port}`;
  return { far: await receiveAt(where, how), listen: where, address: `${connect.host}:${connect.port}` };
}

async function receiveAt(where: string, how = certificates('far')): Promise<Command> {
  const far = start(
    network.destination.command([
      ...[process.execPath, GODWIT, 'receive', `qmp:${pair.destination.controlPath}`],
      ...['--listen', where, ...how, '--json'],
    ]),
  );
  await said(far, /listening on/);
  return far;
}

async function said(command: Command, what: RegExp): Promise<void> {
  for (let waitedMs = 0; !what.test(command.err() + command.out()); waitedMs += 20) {
    assert.ok(waitedMs < 20_000 && command.child.exitCode === null, command.err() + command.out());
    await sleep(20);
  }
}

function migrate(address: string, ...options: string[]): Command {
  return migrateTo(`tls://${address}`, '--tls-name', 'far.test', ...options);
}

function migrateTo(destination: string, ...options: string[]): Command {
  return start([
    ...[process.execPath, GODWIT, 'migrate', `qmp:${pair.source.controlPath}`, destination, '--json'],
    ...['--timeout', '60s', '--on-timeout', 'switch', ...options],
  ]);
}

test(
  'mutual TLS: strangers are refused and nothing is touched; the VM then moves whole',
  live,
  async (context) => {
    if (network.note !== null) context.diagnostic(network.note);
    const { far, address } = await receive();
    const capabilities = () => pair.source.qmp.execute('query-migrate-capabilities');
    const before = await capabilities();
    for (const [name, authority] of [
      ['stranger', 'ours'],
      ['near', 'theirs'],
    ] as const) {
      const refused = migrate(address, ...certificates(name, authority));
      assert.equal(await refused.exited, 1);
      assert.equal(JSON.parse(refused.out()).error.code, 'LINK_TLS', refused.out());
      assert.equal((await queryStatus(pair.source.qmp)).running, true);
      assert.deepEqual(await capabilities(), before);
      assert.equal((await queryStatus(pair.destination.qmp)).status, 'inmigrate');
    }
    const moved = migrate(address, ...certificates('near'));
    assert.equal(await moved.exited, 0, moved.err() + moved.out());
    const report = JSON.parse(moved.out());
    assert.deepEqual([report.arrangement, report.success], ['paired', true]);
    assert.deepEqual([report.link.connections, report.link.resentBytes], [2, 0]);
    assert.equal(await far.exited, 0, far.err());
    const { schema, success, outcome, pages } = JSON.parse(far.out());
    assert.deepEqual([schema, success, outcome], ['godwit.receive/1', true, 'completed']);
    assert.ok(pages > 0);
    assert.equal((await queryStatus(pair.source.qmp)).running, false);
    assert.equal((await queryStatus(pair.destination.qmp)).running, true);
    assert.equal((await verifyGuest(pair.destination)).badPages, 0);
  },
);

test('in clear, where both ends were told so', live, async () => {
  const { far, address } = await receive(['--insecure']);
  assert.match(far.err(), /whoever reaches this port controls the QEMU/);
  const moved = migrateTo(`tcp://${address}`, '--insecure');
  assert.equal(await moved.exited, 0, moved.err() + moved.out());
  assert.match(moved.err(), /crosses the network .* in clear/);
  assert.equal(await far.exited, 0, far.err());
  assert.equal((await verifyGuest(pair.destination)).badPages, 0);
});

test('a far side that is killed on the way: the source goes on', live, async () => {
  const { far, address } = await receive();
  const near = migrate(address, ...certificates('near'), '--bandwidth', '2MB');
  await said(near, /\n *1 /);
  far.child.kill('SIGKILL');
  assert.equal(await near.exited, 1, near.err());
  const { outcome, failure } = JSON.parse(near.out());
  assert.deepEqual([outcome, failure.code], ['aborted', 'REACH_FAILED'], near.out());
  assert.equal((await queryStatus(pair.source.qmp)).running, true);
  assert.equal((await verifyGuest(pair.source)).badPages, 0);
});

/** A migration in a process that stands still at `step`. */
async function migrateUntil(step: MigrateStep, address: string): Promise<Command> {
  const [host = '', port] = address.split(':');
  const at = (file: string) => join(CERTIFICATES, file);
  const tls = { certPath: at('near.pem'), keyPath: at('near.key'), caPath: at('ours.pem') };
  const listener = { host, port: Number(port), session: randomBytes(16).toString('hex') };
  const reach = { command: [], host, listener: { ...listener, tls: { ...tls, serverName: 'far.test' } } };
  const options: ChildOptions & { far: FarOptions } = {
    strike: { at: step, afterMs: 0 },
    sourceQmpPath: pair.source.controlPath,
    destinationQmpPath: `tls://${address}`,
    stateDirectory: state(),
    sourceAfter: 'keep',
    ackGate: 'auto',
    downtimeMsMax: 300,
    force: [],
    far: { ...FAR_DEFAULTS, reach, dataAddress: null, workers: 0, linkTimeoutMs: 2000 },
  };
  const child = fileURLToPath(new URL('handover-child.ts', import.meta.url));
  const near = start([process.execPath, '--no-warnings', child, JSON.stringify(options)]);
  await said(near, /^here$/m);
  return near;
}

/** Journal of the migration that was begun last, when its end is written there. */
async function endOf(): Promise<{ id: string; outcome: string; text: string }> {
  for (let waitedMs = 0; ; waitedMs += 50) {
    const journal = listJournals(state()).at(-1);
    const end = journal?.state?.end;
    if (end) return { ...end, id: journal!.migrationId };
    assert.ok(waitedMs < 60_000, 'the guardian ended it');
    await sleep(50);
  }
}

async function runStates(): Promise<{ source: boolean; destination: boolean }> {
  const running = async (vm: LabPair['source']) => (await queryStatus(vm.qmp)).running;
  return { source: await running(pair.source), destination: await running(pair.destination) };
}

test('a controller killed before COMMIT: the guardian undoes it through the listener', live, async () => {
  const { far, address } = await receive();
  const near = await migrateUntil('layout', address);
  near.child.kill('SIGKILL');
  // `quit` came over the listener, and then the word that it is over.
  assert.equal(await far.exited, 1, far.err());
  assert.equal(JSON.parse(far.out()).outcome, 'aborted');
  assert.equal((await endOf()).outcome, 'aborted');
  assert.equal((await queryStatus(pair.source.qmp)).running, true);
  assert.equal((await verifyGuest(pair.source)).badPages, 0);
});

test('a controller killed after COMMIT: the guardian starts the VM through the listener', live, async () => {
  const { far, address } = await receive();
  const near = await migrateUntil('commit', address);
  near.child.kill('SIGKILL');
  assert.equal(await far.exited, 0, far.err());
  assert.equal((await endOf()).outcome, 'completed');
  assert.deepEqual(await runStates(), { source: false, destination: true });
  assert.equal((await verifyGuest(pair.destination)).badPages, 0);
});

test(
  'both killed with everything loaded: in doubt, until receive is started again and asked by resolve',
  live,
  async () => {
    const { far, listen, address } = await receive();
    const near = await migrateUntil('prepared', address);
    far.child.kill('SIGKILL');
    near.child.kill('SIGKILL');
    const { id, outcome } = await endOf();
    assert.equal(outcome, 'in-doubt');
    assert.deepEqual(await runStates(), { source: false, destination: false });
    const again = await receiveAt(listen);
    const resolve = start([process.execPath, GODWIT, 'resolve', id, '--json']);
    assert.equal(await resolve.exited, 0, resolve.err() + resolve.out());
    assert.equal(JSON.parse(resolve.out()).outcome, 'aborted');
    assert.equal(await again.exited, 1, again.err());
    assert.equal((await queryStatus(pair.source.qmp)).running, true);
    assert.equal((await verifyGuest(pair.source)).badPages, 0);
  },
);
