/**
 * The far side by hand, as a user goes it: `godwit receive qmp: --listen` on one host, `godwit migrate qmp: tls://` on the
 * other, with certificates of one authority. Who else gets in: src/controller/receive-listener.test.ts.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MIB, sleep } from '../../src/base/index.ts';
import { journalPathOf, readJournal } from '../../src/controller/index.ts';
import {
  findQemu,
  type LabPair,
  makeRunFolder,
  type Network,
  openNetwork,
  openPair,
  removeRunFolder,
  verifyGuest,
} from '../../src/lab/index.ts';
import { queryStatus } from '../../src/qmp/index.ts';
import { GODWIT } from './ssh-rig.ts';

const CERTIFICATES = fileURLToPath(new URL('../certificates/', import.meta.url));
const skip = whyNot();
let network: Network;
let folder: string;
let pair: LabPair;
const started: Command[] = [];

function whyNot(): string | false {
  try {
    findQemu();
    return false;
  } catch (error) {
    return String(error);
  }
}

before(async () => {
  if (skip) return;
  network = await openNetwork({ linkBytesPerSecond: 50e6 });
  folder = makeRunFolder();
});

beforeEach(async () => {
  if (skip) return;
  pair = await openPair({
    network,
    memoryBytes: 64 * MIB,
    guest: { workload: 'uniform', hotBytes: 8 * MIB, rateBytesPerSecond: 4 * MIB, seed: 7 },
    disk: 'plain',
    cores: null,
  });
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

function start(argv: readonly string[]): Command {
  const child = spawn(argv[0]!, argv.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, GODWIT_STATE_DIR: join(folder, 'state') },
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
async function receive(): Promise<{ far: Command; address: string }> {
  const { listen, connect } = await network.openPort();
  const where = `${listen.host}:${listen.port}`;
  const far = start(
    network.destination.command([
      ...[process.execPath, GODWIT, 'receive', `qmp:${pair.destination.controlPath}`],
      ...['--listen', where, ...certificates('far'), '--json'],
    ]),
  );
  await said(far, /listening on/);
  return { far, address: `${connect.host}:${connect.port}` };
}

async function said(command: Command, what: RegExp): Promise<void> {
  for (let waitedMs = 0; !what.test(command.err() + command.out()); waitedMs += 20) {
    assert.ok(waitedMs < 20_000 && command.child.exitCode === null, command.err() + command.out());
    await sleep(20);
  }
}

function migrate(address: string, ...options: string[]): Command {
  const ends = [`qmp:${pair.source.controlPath}`, `tls://${address}`];
  return start([
    ...[process.execPath, GODWIT, 'migrate', ...ends, '--tls-name', 'far.test', '--json'],
    ...['--timeout', '60s', '--on-timeout', 'switch', ...options],
  ]);
}

test('mutual TLS: strangers are refused and nothing is touched; the VM then moves whole', {
  skip,
}, async (context) => {
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
});

test('a controller that is killed: the guardian reaches the far QEMU through the same listener', {
  skip,
}, async () => {
  const { far, address } = await receive();
  // So slow that it is under way when it is killed.
  const near = migrate(address, ...certificates('near'), '--bandwidth', '2MB');
  await said(far, /a migration begins/);
  await said(near, /\n *1 /);
  near.child.kill('SIGKILL');
  // `quit` came over the listener, and then the word that it is over.
  assert.equal(await far.exited, 1, far.err());
  assert.equal(JSON.parse(far.out()).outcome, 'aborted');
  const [status] = await statuses();
  assert.deepEqual(status, { outcome: 'aborted', running: true });
  assert.equal((await verifyGuest(pair.source)).badPages, 0);
});

async function statuses() {
  const state = join(folder, 'state');
  const journals = readdirSync(join(state, 'migrations')).map((id) => readJournal(journalPathOf(state, id)));
  const aborted = journals.filter(({ end }) => end?.outcome === 'aborted');
  const { running } = await queryStatus(pair.source.qmp);
  return aborted.map(({ end }) => ({ outcome: end?.outcome, running }));
}
