/** Against real libvirt daemons and QEMUs; skipped, with the reason, where libvirt is not installed. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sleep, systemClock } from '../../src/base/index.ts';
import { SingleOutput, SourceGateway } from '../../src/gateway/index.ts';
import {
  GUEST_BINARY_PATH,
  GUEST_DEFAULTS,
  guestCommandLine,
  isSound,
  parseGuestLine,
} from '../../src/lab/index.ts';
import { openSerialPort, type SerialPort } from '../../src/lab/machine/serial.ts';
import {
  connectGetCapabilities,
  connectGetHostname,
  connectGetLibVersion,
  connectListAllDomains,
  type DomainRef,
  domainAbortJob,
  domainCreate,
  domainCreateXml,
  domainDefineXml,
  domainDestroy,
  domainGetInfo,
  domainGetJobInfo,
  domainGetJobStats,
  domainGetXmlDesc,
  domainIsPersistent,
  domainLookupById,
  domainLookupByName,
  domainUndefine,
  FAULT,
  faultCode,
  iterationEvent,
  JOB_TYPES,
  jobCompletedEvent,
  LIFECYCLE_EVENTS,
  LIST,
  type LibvirtClient,
  LibvirtMigration,
  lifecycleEvent,
  lookAtDomain,
  MIGRATE,
  migrateSetMaxDowntime,
  migrateSetMaxSpeed,
  subscribe,
  XML,
} from '../../src/libvirt/index.ts';
import { domainXml, type LibvirtHost, libvirtMissing, startLibvirtHost } from './libvirt-rig.ts';

const skip = libvirtMissing();
const MEMORY_MIB = 64;
/** A daemon that hangs is to be told, not waited for. */
const SOON = { timeoutMs: 20_000 };

interface Rig {
  readonly folder: string;
  readonly hosts: readonly [LibvirtHost, LibvirtHost];
  readonly clients: readonly [LibvirtClient, LibvirtClient];
  readonly serials: readonly [SerialPort, SerialPort];
  readonly xml: string;
  readonly uuid: string;
}

async function openRig(t: TestContext, guest: Partial<typeof GUEST_DEFAULTS> = {}): Promise<Rig> {
  const folder = mkdtempSync(path.join(tmpdir(), 'gw-lv-'));
  const hosts: LibvirtHost[] = [];
  const serials: SerialPort[] = [];
  const clients: LibvirtClient[] = [];
  t.after(async () => {
    for (const client of clients) await client.close();
    for (const host of hosts) await host.close();
    for (const serial of serials) await serial.close();
    rmSync(folder, { recursive: true, force: true });
  });
  for (const name of ['a', 'b']) {
    mkdirSync(path.join(folder, name));
    const host = await startLibvirtHost(path.join(folder, name));
    hosts.push(host);
    const serial = await openSerialPort(path.join(host.runFolder, 'serial.sock'));
    serials.push(serial);
    clients.push(await host.connect());
  }
  const uuid = randomUUID();
  const xml = domainXml({
    name: 'guest',
    uuid,
    memoryMib: MEMORY_MIB,
    kernel: GUEST_BINARY_PATH,
    commandLine: guestCommandLine({ ...GUEST_DEFAULTS, ...guest }),
  });
  return {
    folder,
    hosts: [hosts[0]!, hosts[1]!],
    clients: [clients[0]!, clients[1]!],
    serials: [serials[0]!, serials[1]!],
    xml,
    uuid,
  };
}

async function startGuest({ clients, serials, xml }: Rig): Promise<DomainRef> {
  const { domain } = await clients[0].call(domainCreateXml, { xml, flags: 0 });
  await serials[0].waitFor((text) => text.includes('H '), { timeoutMs: 20_000, what: 'heartbeats' });
  return domain;
}

const stateOf = async (client: LibvirtClient, uuid: string) =>
  (await lookAtDomain(client, uuid))?.state ?? null;

test('every call of a quiet domain is answered by a real daemon', { skip, timeout: 120_000 }, async (t) => {
  const rig = await openRig(t);
  const [client] = rig.clients;
  const { version } = await client.call(connectGetLibVersion, {});
  t.diagnostic(`libvirt ${version}`);
  assert.ok(version >= 6_000_000n);
  assert.notEqual((await client.call(connectGetHostname, {})).hostname, '');
  assert.match((await client.call(connectGetCapabilities, {})).capabilities, /^<capabilities>/);

  const heard: string[] = [];
  const { end } = await subscribe(client, lifecycleEvent, null, ({ event }) =>
    heard.push(LIFECYCLE_EVENTS[event]!),
  );
  const { domain: defined } = await client.call(domainDefineXml, { xml: rig.xml });
  assert.deepEqual(defined, { name: 'guest', uuid: rig.uuid, id: -1 });
  assert.equal((await stateOf(client, rig.uuid))?.state, 'shut off');
  await client.call(domainCreate, { domain: defined });
  const { domain } = await client.call(domainLookupByName, { name: 'guest' });
  assert.ok(domain.id > 0);
  assert.deepEqual(await client.call(domainLookupById, { id: domain.id }), { domain });
  assert.deepEqual(await stateOf(client, rig.uuid), { state: 'running', reason: 'booted' });
  assert.deepEqual(await client.call(domainIsPersistent, { domain }), { persistent: 1 });
  const info = await client.call(domainGetInfo, { domain });
  assert.deepEqual([info.state, info.maxMemory, info.vcpuCount], [1, BigInt(MEMORY_MIB * 1024), 1]);
  const all = await client.call(connectListAllDomains, {
    needResults: 1,
    flags: LIST.ACTIVE | LIST.PERSISTENT,
  });
  assert.deepEqual(all, { domains: [domain], count: 1 });
  assert.match(
    (await client.call(domainGetXmlDesc, { domain, flags: XML.MIGRATABLE })).xml,
    /<name>guest<\/name>/,
  );
  const job = await client.call(domainGetJobInfo, { domain });
  assert.equal(JOB_TYPES[job.type], 'none');
  assert.equal((await client.call(domainGetJobStats, { domain, flags: 0 })).type, 0);
  await client.call(migrateSetMaxSpeed, { domain, mebibytesPerSecond: 100n, flags: 0 });
  const noJob = await client.call(domainAbortJob, { domain }).catch(faultCode);
  assert.equal(noJob, FAULT.OPERATION_INVALID);
  // Before a migration libvirt 11 takes it, older ones refuse it.
  const early = await client
    .call(migrateSetMaxDowntime, { domain, downtimeMs: 300n, flags: 0 })
    .then(() => null, faultCode);
  assert.ok(early === null || early === FAULT.OPERATION_INVALID);
  await client.call(domainDestroy, { domain });
  await client.call(domainUndefine, { domain });
  assert.equal(await stateOf(client, rig.uuid), null);
  await end();
  // Newer ones say "shutdown" and "resumed" too.
  const order = ['defined', 'started', 'stopped', 'undefined'];
  assert.deepEqual(
    heard.filter((word) => order.includes(word)),
    order,
  );
});

/**
 * Both halves of the move up to the moment before Finish: the source stopped, the destination loaded and not
 * started.
 */
async function moveUpToFinish(
  t: TestContext,
  rig: Rig,
  domain: DomainRef,
  flags: number,
): Promise<LibvirtMigration> {
  const migration = new LibvirtMigration(rig.clients[0], rig.clients[1], { domain, flags });
  await migration.begin(SOON);
  const incoming = path.join(rig.folder, 'incoming.sock');
  const outgoing = path.join(rig.folder, 'outgoing.sock');
  await migration.prepare(`unix://${incoming}`, SOON);
  assert.equal((await stateOf(rig.clients[1], rig.uuid))?.state, 'paused');

  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined);
  const layout = Promise.withResolvers<void>();
  const output = new SingleOutput(
    { address: `unix:${incoming}`, clock: systemClock, prepareTimeoutMs: 30_000, keepsReferences: true },
    {
      onRoom: () => gateway.pump(),
      onReturnPath: (message, raw) => gateway.onReturnPath(message, raw),
      onError: failed.reject,
    },
  );
  const gateway: SourceGateway = new SourceGateway(
    output,
    {
      listenPath: outgoing,
      admitQemu: () => undefined,
      capabilities: new Set(['return-path', 'switchover-ack', 'pause-before-switchover', 'events']),
      clock: systemClock,
      memoryBytesMax: 256 * 1024 * 1024,
      absorb: true,
      deltas: false,
      record: null,
      ackGate: true,
      bandwidthBytesPerSecondMax: null,
    },
    { onLayout: () => layout.resolve(), onError: failed.reject },
  );
  t.after(() => gateway.close());
  await output.connect(AbortSignal.timeout(10_000));
  await gateway.listen();
  const iterations = await subscribe(rig.clients[0], iterationEvent, domain, ({ iteration }) =>
    gateway.notePass(iteration),
  );
  const performed = migration.perform(`unix://${outgoing}`);
  performed.catch(failed.reject);
  const race = <T>(step: Promise<T>) => Promise.race([step, failed.promise]);
  await race(layout.promise);
  const job = await rig.clients[0].call(domainGetJobInfo, { domain });
  assert.equal(JOB_TYPES[job.type], 'unbounded');
  const deadlineMs = systemClock.nowMs() + 30_000;
  // Its second sync ends QEMU's first pass; libvirt may tell of later ones late.
  while (gateway.passes < 2) {
    assert.ok(systemClock.nowMs() < deadlineMs, `libvirt told of ${gateway.passes} passes`);
    await race(sleep(20));
  }
  gateway.hurryPasses(true);
  gateway.enterStopAndCopy();
  await race(gateway.drained());
  await race(gateway.complete());
  assert.equal((await stateOf(rig.clients[0], rig.uuid))?.state, 'paused');
  assert.equal((await stateOf(rig.clients[1], rig.uuid))?.state, 'paused');
  gateway.releaseSource();
  await race(performed);
  await iterations.end();
  return migration;
}

/** The guest's heartbeats. A line may begin at the source and end at the destination. */
function beats({ serials: [a, b] }: Rig): number[] {
  const texts = [...a.lines, ...b.lines].map(({ text }) => text);
  if (b.lines.length > 0) texts[a.lines.length] = a.partial() + texts[a.lines.length]!;
  return texts.map(parseGuestLine).flatMap((line) => (line?.kind === 'heartbeat' ? [line.counter] : []));
}

/** Each counter once and none missing: the guest never ran twice and lost nothing. */
function assertContinuous(counters: readonly number[]): void {
  const first = counters[0]!;
  assert.deepEqual(
    counters,
    counters.map((_, index) => first + index),
  );
}

async function assertSound({ serials }: Rig, at: 0 | 1): Promise<void> {
  serials[at].send('verify\n');
  const { text } = await serials[at].waitFor((one) => one.startsWith('V '), {
    timeoutMs: 60_000,
    what: 'a verdict',
    from: 0,
  });
  const verdict = parseGuestLine(text);
  assert.ok(verdict?.kind === 'verification' && isSound(verdict), text);
}

test('a domain moves from Begin3 to Confirm3 through the gateway, and Finish3 is what starts it', {
  skip,
  timeout: 80_000,
}, async (t) => {
  const rig = await openRig(t, { workload: 'uniform', rateBytesPerSecond: 4 * 1024 * 1024 });
  const [source, destination] = rig.clients;
  const domain = await startGuest(rig);
  const completed = Promise.withResolvers<unknown>();
  await subscribe(source, jobCompletedEvent, domain, ({ parameters }) => completed.resolve(parameters));
  const migration = await moveUpToFinish(t, rig, domain, 0);
  assert.equal((await stateOf(destination, rig.uuid))?.state, 'paused');
  const there = await migration.finish();
  assert.equal(there.uuid, rig.uuid);
  assert.deepEqual(await stateOf(destination, rig.uuid), { state: 'running', reason: 'migrated' });
  await migration.confirm({ cancelled: false });
  assert.equal(await stateOf(source, rig.uuid), null);
  await completed.promise;
  await rig.serials[1].waitFor((text) => text.includes('H '), { timeoutMs: 30_000, what: 'heartbeats' });
  assertContinuous(beats(rig));
  await assertSound(rig, 1);
});

test('before Finish everything is taken back: the source goes on, nothing is left over there', {
  skip,
  timeout: 80_000,
}, async (t) => {
  const rig = await openRig(t, { workload: 'uniform', rateBytesPerSecond: 4 * 1024 * 1024 });
  const domain = await startGuest(rig);
  const migration = await moveUpToFinish(t, rig, domain, MIGRATE.ABORT_ON_ERROR);
  const before = beats(rig).length;
  await migration.undo();
  assert.equal(await stateOf(rig.clients[1], rig.uuid), null);
  assert.deepEqual(await stateOf(rig.clients[0], rig.uuid), {
    state: 'running',
    reason: 'migration canceled',
  });
  while (beats(rig).length < before + 5) await sleep(20);
  assertContinuous(beats(rig));
  await assertSound(rig, 0);
});

/** `godwit …` as a user has it, with its JSON. */
async function godwit(
  args: readonly string[],
): Promise<{ code: number | null; json: Record<string, unknown>; err: string }> {
  const main = fileURLToPath(new URL('../../bin/godwit.mjs', import.meta.url));
  const child = spawn(process.execPath, ['--no-warnings', main, ...args, '--json']);
  let out = '';
  let err = '';
  child.stdout.on('data', (text) => (out += text));
  child.stderr.on('data', (text) => (err += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, json: out === '' ? {} : JSON.parse(out), err };
}

test('godwit migrate libvirt:DOMAIN moves it by command, and godwit list shows where it is', {
  skip,
  timeout: 80_000,
}, async (t) => {
  const rig = await openRig(t, {
    workload: 'uniform',
    hotBytes: 8 * 1024 * 1024,
    rateBytesPerSecond: 16 * 1024 * 1024,
  });
  const [a, b] = rig.hosts;
  const { domain } = await rig.clients[0].call(domainDefineXml, { xml: rig.xml });
  await rig.clients[0].call(domainCreate, { domain });
  await rig.serials[0].waitFor((text) => text.includes('H '), { timeoutMs: 20_000, what: 'heartbeats' });
  const before = await godwit(['list', '--uri', a.uri]);
  assert.equal((before.json['vms'] as { state: string }[])[0]?.state, 'running');
  const move = ['migrate', `libvirt:///guest?uri=${a.uri}`, b.uri, '--incoming-folder', rig.folder];
  const checked = await godwit([...move, '--dry-run']);
  assert.equal(checked.json['ready'], true, checked.err);
  const moved = await godwit([
    ...move,
    '--strategy',
    'frs',
    '--link-rate',
    '200Mbit/s',
    '--bandwidth',
    '200Mbit/s',
  ]);
  t.diagnostic(JSON.stringify({ ...moved.json, iterations: undefined }));
  assert.equal(moved.code, 0, `${JSON.stringify(moved.json)} ${moved.err}`);
  assert.equal(moved.json['outcome'], 'completed');
  assert.equal(await stateOf(rig.clients[0], rig.uuid), null);
  assert.deepEqual(await stateOf(rig.clients[1], rig.uuid), { state: 'running', reason: 'migrated' });
  const there = (await lookAtDomain(rig.clients[1], rig.uuid))!;
  assert.deepEqual(await rig.clients[1].call(domainIsPersistent, { domain: there.ref }), { persistent: 1 });
  await rig.serials[1].waitFor((text) => text.includes('H '), { timeoutMs: 20_000, what: 'heartbeats' });
  assertContinuous(beats(rig));
  await assertSound(rig, 1);
  const after = await godwit(['list', '--uri', b.uri]);
  assert.equal((after.json['vms'] as { name: string }[])[0]?.name, 'guest');
});
