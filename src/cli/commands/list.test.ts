import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, it } from 'node:test';
import { FakeDaemon, FakeFault } from '../../libvirt/fake.testing.ts';
import {
  connectListAllDomains,
  domainGetInfo,
  domainGetJobInfo,
  domainGetState,
  domainLookupByUuid,
  FAULT,
} from '../../libvirt/index.ts';
import { FakeQmpServer, fakeReturn } from '../../qmp/fake.testing.ts';
import { command } from './list.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'godwit-list-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function list(options: Record<string, unknown>) {
  let out = '';
  let err = '';
  const never = new AbortController().signal;
  const context = {
    out: { write: (text: string) => (out += text) },
    err: { write: (text: string) => (err += text) },
    interrupted: never,
    forced: never,
  };
  const code = await command.run(context, [], { qmp: [], ...options });
  return { code, out, err };
}

const uuidOf = (id: number) => `00112233-4455-6677-8899-${String(id).padStart(12, '0')}`;
const zeros = { timeElapsed: 0n, timeRemaining: 0n, dataTotal: 0n, dataProcessed: 0n, dataRemaining: 0n };
const more = {
  memTotal: 0n,
  memProcessed: 0n,
  memRemaining: 0n,
  fileTotal: 0n,
  fileProcessed: 0n,
  fileRemaining: 0n,
};

it("shows libvirt's domains and QMP sockets, by what godwit migrate calls them", async () => {
  await using daemon = await FakeDaemon.listen(path.join(folder, 'libvirt.sock'));
  const domains = [3, 4, 5].map((id) => ({ name: `vm${id}`, uuid: uuidOf(id), id }));
  daemon.on(connectListAllDomains, () => ({ domains, count: 3 }));
  daemon.on(domainLookupByUuid, ({ uuid }) => {
    const domain = domains.find((one) => one.uuid === uuid)!;
    // Ended since the list was made.
    if (domain.id === 5) throw new FakeFault(FAULT.NO_DOMAIN, 'gone');
    return { domain };
  });
  daemon.on(domainGetState, ({ domain }) =>
    domain.id === 3 ? { state: 1, reason: 1 } : { state: 3, reason: 2 },
  );
  daemon.on(domainGetInfo, () => ({
    state: 1,
    maxMemory: 65_536n,
    memory: 65_536n,
    vcpuCount: 1,
    cpuTime: 0n,
  }));
  daemon.on(domainGetJobInfo, ({ domain }) => ({ type: domain.id === 4 ? 2 : 0, ...zeros, ...more }));
  const qmp = path.join(folder, 'qmp.sock');
  await using qemu = await FakeQmpServer.listen({ path: qmp });
  qemu.answer('query-status', fakeReturn({ status: 'running', running: true }));
  qemu.answer('query-name', fakeReturn({ name: 'bare' }));
  qemu.answer('query-memory-size-summary', fakeReturn({ 'base-memory': 2 ** 30, 'plugged-memory': 0 }));

  const { code, out, err } = await list({ uri: daemon.uri, qmp: [qmp], json: true });
  assert.equal(err, '');
  assert.equal(code, 0);
  const { vms } = JSON.parse(out) as { vms: Record<string, unknown>[] };
  assert.deepEqual(
    vms.map(({ name, state, reason, memoryBytes, hasJob }) => [name, state, reason, memoryBytes, hasJob]),
    [
      ['vm3', 'running', 'booted', 67_108_864, false],
      ['vm4', 'paused', 'migrating', 67_108_864, true],
      ['bare', 'running', null, 2 ** 30, false],
    ],
  );
  assert.equal(vms[0]!['source'], `libvirt:///vm3?uri=${daemon.uri}`);
  const text = await list({ uri: daemon.uri, qmp: [qmp] });
  assert.match(text.out, /^STATE {2,}MEMORY {2}SOURCE\nrunning \(booted\) .* libvirt:\/\/\/vm3\?uri=/);
  assert.match(text.out, /paused \(migrating\), job /);
});

it('says which of those it was asked for cannot be asked', async () => {
  const none = path.join(folder, 'none.sock');
  const { code, out, err } = await list({ uri: `qemu:///system?socket=${none}`, qmp: [none], json: true });
  assert.equal(code, 1);
  assert.match(err, /cannot connect to libvirt.*\n.*cannot connect to the QMP socket/);
  assert.deepEqual((JSON.parse(out) as { vms: unknown }).vms, []);
});
