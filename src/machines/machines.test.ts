/** The contract of a machine, kept by the fake, and by QMP to a server that plays a QEMU. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type FakeHandler, FakeQmpServer, fakeError, fakeReturn } from '../qmp/fake.testing.ts';
import { connectQmp, processIdentity } from '../qmp/index.ts';
import type { JsonObject } from '../qmp/lines.ts';
import { type InitialState, type MachineRig, testMachineContract } from './contract.testing.ts';
import { FakeMachine, type FakeQemu, fakeQemu } from './fake.testing.ts';
import { QmpMachine } from './qmp-machine.ts';

const MIGRATION = 'm';

/** What only the value knows; the rest is how one reaches it. */
function around(qemu: FakeQemu): Omit<MachineRig, 'machine' | 'freeze' | 'kill' | 'replace'> {
  return {
    migrationId: MIGRATION,
    runState: async () => qemu.runState,
    refuseStart: async () => {
      qemu.onCont = 'refused';
    },
    migrateForever: async () => {
      qemu.migration = 'active';
    },
    downtimeLimitMs: async () => qemu.downtimeLimitMs,
    setDowntimeLimitMs: async (ms) => {
      qemu.downtimeLimitMs = ms;
    },
    claim: async (migrationId) => {
      qemu.claim = migrationId;
    },
    claimedBy: async () => qemu.claim,
  };
}

async function fakeRig(_t: TestContext, initial: InitialState): Promise<MachineRig> {
  const qemu = fakeQemu(initial, { migration: 'none' });
  const kill = async () => {
    qemu.runState = null;
  };
  return {
    ...around(qemu),
    machine: new FakeMachine(qemu, MIGRATION),
    freeze() {
      qemu.answers = false;
      return () => {
        qemu.answers = true;
      };
    },
    kill,
    async replace() {
      await kill();
      const other = fakeQemu('running');
      return async () => other.runState;
    },
  };
}

/** Plays `qemu` at `path`; `thawed` resolves when it may answer. `quits`: its process ends. */
function serve(
  path: string,
  qemu: FakeQemu,
  thawed: () => Promise<void>,
  quits: () => Promise<void> = async () => undefined,
): Promise<FakeQmpServer> {
  const machine = new FakeMachine(qemu);
  const answers: Record<string, FakeHandler> = {
    'query-status': () => fakeReturn({ status: qemu.runState, running: qemu.runState === 'running' }),
    'query-cpus-fast': () => fakeReturn([]),
    cont: () => machine.start().then(() => fakeReturn(), refusalOf),
    stop: () => machine.stop().then(() => fakeReturn()),
    quit: async (_args, server) => {
      await machine.end();
      setTimeout(() => void server.close().then(quits));
      return fakeReturn();
    },
    'query-migrate': () => fakeReturn(qemu.migration === 'none' ? {} : { status: qemu.migration }),
    migrate_cancel: () => machine.cancelMigration().then(() => fakeReturn()),
    'migrate-set-parameters': async (args) => {
      qemu.downtimeLimitMs = Number(args['downtime-limit']);
      return fakeReturn();
    },
    'qom-get': () =>
      qemu.claim === null ? fakeError('there is no such object') : fakeReturn(claimText(qemu.claim)),
    'object-del': async () => {
      qemu.claim = null;
      return fakeReturn();
    },
  };
  const handlers = Object.entries(answers).map(([name, handler]): [string, FakeHandler] => [
    name,
    async (args: JsonObject, server: FakeQmpServer) => {
      await thawed();
      return handler(args, server);
    },
  ]);
  return FakeQmpServer.listen({ path, handlers: Object.fromEntries(handlers) });
}

function claimText(migrationId: string): string {
  return JSON.stringify({ migrationId, holder: 'a test', journal: '/nowhere' });
}

function refusalOf(error: unknown) {
  return fakeError(String(error));
}

/** Stands for the process of a QEMU that a server plays. */
async function standIn(): Promise<{ identity: string; end: () => Promise<void> }> {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const ended = once(child, 'exit');
  const end = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return { identity: (await processIdentity(child.pid!))!, end };
}

async function qmpRig(t: TestContext, initial: InitialState, isSeen = true): Promise<MachineRig> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-machines-'));
  const path = join(folder, 'qmp.sock');
  const qemu = fakeQemu(initial, { migration: 'none', claim: MIGRATION });
  let thawed = Promise.resolve();
  const owner = await standIn();
  const servers = [await serve(path, qemu, () => thawed, owner.end)];
  const endpoint = {
    qmpPath: path,
    identity: isSeen ? owner.identity : null,
    claim: MIGRATION,
    reach: null,
  };
  const machine = new QmpMachine(endpoint);
  const kill = async () => {
    qemu.runState = null;
    await servers[0]!.close();
    await owner.end();
  };
  t.after(async () => {
    await machine.close();
    await owner.end();
    for (const server of servers) await server.close().catch(() => undefined);
    rmSync(folder, { recursive: true });
  });
  return {
    ...around(qemu),
    machine,
    freeze() {
      const { promise, resolve } = Promise.withResolvers<void>();
      thawed = promise;
      return resolve;
    },
    kill,
    async replace() {
      await kill();
      const other = fakeQemu('running');
      servers.push(await serve(path, other, async () => undefined));
      assert.equal(other.claim, null);
      return async () => other.runState;
    },
  };
}

test('a QEMU whose process nobody sees is gone only once it has answered quit', async (t) => {
  const killed = await qmpRig(t, 'paused', false);
  assert.equal((await killed.machine.status(60_000)).state, 'answers');
  await killed.kill();
  assert.equal((await killed.machine.status(250)).state, 'silent');
  assert.equal(await killed.machine.end(250), 'silent');
  const ended = await qmpRig(t, 'paused', false);
  assert.equal(await ended.machine.end(60_000), 'gone');
  assert.equal((await ended.machine.status(250)).state, 'gone');
});

/** Forwards a socket as ssh does, and says of a far one that takes nobody what ssh says. */
const FORWARDS = `#!${process.execPath}
const net = require('node:net');
const [here, there] = process.argv.find((_, at, all) => all[at - 1] === '-L').split(':');
net.createServer((near) => {
  const far = net.connect(there, () => near.pipe(far).pipe(near));
  far.on('error', () => {
    process.stderr.write('channel 2: open failed: connect failed\\n');
    near.destroy();
  });
  near.on('error', () => far.destroy());
}).listen(here);
process.stdin.resume().on('end', () => process.exit());
`;

test('a far QEMU that answered quit over another connection is gone once its socket takes nobody', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-machines-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const ssh = join(folder, 'ssh');
  writeFileSync(ssh, FORWARDS, { mode: 0o755 });
  const path = join(folder, 'qmp.sock');
  const reach = { command: [ssh], host: 'far', linkTimeoutMs: 1000, listener: null };
  for (const how of ['quit', 'killed'] as const) {
    const qemu = fakeQemu('paused', { claim: MIGRATION });
    const server = await serve(path, qemu, async () => undefined);
    const machine = new QmpMachine(
      { qmpPath: path, identity: null, claim: MIGRATION, reach },
      await connectQmp({ path }),
    );
    if (how === 'killed') await server.close();
    assert.equal(await machine.end(how === 'quit' ? 60_000 : 2_000), how === 'quit' ? 'gone' : 'silent');
    await machine.close();
    rmSync(path, { force: true });
  }
});

test('a far end whose host cannot be reached, or says nothing of its process, is silent', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-machines-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, script] of [
    ['refuses', 'exit 255'],
    ['hangs', 'exec sleep 100'],
    // It runs what it is asked, but forwards nothing.
    ['runs', 'for word; do last=$word; done; test "$last" != cat && exec sh -c "$last"'],
  ] as const) {
    const ssh = join(folder, name);
    writeFileSync(ssh, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const reach = { command: [ssh], host: 'far', linkTimeoutMs: 1000, listener: null };
    const identity = `${process.pid}@1@00000000-0000-4000-8000-000000000000`;
    const machine = new QmpMachine({ qmpPath: '/nowhere', identity: null, claim: 'm', reach });
    assert.equal((await machine.status(250.5)).state, 'silent', name);
    assert.equal(await machine.end(250.5), 'silent', name);
    await machine.close();
    const known = new QmpMachine({ qmpPath: '/nowhere', identity, claim: 'm', reach });
    const { state } = await known.status(name === 'runs' ? 60_000.5 : 1000.5);
    // Its own system says that no such process is there: that is proof.
    assert.equal(state, name === 'runs' ? 'gone' : 'silent', name);
    await known.close();
  }
});

testMachineContract('fake', { skip: false, makeRig: fakeRig });
testMachineContract('qmp', { skip: false, makeRig: qmpRig });
