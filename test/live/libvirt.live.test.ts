/** Against real libvirt daemons and QEMUs; skipped, with the reason, where libvirt is not installed. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { sleep } from '../../src/base/index.ts';
import {
  connectGetCapabilities,
  connectGetHostname,
  connectGetLibVersion,
  connectListAllDomains,
  domainAbortJob,
  domainCreate,
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
  JOB_TYPES,
  jobCompletedEvent,
  LIFECYCLE_EVENTS,
  LIST,
  lifecycleEvent,
  lookAtDomain,
  MIGRATE,
  migrateSetMaxDowntime,
  migrateSetMaxSpeed,
  subscribe,
  XML,
} from '../../src/libvirt/index.ts';
import { libvirtMissing } from './libvirt-rig.ts';
import {
  assertContinuous,
  assertSound,
  beats,
  godwit,
  MEMORY_MIB,
  moveUpToFinish,
  openRig,
  startGuest,
  startMove,
  stateOf,
  untilJournalEnds,
} from './libvirt-scene.ts';

const skip = libvirtMissing();
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

test('killed at any step, the guardian ends the move: one copy runs, or it says what to do', {
  skip,
  timeout: 540_000,
}, async (t) => {
  const rig = await openRig(t, { workload: 'uniform', rateBytesPerSecond: 4 * 1024 * 1024 });
  await startGuest(rig);
  for (const step of ['incoming', 'layout', 'stopped', 'prepared'] as const) {
    const move = startMove(rig, step);
    await move.here;
    process.kill(move.processId, 'SIGKILL');
    await move.ended;
    const end = await untilJournalEnds(rig, 60_000);
    t.diagnostic(`${step}: ${end?.outcome}: ${end?.text}`);
    assert.equal(end?.outcome, 'aborted', `${step}: ${end?.text}`);
    assert.equal((await stateOf(rig.clients[0], rig.uuid))?.state, 'running', step);
    assert.equal(await stateOf(rig.clients[1], rig.uuid), null, step);
    const before = beats(rig).length;
    while (beats(rig).length < before + 3) await sleep(20);
  }
  assertContinuous(beats(rig));
  // Whether the VM has run over there is not known: libvirt ends it with its client, and nobody starts it.
  const move = startMove(rig, 'commit');
  await move.here;
  process.kill(move.processId, 'SIGKILL');
  const end = await untilJournalEnds(rig, 60_000);
  t.diagnostic(`commit: ${end?.outcome}: ${end?.text}`);
  assert.equal(end?.outcome, 'in-doubt');
  assert.match(end?.text ?? '', /virsh/);
  assert.equal((await stateOf(rig.clients[0], rig.uuid))?.state, 'paused');
  assert.equal(await stateOf(rig.clients[1], rig.uuid), null);
});

test('killed once the VM runs over there: the guardian ends the paused source', {
  skip,
  timeout: 240_000,
}, async (t) => {
  const rig = await openRig(t, { workload: 'uniform', rateBytesPerSecond: 4 * 1024 * 1024 });
  const { domain } = await rig.clients[0].call(domainDefineXml, { xml: rig.xml });
  await rig.clients[0].call(domainCreate, { domain });
  await rig.serials[0].waitFor((text) => text.includes('H '), { timeoutMs: 20_000, what: 'heartbeats' });
  const move = startMove(rig, 'running');
  await move.here;
  process.kill(move.processId, 'SIGKILL');
  const end = await untilJournalEnds(rig, 60_000);
  assert.equal(end?.outcome, 'completed', end?.text);
  assert.equal(await stateOf(rig.clients[0], rig.uuid), null);
  assert.equal((await stateOf(rig.clients[1], rig.uuid))?.state, 'running');
  assertContinuous(beats(rig));
  await assertSound(rig, 1);
});
