/** Against a real QEMU with -accel tcg; skipped, with the reason, where there is none. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { errorCode, sleep } from '../base/index.ts';
import {
  compareMachines,
  connectQmp,
  gatherMachine,
  migrate,
  migrateCancel,
  migrateIncoming,
  ParameterGuard,
  probeQemu,
  queryMigrate,
  queryMigrateCapabilities,
  queryMigrateParameters,
  queryStatus,
  quit,
  refusals,
  stop,
} from './index.ts';
import { bootAndConnect, folderOf, missing, PLAIN, QEMU } from './qemu.testing.ts';

test('a second and a third client learn that the socket is in use', { skip: missing }, async (t) => {
  const folder = folderOf(t);
  const client = await bootAndConnect(t, folder, 'a', ['-machine', 'none', '-S']);
  assert.equal(client.oob, true);
  // Two wait in QEMU's backlog (one of them by another name of the socket), the others find it full.
  const link = join(folder, 'link.qmp');
  symlinkSync(client.path, link);
  const paths = [link, client.path, client.path, client.path];
  for (const attempt of await Promise.allSettled(paths.map((path) => connectQmp({ path, timeoutMs: 400 })))) {
    assert.ok(attempt.status === 'rejected');
    assert.equal(errorCode(attempt.reason), 'QMP_BUSY', String(attempt.reason));
    assert.equal(attempt.reason.fields.sure, true);
  }
  assert.equal((await queryStatus(client)).status, 'prelaunch');

  await client.close();
  const again = await connectQmp({ path: client.path, timeoutMs: 20_000 });
  const ended = again.closed;
  await quit(again);
  assert.equal((await ended).code, 'QMP_CLOSED');
});

test('a QEMU that does not run is told apart from one that is busy', { skip: missing }, async (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'a.qmp');
  const args = [...PLAIN, '-machine', 'none', '-S', '-qmp', `unix:${path},server=on,wait=off`];
  const child = spawn(QEMU, args, { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  while (!existsSync(path)) await sleep(20);
  await (await connectQmp({ path, timeoutMs: 20_000 })).close();
  await sleep(100);
  child.kill('SIGSTOP');
  await assert.rejects(connectQmp({ path, timeoutMs: 300 }), { code: 'QMP_TIMEOUT' });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  await assert.rejects(connectQmp({ path, timeoutMs: 300 }), { code: 'QMP_CONNECT' });
});

test('probe, events and settings of a real QEMU', { skip: missing }, async (t) => {
  const client = await bootAndConnect(t, folderOf(t), 'a', ['-M', 'pc', '-m', '32', '-S']);
  const features = await probeQemu(client);
  for (const name of ['return-path', 'events', 'multifd', 'postcopy-ram', 'auto-converge', 'xbzrle']) {
    assert.ok(features.capabilities.has(name), name);
  }
  // The schema and QEMU's own list must agree.
  const listed = await queryMigrateCapabilities(client);
  for (const name of listed.keys()) assert.ok(features.capabilities.has(name), name);
  for (const name of ['downtime-limit', 'max-bandwidth']) assert.ok(features.parameters.has(name), name);
  assert.ok(features.events.has('MIGRATION_PASS') && features.oobCommands.has('migrate-pause'));
  if (features.capabilities.has('switchover-ack'))
    assert.notEqual(features.ackOwed, 'unknown', features.ackReason);

  const mark = client.eventMark();
  const wallBefore = Date.now();
  await client.execute('cont');
  await stop(client);
  const resumed = await client.waitEvent('RESUME', { since: mark, timeoutMs: 5000 });
  const stopped = await client.waitEvent('STOP', { since: mark, timeoutMs: 5000 });
  assert.ok(resumed.sequence < stopped.sequence);
  assert.ok((stopped.timestampMs ?? 0) >= (resumed.timestampMs ?? Infinity));
  assert.ok(Math.abs((resumed.timestampMs ?? 0) - wallBefore) < 60_000);

  const before = [await queryMigrateCapabilities(client), await queryMigrateParameters(client)];
  const guard = new ParameterGuard(client);
  await guard.setCapabilities({ events: true, 'return-path': true });
  await guard.setParameters({ 'downtime-limit': 1, 'max-bandwidth': 2 ** 30 });
  assert.equal((await queryMigrateParameters(client)).get('max-bandwidth'), 2 ** 30);
  await guard.restore();
  assert.deepEqual([await queryMigrateCapabilities(client), await queryMigrateParameters(client)], before);

  const refused = await migrate(client, 'nonsense:x').catch(errorCode);
  assert.equal(refused, 'QMP_COMMAND');
  await migrateCancel(client);
  await assert.rejects(client.execute('migrate-pause', {}, { oob: true }), { code: 'QMP_COMMAND' });
});

test('twins may migrate; another size, device or CPU is found', { skip: missing }, async (t) => {
  const folder = folderOf(t);
  for (const name of ['d.img', 'e.img']) {
    writeFileSync(join(folder, name), '');
    truncateSync(join(folder, name), 1024 * 1024);
  }
  const disk = (file: string) => [
    '-drive',
    `if=none,id=d0,file=${file},format=raw`,
    '-device',
    'virtio-blk-pci,drive=d0,id=vd0',
  ];
  const machine = ['-M', 'pc', '-m', '32', '-smp', '2', '-serial', 'null'];
  const incoming = ['-incoming', 'defer'];
  const source = await bootAndConnect(t, folder, 'a', [...machine, ...disk('d.img'), '-S']);
  const twin = await bootAndConnect(t, folder, 'b', [
    ...machine,
    ...disk(join(folder, 'd.img')),
    ...incoming,
  ]);
  const here = await gatherMachine(source);
  const there = await gatherMachine(twin);
  assert.deepEqual(
    compareMachines(here, there).map(({ code }) => code),
    ['SOURCE_STATE'],
  );
  assert.ok(here.ramBlocks?.some(({ id, totalBytes }) => id === 'pc.ram' && totalBytes === 32 * 1024 * 1024));
  assert.ok(here.devices?.some((device) => device.endsWith('/isa-serial')));
  assert.ok(here.disks[0]?.identity);

  await migrateIncoming(twin, `unix:${join(folder, 'in.sock')}`);
  const listening = await queryMigrate(twin);
  assert.deepEqual(listening.listeningAt, [`unix:${join(folder, 'in.sock')}`]);
  await twin.close();

  const other = [
    '-M',
    'pc',
    '-m',
    '48',
    '-smp',
    '2',
    '-cpu',
    'Nehalem',
    ...disk('e.img'),
    '-device',
    'virtio-rng-pci',
  ];
  const stranger = await bootAndConnect(t, folder, 'c', [...other, ...incoming]);
  const found = refusals(compareMachines(here, await gatherMachine(stranger))).map(({ code }) => code);
  for (const code of ['CPU_MODEL', 'RAM_BLOCKS', 'PCI_DEVICE', 'DEVICES', 'DISK_NOT_SHARED'] as const) {
    assert.ok(found.includes(code), `${code} in ${found.join(' ')}`);
  }
  await stranger.close();

  const nvme = ['-drive', 'if=none,id=n0,driver=null-co,size=1M', '-device', 'nvme,drive=n0,serial=x'];
  const blocked = await bootAndConnect(t, folder, 'd', [...machine, ...nvme]);
  const reasons = compareMachines(await gatherMachine(blocked), there).filter(
    ({ code }) => code === 'MIGRATION_BLOCKED',
  );
  assert.match(reasons[0]?.source ?? '', /nvme/);
});
