/** `--start`: godwit starts the destination QEMU, here or over ssh; it is gone unless the VM moved there. */

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { MIB, sleep } from '../../src/base/index.ts';
import {
  type LabPair,
  makeRunFolder,
  type Network,
  openNetwork,
  removeRunFolder,
  verifyGuest,
} from '../../src/lab/index.ts';
import { qemuMissing } from '../../src/lab/machine/qemu.testing.ts';
import { openSerialPort, type SerialPort } from '../../src/lab/machine/serial.ts';
import { connectQmp, queryMigrateParameters, queryStatus } from '../../src/qmp/index.ts';
import { openSmallPair } from './small-pair.ts';
import { findSshd, GODWIT, openSshHost, type SshHost } from './ssh-rig.ts';

const skip = qemuMissing() || (findSshd() === null ? 'sshd is not installed (openssh-server)' : false);
const WAIT_MS_MAX = 60_000;
let network: Network;
let ssh: SshHost;
let folder: string;
let pair: LabPair;
/** Where the twin's guest writes. */
let serial: SerialPort;

before(async () => {
  if (skip) return;
  network = await openNetwork({ linkBytesPerSecond: 50e6 });
  folder = makeRunFolder();
  ssh = await openSshHost(network, folder);
});

after(async () => {
  if (skip) return;
  await ssh?.close();
  await network?.close();
  if (folder) removeRunFolder(folder);
});

beforeEach(async () => {
  if (skip) return;
  const guest = { workload: 'uniform', hotBytes: 4 * MIB, rateBytesPerSecond: 4 * MIB, seed: 11 } as const;
  pair = await openSmallPair(network, { guest, disk: 'plain' });
  // godwit starts one of its own.
  await pair.destination.close();
  serial = await openSerialPort(at('twin-serial.sock'));
});

afterEach(async () => {
  if (skip) return;
  for (const twin of twins()) process.kill(twin.pid, 'SIGKILL');
  await pair?.close();
  await serial?.close();
});

const at = (name: string) => join(pair.folder, name);

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>;
}

/** The serial port is a client's socket, of which one host has only one. */
function godwit(destination: string, ...options: string[]): Running {
  const ends = [GODWIT, 'migrate', `qmp:${pair.source.controlPath}`, destination, '--start'];
  const maps = ['--map', `${at('source-serial.sock')}=${at('twin-serial.sock')}`];
  const way = destination.startsWith('ssh:')
    ? ['--rsh', ssh.rsh.join(' '), '--remote-command', ssh.remoteCommand.join(' ')]
    : [];
  const child = spawn(process.execPath, [...ends, ...maps, ...way, ...options], {
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
  return {
    child,
    ended: new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err }))),
  };
}

/** QEMUs whose QMP socket is the twin's. */
function twins(): { readonly pid: number; readonly line: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const line = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const isTwin = line.includes('-incoming defer') && line.includes(at('twin.qmp'));
        return isTwin && /qemu/.test(readlinkSync(`/proc/${name}/exe`)) ? [{ pid: Number(name), line }] : [];
      } catch {
        return [];
      }
    });
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let waitedMs = 0; !(await isSo()); waitedMs += 50) {
    assert.ok(waitedMs < WAIT_MS_MAX, what);
    await sleep(50);
  }
}

async function assertNothingLeft(): Promise<void> {
  await until('the twin is gone', () => twins().length === 0);
  // Whoever ends it removes what it has made after that.
  const files = () => readdirSync(pair.folder).filter((name) => name.startsWith('twin.qmp'));
  await until('nothing that it made is left', () => files().length === 0);
  assert.equal((await queryStatus(pair.source.qmp)).running, true);
}

async function assertMoved(): Promise<void> {
  const [twin] = twins();
  assert.ok(twin, 'the twin outlives godwit');
  const session = execFileSync('ps', ['-o', 'sid=', '-p', String(twin.pid)], { encoding: 'utf8' });
  assert.equal(Number(session), twin.pid, 'it has a session of its own');
  const qmp = await connectQmp({ path: at('twin.qmp') });
  assert.equal((await queryStatus(qmp)).running, true);
  assert.equal((await verifyGuest({ ...pair.source, serial })).badPages, 0);
  assert.equal((await queryStatus(pair.source.qmp)).running, false);
  await qmp.close();
}

test('--dry-run starts it for the look, shows its command line, and leaves nothing', { skip }, async () => {
  const { code, out, err } = await godwit(`qmp:${at('twin.qmp')}`, '--dry-run', '--json').ended;
  const report = JSON.parse(out) as { ready: boolean; start: { command: string[]; makes: string[] } };
  assert.deepEqual([code, report.ready], [0, true], err + out);
  assert.deepEqual(report.start.command.slice(-2), ['-incoming', 'defer']);
  // "pc" as this version of QEMU resolves it.
  assert.match(report.start.command.join(' '), /-machine pc-i440fx-/);
  assert.deepEqual(report.start.makes, [at('twin.qmp'), `${at('twin.qmp')}.source-qmp.sock`]);
  await assertNothingLeft();
});

test('on one host: the VM moves into a QEMU that godwit has started', { skip }, async () => {
  const { code, err, out } = await godwit(`qmp:${at('twin.qmp')}`, '--json').ended;
  assert.equal(code, 0, err + out);
  await assertMoved();
});

test('over ssh: sockets are mapped, and the VM moves', { skip }, async () => {
  const maps = ['--map', `${at('source-qmp.sock')}=${at('twin-own.sock')}`];
  const { code, err, out } = await godwit(`ssh://far${at('twin.qmp')}`, ...maps, '--json').ended;
  assert.equal(code, 0, err + out);
  await assertMoved();
  assert.ok(existsSync(at('twin-own.sock')));
});

test('over ssh, with nothing of godwit there: QEMU speaks TLS itself', { skip }, async () => {
  const maps = ['--map', `${at('source-qmp.sock')}=${at('twin-own.sock')}`];
  const nothing = ['--no-far-gateway', '--remote-command', 'false'];
  const { code, err, out } = await godwit(`ssh://far${at('twin.qmp')}`, ...maps, ...nothing, '--json').ended;
  assert.equal(code, 0, err + out);
  assert.equal((JSON.parse(out) as { arrangement: string }).arrangement, 'single');
  await assertMoved();
  const qmp = await connectQmp({ path: at('twin.qmp') });
  // The key is gone, and the next move is free of it.
  assert.equal((await queryMigrateParameters(qmp)).get('tls-creds'), '');
  await assert.rejects(qmp.execute('qom-get', { path: '/objects/godwit-tls', property: 'type' }));
  await qmp.close();
});

test('over ssh, what would take the place of something else is refused', { skip }, async () => {
  const { code, err } = await godwit(`ssh://far${at('twin.qmp')}`).ended;
  assert.equal(code, 1);
  assert.match(err, /START_FAILED.*source-qmp\.sock is on far already/);
  await assertNothingLeft();
});

test('a QEMU that does not start says why', { skip }, async () => {
  const { code, err } = await godwit(`qmp:${at('twin.qmp')}`, '--map', `${pair.image}=/nowhere.img`).ended;
  assert.equal(code, 1);
  assert.match(err, /START_FAILED.*nowhere\.img.*No such file/s);
  await assertNothingLeft();
});

test('two ends that do not fit: the twin is ended', { skip }, async () => {
  const other = at('other.qcow2');
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', other, '16M']);
  const { code, err } = await godwit(`qmp:${at('twin.qmp')}`, '--map', `${pair.image}=${other}`).ended;
  assert.equal(code, 1);
  assert.match(err, /PREFLIGHT_REFUSED.*DISK_NOT_SHARED/s);
  await assertNothingLeft();
});

const SLOW = ['--strategy', 'precopy', '--downtime-limit', '2ms', '--bandwidth', '1MiB/s'];

test('Ctrl-C while it moves: the twin is ended, the source goes on', { skip }, async () => {
  const { child, ended } = godwit(`qmp:${at('twin.qmp')}`, ...SLOW);
  await until('it moves', isMoving);
  child.kill('SIGINT');
  const { code, err } = await ended;
  assert.equal(code, 130, err);
  await assertNothingLeft();
});

test('godwit killed while it moves: the guardian ends the twin', { skip }, async () => {
  const { child, ended } = godwit(`qmp:${at('twin.qmp')}`, ...SLOW);
  await until('it moves', isMoving);
  child.kill('SIGKILL');
  await ended;
  await assertNothingLeft();
});

test('godwit killed before any journal names the twin: the leash ends it', { skip }, async () => {
  const { child, ended } = godwit(`qmp:${at('twin.qmp')}`, ...SLOW);
  await until('it is started', () => twins().length > 0);
  child.kill('SIGKILL');
  await ended;
  await assertNothingLeft();
});

async function isMoving(): Promise<boolean> {
  const { status } = (await pair.source.qmp.execute('query-migrate')) as { status?: string };
  return status === 'active';
}
