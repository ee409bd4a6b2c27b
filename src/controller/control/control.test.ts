/**
 * Control from another terminal, over a real socket: who may ask, what is answered, and
 * what hostile lines do.
 */

import assert from 'node:assert/strict';
import { linkSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { strategyByName } from '../../strategy/index.ts';
import type { ProgressView } from '../drive.ts';
import type { MigrateOptions } from '../options.ts';
import { qemuTexts, Steering } from '../steering.ts';
import { askMigration, findMigration, statusOfAll } from './client.ts';
import { type ControlServer, Door, openControl } from './server.ts';

const ID = 'aaaa-1';
let state: string;
const asked: unknown[] = [];

function steering(): Steering {
  const options = {
    sourceQmpPath: '/run/a',
    destinationQmpPath: '/run/b',
    far: null,
    strategy: strategyByName('mp'),
    limits: { downtimeMsMax: 300, timeoutMs: null, onTimeout: 'switch' },
    bandwidthBytesPerSecondMax: null,
  } satisfies Partial<MigrateOptions> as unknown as MigrateOptions;
  return new Steering(ID, { ...options, ...qemuTexts(options) });
}

function attach(steered: Steering): void {
  steered.attach(
    {
      switchNow: () => void asked.push('switch'),
      setLimits: (limits) => void asked.push(limits),
    },
    { setBandwidthMax: (bytesPerSecond) => void asked.push(bytesPerSecond) },
  );
}

function folderOf(id: string): string {
  const folder = path.join(state, 'migrations', id);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

async function open(steered: Steering, id = ID): Promise<ControlServer> {
  asked.length = 0;
  return openControl(folderOf(id), steered);
}

before(() => {
  // Longer than a unix socket's path may be.
  state = mkdtempSync(path.join(tmpdir(), `godwit-${'x'.repeat(90)}-`));
});

after(() => rmSync(state, { recursive: true, force: true }));

test('status, set, switch and cancel reach the migration; the socket is its owner’s', async () => {
  const steered = steering();
  attach(steered);
  const server = await open(steered);
  const mode = statSync(path.join(folderOf(ID), 'control.sock')).mode;
  assert.equal(mode & 0o777, 0o600);
  const { statuses, errors } = await statusOfAll(state);
  assert.deepEqual([statuses.length, errors.length, statuses[0]?.phase], [1, 0, 'preparing']);
  assert.equal(statuses[0]?.linkBytesPerSecond, null);
  const after = await askMigration(state, findMigration(state, 'aaa'), {
    do: 'set',
    bandwidthBytesPerSecondMax: 1000,
    downtimeMsMax: 50,
  });
  assert.deepEqual([after.bandwidthBytesPerSecondMax, after.downtimeMsMax], [1000, 50]);
  assert.deepEqual(asked, [1000, { downtimeMsMax: 50, timeoutMs: null, onTimeout: 'switch' }]);
  const limits = { downtimeMsMax: 50, timeoutMs: null, onTimeout: 'switch' };
  await askMigration(state, ID, { do: 'set', downtimeMsBound: 2000 });
  assert.deepEqual(asked.at(-1), { ...limits, downtimeMsBound: 2000 });
  await askMigration(state, ID, { do: 'set', downtimeMsBound: null });
  assert.deepEqual(asked.at(-1), limits);
  await askMigration(state, ID, { do: 'switch' });
  assert.equal(asked.at(-1), 'switch');
  assert.equal(steered.cancelled.aborted, false);
  await askMigration(state, ID, { do: 'cancel' });
  assert.equal(steered.cancelled.aborted, true);
  server.close();
  await assert.rejects(askMigration(state, ID, { do: 'status' }), { code: 'MIGRATION_NOT_RUNNING' });
  assert.deepEqual((await statusOfAll(state)).statuses, []);
});

test('too early and too late are refused, and nothing is done', async () => {
  const steered = steering();
  const server = await open(steered);
  await assert.rejects(askMigration(state, ID, { do: 'switch' }), { code: 'CONTROL_TOO_EARLY' });
  attach(steered);
  steered.see({
    phase: 'stop-and-copy',
    iterations: [],
    nowMs: 1,
    snapshot: { backlog: {} },
  } as unknown as ProgressView);
  await assert.rejects(askMigration(state, ID, { do: 'switch' }), { code: 'CONTROL_TOO_LATE' });
  await assert.rejects(askMigration(state, ID, { do: 'set', downtimeMsMax: 5 }), {
    code: 'CONTROL_TOO_LATE',
  });
  steered.step('commit');
  await assert.rejects(askMigration(state, ID, { do: 'cancel' }), { code: 'CONTROL_TOO_LATE' });
  assert.deepEqual([asked, steered.cancelled.aborted], [[], false]);
  assert.equal((await askMigration(state, ID, { do: 'status' })).phase, 'committed');
  server.close();
});

test('ids: a beginning that fits two is refused, so is one that fits none', async () => {
  const servers = [await open(steering()), await open(steering(), 'aaaa-2')];
  assert.throws(() => findMigration(state, 'aaaa'), { code: 'MIGRATION_AMBIGUOUS' });
  assert.equal(findMigration(state, 'aaaa-2'), 'aaaa-2');
  for (const name of ['b', '', '../migrations/aaaa-2']) {
    assert.throws(() => findMigration(state, name), { code: 'MIGRATION_NOT_RUNNING' });
  }
  for (const server of servers) server.close();
});

async function say(bytes: string | Uint8Array): Promise<string> {
  const door = new Door(folderOf(ID));
  const socket = net.connect(door.path);
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  socket.on('error', () => undefined);
  socket.end(bytes);
  await new Promise((resolve) => socket.once('close', resolve));
  door.leave();
  return text;
}

test('hostile lines are answered or dropped, and the socket goes on', async () => {
  const steered = steering();
  attach(steered);
  const server = await open(steered);
  const lines = [
    'nonsense\n',
    '{}\n',
    '{"do":"switch","extra":1}\n',
    '{"do":"set","downtimeMsMax":-1}\n',
    '{"do":"set","downtimeMsMax":1e99}\n',
    '{"do":"set","bandwidthBytesPerSecondMax":0}\n',
    '{"do":"__proto__"}\n',
    `${'['.repeat(4000)}\n`,
    `${' '.repeat(5000)}\n`,
    'x'.repeat(100_000),
    new Uint8Array(5000).fill(0xff),
  ];
  for (const line of lines) {
    const text = await say(line);
    assert.match(text, /^\{"ok":false,"code":"CONTROL_REQUEST"/, String(line).slice(0, 40));
  }
  assert.deepEqual(asked, []);
  const two = await say('{"do":"status"}\n{"do":"switch"}\n');
  assert.equal(two.trim().split('\n').length, 2);
  assert.deepEqual(asked, ['switch']);
  server.close();
});

test('an answer whose code is no code is not believed', async () => {
  const folder = folderOf('false');
  const door = new Door(folder);
  let answer = '';
  const server = net.createServer((socket) => socket.once('data', () => socket.end(`${answer}\n`)));
  await new Promise<void>((resolve) => server.listen(door.path, resolve));
  for (const code of ['', '\u001b[2J', 'a b', 'X'.repeat(65)]) {
    answer = JSON.stringify({ ok: false, code, text: 'no' });
    await assert.rejects(askMigration(state, 'false', { do: 'status' }), { code: 'CONTROL_FAILED' });
  }
  await new Promise((resolve) => server.close(resolve));
  door.leave();
});

test('a socket that a killed migration left behind is not running', async () => {
  const folder = folderOf('dead');
  const door = new Door(folder);
  const server = net.createServer().listen(door.path);
  await new Promise((resolve) => server.once('listening', resolve));
  // A second name of the socket stays when the first goes with its server, as after a kill.
  linkSync(door.path, path.join(folder, 'kept'));
  await new Promise((resolve) => server.close(resolve));
  linkSync(path.join(folder, 'kept'), path.join(folder, 'control.sock'));
  door.leave();
  await assert.rejects(askMigration(state, 'dead', { do: 'status' }), { code: 'MIGRATION_NOT_RUNNING' });
  assert.deepEqual(await statusOfAll(state), { statuses: [], errors: [] });
});
