import assert from 'node:assert/strict';
import test from 'node:test';
import { compareMachines, refusals } from './compare.ts';
import { featureName } from './cpu-features.ts';
import { isLibvirtPath, libvirtReason } from './libvirt.ts';
import type { MachineDescription } from './machine.ts';
import { parseDeviceTree, parseRamBlocks } from './monitor-text.ts';
import { NO_SHARED_MEMORY } from './shared-memory.ts';

const MIB = 1024 * 1024;

function block(id: string, sizeMib: number) {
  return { id, usedBytes: sizeMib * MIB, totalBytes: sizeMib * MIB, pageSize: '4 KiB', hostAddress: null };
}

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
  capabilities: new Map([['multifd', false]]),
  parameters: new Map([
    ['tls-creds', ''],
    ['mode', 'normal'],
  ]),
  cpu: {
    model: 'qemu64',
    count: 2,
    topology: ['[0]', '[1]'],
    featureWords: new Map([['1.0.ECX', 0b0111]]),
    migratable: null,
  },
  ramBlocks: [block('pc.ram', 128), block('pc.rom', 0.125)],
  sharedMemory: NO_SHARED_MEMORY,
  pci: [{ address: '02.0', ids: '1af4:1001/1af4:0002', deviceId: 'vd0', bars: '0:io:128', hides: false }],
  devices: ['System/hpet', 'System/i440FX-pcihost/PCI/virtio-blk-pci'],
  disks: [{ id: 'vd0', file: 'd.img', driver: 'raw', readOnly: false, volatileBitmaps: [], identity: '1:2' }],
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

/** Severity and code of every finding, with one or both ends changed. */
function codes(
  here: Partial<MachineDescription>,
  there: Partial<MachineDescription> = {},
  handled?: string[],
): string[] {
  const options = handled ? { handledCapabilities: new Set(handled) } : {};
  const findings = compareMachines({ ...source, ...here }, { ...destination, ...there }, options);
  return findings.map(({ severity, code }) => `${severity} ${code}`);
}

test('twins have no findings', () => {
  assert.deepEqual(codes({}), []);
});

test('each difference has its finding, with both values', () => {
  const cpu = source.cpu;
  const rows: [string, Partial<MachineDescription>, Partial<MachineDescription>?][] = [
    ['refuse SAME_MACHINE', {}, { pid: 10 }],
    ['refuse LIBVIRT_OWNED', { libvirtReason: 'x' }],
    ['refuse LIBVIRT_OWNED', {}, { libvirtReason: 'x' }],
    ['refuse MACHINE_TYPE', {}, { machineType: 'pc-q35-10.0' }],
    ['refuse ACCELERATOR', { accelerator: 'kvm' }],
    ['warn QEMU_VERSION', {}, { version: { major: 9, minor: 2, micro: 0 } }],
    ['info QEMU_VERSION', {}, { version: { major: 11, minor: 1, micro: 2 } }],
    ['info UUID', { uuid: 'other' }],
    ['refuse CPU_MODEL', {}, { cpu: { ...cpu, model: 'Nehalem' } }],
    ['refuse CPU_COUNT', {}, { cpu: { ...cpu, count: 1 } }],
    ['warn CPU_TOPOLOGY', {}, { cpu: { ...cpu, topology: ['[0]', '[2]'] } }],
    ['refuse CPU_FEATURES', {}, { cpu: { ...cpu, featureWords: new Map([['1.0.ECX', 0b0101]]) } }],
    ['warn CPU_FEATURES', {}, { cpu: { ...cpu, featureWords: new Map([['1.0.ECX', 0b1111]]) } }],
    ['warn CPU_NOT_MIGRATABLE', { cpu: { ...cpu, migratable: false } }],
    ['info NOT_COMPARED', { cpu: { ...cpu, featureWords: null } }],
    ['refuse RAM_BLOCKS', {}, { ramBlocks: [block('pc.ram', 256), block('pc.rom', 0.125)] }],
    ['refuse RAM_BLOCKS', {}, { ramBlocks: [block('pc.ram', 128)] }],
    ['warn RAM_BLOCKS', { ramBlocks: [block('pc.ram', 128)] }],
    ['warn NOT_COMPARED', { ramBlocks: null }],
    ['refuse PCI_DEVICE', {}, { pci: [] }],
    ['refuse PCI_DEVICE', { pci: [] }],
    ['refuse PCI_DEVICE', {}, { pci: [{ ...source.pci![0]!, bars: '0:io:256' }] }],
    ['info PCI_DEVICE', {}, { pci: [{ ...source.pci![0]!, deviceId: 'disk0' }] }],
    [
      'refuse DEVICES',
      {},
      { devices: ['System/hpet', 'System/hpet', 'System/i440FX-pcihost/PCI/virtio-blk-pci'] },
    ],
    ['warn NOT_COMPARED', { devices: null }],
    ['refuse CONFIDENTIAL_GUEST', { confidentialGuest: '/objects/sev0' }],
    ['refuse DESCRIPTION_SUPPRESSED', { suppressesDescription: true }],
    ['refuse PARAMETER_SET', { parameters: new Map([['tls-creds', 'tls0']]) }],
    ['refuse PARAMETER_SET', {}, { parameters: new Map([['tls-creds', 'tls0']]) }],
    ['refuse PARAMETER_SET', { parameters: new Map([['mode', 'cpr-reboot']]) }],
    ['refuse MIGRATION_BLOCKED', { migration: { ...idle, blockedReasons: ['non-migratable device: nvme'] } }],
    ['refuse MIGRATION_RUNNING', { migration: { ...idle, status: 'active' } }],
    ['refuse MIGRATION_RUNNING', {}, { migration: { ...idle, status: 'active' } }],
    ['refuse DESTINATION_STATE', {}, { status: { status: 'running', running: true } }],
  ];
  for (const [expected, here, there] of rows) {
    assert.deepEqual(codes(here, there), [expected], expected);
  }
  const [size] = compareMachines(source, {
    ...destination,
    ramBlocks: [block('pc.ram', 256), block('pc.rom', 0.125)],
  });
  assert.deepEqual([size?.source, size?.destination], ['pc.ram 128 MiB', 'pc.ram 256 MiB']);
});

test('devices behind a bridge that firmware has not numbered are not seen, and not missed', () => {
  const [device] = source.pci!;
  const bridge = { ...device!, address: '03.0', hides: false };
  const behind = { ...device!, address: '03.0/00.0' };
  const seen = { pci: [bridge, behind] };
  const unseen = { pci: [{ ...bridge, hides: true }] };
  assert.deepEqual(codes(seen, unseen), []);
  assert.deepEqual(codes(unseen, seen), []);
  assert.deepEqual(codes(seen, { pci: [bridge] }), ['refuse PCI_DEVICE']);
});

test('another QEMU may arrange the same board differently', () => {
  const devices = ['System/hpet'];
  const version = { major: 11, minor: 0, micro: 0 };
  assert.deepEqual(codes({}, { devices, version }), ['warn DEVICES', 'info QEMU_VERSION']);
});

test('run states: a paused source travels, a panicked or migrated one does not', () => {
  const state = (status: string) => codes({ status: { status, running: status === 'running' } });
  assert.deepEqual(state('running'), []);
  assert.deepEqual(state('paused'), ['info SOURCE_STATE']);
  assert.deepEqual(state('prelaunch'), ['info SOURCE_STATE']);
  for (const status of ['inmigrate', 'postmigrate', 'guest-panicked', 'shutdown', 'a-new-one']) {
    assert.deepEqual(state(status), ['refuse SOURCE_STATE'], status);
  }
});

test('a destination that listens already is told apart from one that is loading', () => {
  const listening = { ...idle, status: 'setup', listeningAt: ['unix:/run/in.sock'] };
  assert.deepEqual(codes({}, { migration: listening }), ['refuse DESTINATION_LISTENING']);
  assert.deepEqual(codes({}, { migration: { ...idle, status: 'setup' } }), ['refuse MIGRATION_RUNNING']);
});

test('capabilities that the gateway cannot read are refused unless the strategy handles them', () => {
  const on = (name: string) => ({ capabilities: new Map([[name, true]]) });
  assert.deepEqual(codes(on('multifd')), ['refuse CAPABILITY_ON']);
  assert.deepEqual(codes({}, on('mapped-ram')), ['refuse CAPABILITY_ON']);
  assert.deepEqual(codes(on('postcopy-ram')), ['refuse CAPABILITY_ON']);
  assert.deepEqual(codes(on('postcopy-ram'), {}, ['postcopy-ram']), []);
  assert.deepEqual(codes(on('auto-converge')), ['warn CAPABILITY_ON']);
});

test('disks: the same file by any name is shared; what cannot be seen is not called shared', () => {
  const disk = source.disks[0]!;
  const there = (...disks: (typeof disk)[]) => codes({}, { disks });
  assert.deepEqual(there({ ...disk, file: '/images/d.img' }), []);
  assert.deepEqual(there({ ...disk, identity: '1:3' }), ['refuse DISK_NOT_SHARED']);
  assert.deepEqual(there(), ['refuse DISK_NOT_SHARED']);
  assert.deepEqual(there({ ...disk, identity: null }), ['warn DISK_UNSEEN']);
  assert.deepEqual(there({ ...disk, file: 'nbd://x', identity: null }), ['warn DISK_UNSEEN']);
  assert.deepEqual(there({ ...disk, driver: 'qcow2' }), ['refuse DISK_FORMAT']);
  assert.deepEqual(there({ ...disk, readOnly: true }), ['refuse DISK_FORMAT']);
  const cdrom = { ...disk, readOnly: true, identity: '1:9', file: 'cd.iso' };
  assert.deepEqual(codes({ disks: [disk, cdrom] }), ['warn DISK_NOT_SHARED']);
  assert.deepEqual(codes({ disks: [{ ...disk, driver: 'null-co' }] }, { disks: [] }), []);
});

test('disks: jobs, bitmaps and drives are told in words', () => {
  const disk = source.disks[0]!;
  const job = { id: 'm0', type: 'mirror', isReady: true };
  assert.deepEqual(codes({ blockJobs: [job] }), ['refuse BLOCK_JOB']);
  const filtered = { disks: [{ ...disk, driver: 'copy-before-write' }], blockJobs: [job] };
  assert.deepEqual(codes(filtered), ['refuse BLOCK_JOB'], 'the filter of a job is no other format');
  const withBitmap = { disks: [{ ...disk, volatileBitmaps: ['b0'] }] };
  assert.deepEqual(codes(withBitmap), ['warn DISK_BITMAPS']);
  assert.deepEqual(codes({ ...withBitmap, capabilities: new Map([['dirty-bitmaps', true]]) }), []);
  const cd = { ...disk, id: 'cd0', file: 'cd.iso', readOnly: true, identity: '1:9' };
  const loaded = { disks: [disk, cd] };
  const empty = { emptyDrives: ['cd0'] };
  assert.deepEqual(codes(loaded, empty), ['refuse DISK_NOT_SHARED']);
  assert.deepEqual(codes(empty, loaded), ['warn DISK_NOT_SHARED']);
  assert.deepEqual(codes(empty, empty), []);
});

test('CPU features go by name, and what follows from the number of vCPUs or from the guest is not compared', () => {
  const cpu = (...words: [string, number][]) => ({ cpu: { ...source.cpu, featureWords: new Map(words) } });
  const topology = cpu(['1.0.EDX', 1 << 28], ['80000001.0.ECX', 2]);
  assert.deepEqual(codes(topology, cpu(['1.0.EDX', 0])), []);
  const [lacks] = compareMachines(
    { ...source, ...cpu(['7.0.EBX', 1 << 5], ['99.0.EAX', 1]) },
    {
      ...destination,
      ...cpu(['7.0.EBX', 0]),
    },
  );
  assert.equal(lacks?.source, 'avx2, 99.0.EAX bit 0');
  assert.deepEqual(
    ['1.0.EDX', '1.0.ECX', '7.0.EBX', '80000001.0.EDX'].map((register) => featureName(register, 31)),
    ['pbe', 'hypervisor', 'avx512vl', '3dnow'],
  );
  assert.deepEqual([featureName('7.0.EDX', 31), featureName('80000001.0.EDX', 29)], ['ssbd', 'lm']);
});

test('a device whose state iterates in a form of its own is refused', () => {
  const devices = [...source.devices!, 'System/i440FX-pcihost/PCI/vfio-pci'].sort();
  assert.deepEqual(codes({ devices }, { devices }), ['refuse ITERATING_STATE']);
});

test('the gravest findings come first', () => {
  const findings = compareMachines(
    { ...source, uuid: 'x', accelerator: 'kvm', ramBlocks: null },
    destination,
  );
  assert.deepEqual(
    findings.map(({ severity }) => severity),
    ['refuse', 'warn', 'info'],
  );
  assert.deepEqual(
    refusals(findings).map(({ code }) => code),
    ['ACCELERATOR'],
  );
});

test('libvirt is known by its folders, its monitor and its secret', () => {
  assert.ok(isLibvirtPath('/var/lib/libvirt/qemu/domain-1-a/monitor.sock'));
  assert.ok(isLibvirtPath('/run/user/1000/libvirt/qemu/run/monitor.sock'));
  assert.equal(isLibvirtPath('/run/godwit/libvirt.sock'), false);
  const plain = { qmpPath: '/run/a.qmp', chardevs: [], objects: [] };
  assert.equal(libvirtReason(plain), null);
  assert.ok(libvirtReason({ ...plain, chardevs: [{ label: 'charmonitor', filename: 'unix:fd=3' }] }));
  assert.ok(
    libvirtReason({ ...plain, chardevs: [{ label: 'serial0', filename: 'unix:/var/lib/libvirt/qemu/s' }] }),
  );
  assert.ok(libvirtReason({ ...plain, objects: [{ name: 'masterKey0', type: 'child<secret>' }] }));
});

test('RAM blocks and devices are read from the monitor text of QEMU 10.0', () => {
  const blocks = parseRamBlocks(
    [
      '              Block Name    PSize              Offset               Used              Total                HVA  RO',
      '                  pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000 0x00007feae7e00000  rw',
      '    /rom@etc/acpi/tables    4 KiB  0x00000000080c0000 0x0000000000020000 0x0000000000200000 0x00007feb3ce00000  ro',
      '0000:00:03.0/virtio-net-pci.rom    2 MiB  0x0000000008080000 0x0000000000040000 0x0000000000040000',
      'nonsense',
    ].join('\r\n'),
  );
  assert.deepEqual(blocks, [
    {
      id: '/rom@etc/acpi/tables',
      pageSize: '4 KiB',
      usedBytes: 0x20000,
      totalBytes: 0x200000,
      hostAddress: 0x7feb3ce00000n,
    },
    {
      id: '0000:00:03.0/virtio-net-pci.rom',
      pageSize: '2 MiB',
      usedBytes: 0x40000,
      totalBytes: 0x40000,
      hostAddress: null,
    },
    {
      id: 'pc.ram',
      pageSize: '4 KiB',
      usedBytes: 0x8000000,
      totalBytes: 0x8000000,
      hostAddress: 0x7feae7e00000n,
    },
  ]);
  assert.equal(parseRamBlocks('unknown command'), null);
  const tree = parseDeviceTree(
    [
      'bus: main-system-bus',
      '  type System',
      '  dev: hpet, id ""',
      '    timers = 3 (0x3)',
      '  dev: i440FX-pcihost, id ""',
      '    bus: pci.0',
      '      type PCI',
      '      dev: virtio-blk-pci, id "vd0"',
      '        addr = 02.0',
      '        bus: vd0.0',
      '          type virtio-pci-bus',
      '          dev: virtio-blk-device, id ""',
      '      dev: i440FX, id ""',
      '  dev: ioapic, id ""',
    ].join('\r\n'),
  );
  assert.deepEqual(tree, [
    'System/hpet',
    'System/i440FX-pcihost',
    'System/i440FX-pcihost/PCI/i440FX',
    'System/i440FX-pcihost/PCI/virtio-blk-pci',
    'System/i440FX-pcihost/PCI/virtio-blk-pci/virtio-pci-bus/virtio-blk-device',
    'System/ioapic',
  ]);
  assert.equal(parseDeviceTree('unknown command'), null);
});
