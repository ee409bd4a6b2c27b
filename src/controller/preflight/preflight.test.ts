/** What the checks before a migration make of two ends; the comparison itself is tested in src/qmp. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GIB, MIB } from '../../base/index.ts';
import type { MachineDescription, QemuFeatures } from '../../qmp/index.ts';
import { strategyByName } from '../../strategy/index.ts';
import type { FarOptions } from '../options.ts';
import {
  type Ends,
  FORCEABLE,
  judgeEnds,
  type PreflightOptions,
  readForce,
  refuseUnready,
  standing,
} from './preflight.ts';

const idle = {
  status: 'none',
  ram: null,
  totalTimeMs: null,
  downtimeMs: null,
  errorDesc: null,
  blockedReasons: [],
  listeningAt: [],
  cpuThrottlePercent: null,
};

const source: MachineDescription = {
  qmpPath: '/run/a.qmp',
  pid: 10,
  threadId: 12,
  name: 'guest',
  uuid: 'u',
  version: { major: 10, minor: 0, micro: 2 },
  machineType: 'pc-i440fx-10.0',
  accelerator: 'tcg',
  status: { status: 'running', running: true },
  migration: idle,
  capabilities: new Map([
    ['return-path', false],
    ['switchover-ack', false],
    ['events', false],
    ['pause-before-switchover', false],
  ]),
  parameters: new Map([
    ['downtime-limit', 300],
    ['max-bandwidth', 128 * MIB],
  ]),
  cpu: { model: 'qemu64', count: 1, topology: ['[0]'], featureWords: null, migratable: null },
  ramBlocks: [{ id: 'pc.ram', usedBytes: GIB, totalBytes: GIB, pageSize: '4 KiB', hostAddress: null }],
  sharedMemory: { pid: 10, mapped: [], backends: [] },
  pci: [],
  devices: [],
  disks: [],
  emptyDrives: [],
  blockJobs: [],
  bitmapBits: 0,
  libvirtReason: null,
  confidentialGuest: null,
  suppressesDescription: false,
};

const destination: MachineDescription = {
  ...source,
  qmpPath: '/run/b.qmp',
  pid: 11,
  status: { status: 'inmigrate', running: false },
};

const features: QemuFeatures = {
  version: source.version,
  package: '',
  capabilities: new Set(source.capabilities.keys()),
  parameters: new Set(['downtime-limit', 'max-bandwidth', 'avail-switchover-bandwidth']),
  commands: new Set(),
  oobCommands: new Set(),
  events: new Set(),
  hasBlockedReasons: true,
  ackOwed: 'yes',
  ackReason: 'this QEMU always waits for the ack',
};

const options: PreflightOptions = {
  strategy: strategyByName('mp'),
  gatewayMemoryBytesMax: 2 * GIB,
  ackGate: 'auto',
  force: [],
};

const sockets: Ends['sockets'] = {
  source: { role: 'connects', here: '/tmp', there: '/tmp', owner: null, byGroup: false },
  destination: null,
};

function judge(changes: Partial<PreflightOptions> = {}, ends: Partial<Ends> = {}) {
  return judgeEnds(
    { ...options, ...changes },
    { source, destination, features, destinationTellsWhy: true, freeBytes: 8 * GIB, sockets, ...ends },
  );
}

function codes(preflight: ReturnType<typeof judge>): string[] {
  return preflight.findings.filter(({ severity }) => severity !== 'info').map(({ code }) => code);
}

test('two ends that fit are ready, and every setting that would change is named with its value now', () => {
  const ready = judge();
  assert.deepEqual(codes(ready), []);
  assert.doesNotThrow(() => refuseUnready(ready.findings));
  const changes = ready.settings.map(({ end, name, now, wanted }) => [end, name, now, wanted]);
  assert.ok(changes.some((change) => change.join() === ['source', 'downtime-limit', 300, 1].join()));
  assert.ok(changes.some((change) => change.join() === ['destination', 'return-path', false, true].join()));
  assert.ok(!changes.some((change) => change.includes('pause-before-switchover')), 'off already');
});

test('the gate is the ack where both ends know it, else the end of a pass, with the reason', () => {
  assert.equal(judge().gate.kind, 'ack');
  assert.equal(judge({ ackGate: 'off' }).gate.kind, 'what-waits');
  const without = { ...destination, capabilities: new Map([['return-path', false]]) };
  assert.match(judge({}, { destination: without }).gate.why, /destination/);
  const unsure = { ...features, ackOwed: 'unknown' as const, ackReason: 'cannot be read' };
  const gate = judge({}, { features: unsure });
  assert.equal(gate.gate.kind, 'what-waits');
  assert.match(gate.findings.find(({ code }) => code === 'GATE')?.text ?? '', /cannot be read/);
});

test('a refusal that may be overridden is, by its code, and only that one', () => {
  const other = { ...destination, cpu: { ...source.cpu, model: 'host' }, machineType: 'q35' };
  const refused = judge({}, { destination: other });
  assert.deepEqual(codes(refused).sort(), ['CPU_MODEL', 'MACHINE_TYPE']);
  assert.throws(() => refuseUnready(refused.findings), {
    code: 'PREFLIGHT_REFUSED',
    message: /source: qemu64, destination: host/,
  });
  const forced = judge({ force: ['CPU_MODEL', 'MACHINE_TYPE'] }, { destination: other });
  assert.deepEqual(
    standing(forced.findings).map(({ code }) => code),
    ['MACHINE_TYPE'],
  );
});

test('what godwit cannot do at all cannot be forced', () => {
  for (const code of [
    'SAME_MACHINE',
    'LIBVIRT_OWNED',
    'SOURCE_STATE',
    'CAPABILITY_ON',
    'GATEWAY_MEMORY',
    'x',
  ]) {
    assert.throws(() => readForce([code]), { code: 'USAGE_FORCE' });
  }
  assert.deepEqual(readForce([...FORCEABLE]), [...FORCEABLE]);
});

test('a QEMU that cannot be given a socket is refused, with its end and the reason', () => {
  const refusal = 'QEMU runs as user 7 and godwit as user 8';
  const refused = judge({}, { sockets: { ...sockets, destination: { refusal } } });
  assert.deepEqual(codes(refused), ['SOCKET_FOLDER']);
  assert.throws(() => refuseUnready(refused.findings), { message: /the destination .* user 7/ });
  assert.throws(() => readForce(['SOCKET_FOLDER']), { code: 'USAGE_FORCE' });
});

test('dirty bitmaps: QEMU is told that their bits do not keep its final stage away', () => {
  const withBits = { source: { ...source, bitmapBits: 1000 } };
  const set = judge({}, withBits).settings.find(({ name }) => name === 'avail-switchover-bandwidth');
  assert.equal(set?.wanted, 1_004_096);
  const old = { ...features, parameters: new Set(['downtime-limit', 'max-bandwidth']) };
  assert.deepEqual(codes(judge({}, { ...withBits, features: old })), ['CAPABILITY_ON']);
});

test('memory: too little for the bookkeeping is refused, more than the host has is a warning', () => {
  assert.deepEqual(codes(judge({ gatewayMemoryBytesMax: 2 * MIB })), ['GATEWAY_MEMORY']);
  const scarce = judge({}, { freeBytes: 512 * MIB });
  assert.deepEqual([codes(scarce), standing(scarce.findings).length], [['GATEWAY_MEMORY'], 0]);
  const unlisted = judge({}, { source: { ...source, ramBlocks: null } });
  assert.equal(unlisted.memory.neededBytes, null);
});

test('strategies that need another mechanism, and ends without a return path, are refused', () => {
  for (const name of ['trace-replay', 'vmotion']) {
    assert.deepEqual(codes(judge({ strategy: strategyByName(name) })), ['STRATEGY_MECHANISM']);
  }
  const postcopy = strategyByName('postcopy');
  const refused = (options: Partial<PreflightOptions>, ends: Partial<Ends> = {}) =>
    standing(judge(options, ends).findings).map(({ code }) => code);
  assert.deepEqual(refused({ strategy: postcopy }), ['STRATEGY_MECHANISM', 'STRATEGY_MECHANISM']);
  const able = (one: MachineDescription) => ({
    ...one,
    capabilities: new Map([...one.capabilities, ['postcopy-ram', false] as const]),
  });
  const both = { source: able(source), destination: able(destination) };
  assert.deepEqual(refused({ strategy: postcopy }, both), []);
  const told = judge({ strategy: postcopy }, both).findings.map(({ code }) => code);
  assert.ok(told.includes('POST_COPY'), 'what it risks is said before');
  const bitmaps = {
    ...both.source,
    capabilities: new Map([...both.source.capabilities, ['dirty-bitmaps', true] as const]),
  };
  assert.deepEqual(refused({ strategy: postcopy }, { ...both, source: bitmaps }), ['STRATEGY_MECHANISM']);
  const huge = { ...both.source, ramBlocks: [{ ...source.ramBlocks![0]!, pageSize: '2 MiB' }] };
  assert.deepEqual(refused({ strategy: postcopy }, { ...both, source: huge }), ['STRATEGY_MECHANISM']);
  const far = { reach: { command: [], host: 'far' } } as unknown as FarOptions;
  assert.deepEqual(refused({ strategy: postcopy, far }, both), ['STRATEGY_MECHANISM']);
  const old = { ...source, capabilities: new Map<string, boolean>() };
  assert.deepEqual(codes(judge({}, { source: old })), ['RETURN_PATH']);
});
