import assert from 'node:assert/strict';
import test from 'node:test';
import { planLaunch } from './plan.ts';
import type { LaunchAsked, LaunchSource, PresentDevice, PresentDrive } from './types.ts';

const NOTHING_SINCE = { devices: [], drives: [], nodes: [], objects: [], chardevs: [], memoryFiles: [] };
const QMP = '-qmp unix:/run/a.qmp,server=on,wait=off';

function plan(line: string, changes: Partial<LaunchSource> = {}, asked: Partial<LaunchAsked> = {}) {
  const source = {
    program: '/usr/bin/qemu-system-x86_64',
    words: line.split(' ').filter((word) => word !== ''),
    workingFolder: '/vms',
    qmpPath: '/run/a.qmp',
    machineType: 'pc-i440fx-10.0',
    ...NOTHING_SINCE,
    ...changes,
  };
  const launch = planLaunch(source, { qmpPath: '/run/b.qmp', sameHost: true, maps: [], ...asked });
  const refused = launch.notes.filter(({ severity }) => severity === 'refuse').map(({ text }) => text);
  return { ...launch, line: launch.words.join(' '), refused };
}

const far = { sameHost: false, qmpPath: '/run/a.qmp' };
const TAIL = '-qmp unix:/run/b.qmp,server=on,wait=off -incoming defer';

test('the alias of a machine is resolved, the QMP socket is where it was asked, and QEMU waits', () => {
  const { line, makes, refused } = plan(`-M q35,accel=tcg -display none -m 64 ${QMP}`);
  assert.equal(line, `-machine pc-i440fx-10.0,accel=tcg -display none -m 64 ${TAIL}`);
  assert.deepEqual([makes, refused], [['/run/b.qmp'], []]);
  assert.equal(plan(`-display none ${QMP}`).line, `-machine pc-i440fx-10.0 -display none ${TAIL}`);
  assert.equal(
    plan(`-machine accel=kvm -display none ${QMP}`).line,
    `-machine accel=kvm,type=pc-i440fx-10.0 -display none ${TAIL}`,
  );
});

test('what only the source does is left out: an earlier -incoming, -S, -daemonize, -loadvm', () => {
  const { line } = plan(`-incoming tcp:0:4444 -S -daemonize -loadvm s1 -display none ${QMP}`);
  assert.equal(line, `-machine pc-i440fx-10.0 -display none ${TAIL}`);
});

test('a QMP socket that the command line does not name is added', () => {
  const { line } = plan('-display none -qmp tcp:127.0.0.1:4444,server=on,wait=off', {}, far);
  assert.match(
    line,
    /-qmp tcp:127\.0\.0\.1:4444,server=on,wait=off -qmp unix:\/run\/a\.qmp,server=on,wait=off/,
  );
});

test('on one host, sockets and files that the source made get names beside the QMP socket', () => {
  const { line, makes } = plan(
    `-display none ${QMP} -serial unix:serial.sock,server,nowait -chardev file,id=f,path=/log/a.log ` +
      '-monitor unix:/other/serial.sock,server=on,wait=off -pidfile /run/a.pid -vnc unix:/run/a.vnc',
  );
  assert.equal(
    line,
    '-machine pc-i440fx-10.0 -display none -qmp unix:/run/b.qmp,server=on,wait=off ' +
      '-serial unix:/run/b.qmp.serial.sock,server,wait=off -chardev file,id=f,path=/run/b.qmp.a.log ' +
      '-monitor unix:/run/b.qmp.serial.sock.2,server=on,wait=off -pidfile /run/b.qmp.a.pid ' +
      '-vnc unix:/run/b.qmp.a.vnc -incoming defer',
  );
  assert.equal(makes.length, 6);
});

test('on another host they keep their names, and must not be there yet', () => {
  const serial = '-serial unix:serial.sock,server=on';
  const { line, makes } = plan(`-display none ${QMP} ${serial}`, {}, far);
  assert.match(line, /-serial unix:serial\.sock,server=on,wait=off/);
  assert.deepEqual(makes, ['/run/a.qmp', '/vms/serial.sock']);
});

test('--map changes paths with what lies in them, whole words and ports, and nothing else', () => {
  const maps = [
    ['/vms', '/srv/vms'],
    ['/vms/special.img', '/mnt/s.img'],
    ['tap0', 'tap1'],
    ['2222', '2223'],
    [':1', ':2'],
  ] as const;
  const { line, workingFolder, refused } = plan(
    '-append root=/vms -drive file=/vms/a,,b.img,if=none,id=d -drive file=/vms/special.img,id=e -hda /vms2/x ' +
      '-netdev tap,id=n,ifname=tap0 -netdev user,id=u,hostfwd=tcp::2222-:22 -vnc :1 ' +
      `-blockdev {"driver":"file","filename":"/vms/c"} ${QMP}`,
    {
      drives: [
        { name: 'd', device: null, medium: { file: '/vms/a,b.img', driver: 'raw', node: '#1' } },
        { name: 'e', device: null, medium: { file: '/vms/special.img', driver: 'raw', node: '#2' } },
        { name: 'ide0-hd0', device: null, medium: { file: '/vms2/x', driver: 'raw', node: '#3' } },
      ],
    },
    { maps },
  );
  assert.equal(
    line,
    '-machine pc-i440fx-10.0 -append root=/vms -drive file=/srv/vms/a,,b.img,if=none,id=d ' +
      '-drive file=/mnt/s.img,id=e -hda /vms2/x -netdev tap,id=n,ifname=tap1 ' +
      '-netdev user,id=u,hostfwd=tcp::2223-:22 -vnc :2 -blockdev {"driver":"file","filename":"/srv/vms/c"} ' +
      TAIL,
  );
  assert.deepEqual([workingFolder, refused], ['/srv/vms', []]);
});

test('what only one process of a host can have is refused on that host, and named', () => {
  const taken = [
    ['-vnc :1', '--map :1=ANOTHER'],
    ['-netdev tap,id=n,ifname=tap0', '--map tap0=ANOTHER'],
    ['-netdev user,id=u,hostfwd=tcp::2222-:22', '--map 2222=ANOTHER'],
    ['-monitor telnet:127.0.0.1:4444,server,nowait', '--map 4444=ANOTHER'],
    ['-chardev socket,id=t,path=/run/swtpm.sock', '--map /run/swtpm.sock=ANOTHER'],
    ['-spice port=5930', '--map 5930=ANOTHER'],
    ['-s', '--map 1234=ANOTHER'],
  ] as const;
  for (const [words, hint] of taken) {
    const here = plan(`-display none ${words} ${QMP}`);
    assert.equal(here.refused.length, 1, words);
    assert.ok(here.refused[0]!.includes(hint), here.refused[0]);
    assert.deepEqual(plan(`-display none ${words} ${QMP}`, {}, far).refused, [], words);
  }
  assert.match(plan(QMP, { memoryFiles: ['/dev/shm/ram'] }).refused[0]!, /--map \/dev\/shm\/ram=ANOTHER/);
});

test('open descriptors and temporary disks are refused anywhere', () => {
  for (const words of [
    '-add-fd fd=3,set=1',
    '-netdev tap,id=n,fd=5,vhostfd=6',
    '-drive file=/dev/fdset/1,id=d',
    '-chardev socket,id=c,fd=7,server=on',
    '-snapshot',
    '-blockdev {"driver":"file","filename":"/dev/fdset/2","node-name":"x"}',
  ]) {
    assert.equal(
      plan(`-display none ${words} ${QMP}`, { nodes: [node('x', '')] }, far).refused.length,
      1,
      words,
    );
  }
  assert.deepEqual(plan(`-display none -incoming fd:5 ${QMP}`, {}, far).refused, []);
});

test('a process without a terminal and a desktop: no stdio, no window', () => {
  assert.match(plan(`-serial mon:stdio -display gtk ${QMP}`).line, /-serial null -display none/);
  assert.match(plan(`-chardev stdio,id=c,signal=off ${QMP}`).line, /-chardev null,id=c .*-display none/);
  assert.doesNotMatch(plan(`-nographic ${QMP}`).line, /-display/);
});

function drive(name: string, file: string | null, driver = 'raw'): PresentDrive {
  return { name, device: null, medium: file === null ? null : { file, driver, node: `#${name}` } };
}

test('a drive has the image and the medium that it has now', () => {
  const line = `-display none -drive file=disk.img,format=raw,if=virtio -cdrom /iso/a.iso ${QMP}`;
  const still = plan(line, { drives: [drive('virtio0', 'disk.img'), drive('ide1-cd0', '/iso/a.iso')] });
  assert.match(still.line, /-drive file=disk\.img,format=raw,if=virtio -cdrom \/iso\/a\.iso/);
  const grown = plan(line, {
    drives: [drive('virtio0', '/vms/snap.qcow2', 'qcow2'), drive('ide1-cd0', '/iso/a.iso')],
  });
  assert.match(grown.line, /-drive file=\/vms\/snap\.qcow2,format=qcow2,if=virtio -cdrom \/iso\/a\.iso/);
  const empty = plan(line, { drives: [drive('virtio0', '/vms/disk.img'), drive('ide1-cd0', null)] });
  assert.match(empty.line, /-drive file=disk\.img,format=raw,if=virtio -drive media=cdrom/);
  const other = plan(line, { drives: [drive('virtio0', 'disk.img'), drive('ide1-cd0', '/iso/b.iso')] });
  assert.match(other.line, /-drive file=\/iso\/b\.iso,format=raw,media=cdrom/);
  const both = plan(line, { drives: [drive('virtio0', '/vms/x'), drive('ide1-cd0', '/iso/b.iso')] });
  assert.equal(both.refused.length, 2);
});

function node(name: string, file: string, driver = 'file') {
  return { name, driver, file, isReadOnly: false };
}

test('-blockdev: what was removed is gone, an ejected medium leaves its drive, another one is refused', () => {
  const line = `-display none -blockdev driver=file,filename=/iso/a.iso,node-name=iso -device ide-cd,id=cd,drive=iso ${QMP}`;
  const device = { id: 'cd', type: 'ide-cd', bus: 'ide.1', properties: {} };
  const present = (medium: PresentDrive['medium'], names: readonly string[]) =>
    plan(line, {
      devices: [device],
      drives: [{ name: '', device: 'cd', medium }],
      nodes: names.map((name) => node(name, '/iso/a.iso')),
    });
  assert.match(
    present({ file: '/iso/a.iso', driver: 'file', node: 'iso' }, ['iso']).line,
    /filename=\/iso\/a.iso,node-name=iso -device ide-cd,id=cd,drive=iso/,
  );
  assert.match(present(null, []).line, /-display none -device ide-cd,id=cd -qmp/);
  assert.equal(present({ file: '/iso/b.iso', driver: 'raw', node: '#block9' }, ['iso']).refused.length, 1);
});

test('a device that is gone is left out, and the others keep their places', () => {
  const at = (id: string, addr: number): PresentDevice => ({
    id,
    type: 'virtio-rng-pci',
    bus: 'pci.0',
    properties: { addr },
  });
  const { line } = plan(
    `-display none -device virtio-rng-pci,id=a -device virtio-rng-pci,id=b -device virtio-rng-pci,id=c,addr=7 ${QMP}`,
    { devices: [at('b', 0x20), at('c', 0x38)] },
  );
  assert.match(
    line,
    /-display none -device virtio-rng-pci,id=b,addr=4\.0 -device virtio-rng-pci,id=c,addr=7 -qmp/,
  );
});

test('a device that came since is written out, with what is behind it', () => {
  const { line, refused } = plan(`-display none -m 128,slots=2,maxmem=1G ${QMP}`, {
    devices: [
      {
        id: 'hot',
        type: 'virtio-blk-pci',
        bus: 'rp1',
        properties: { addr: 0, drive: 'n1', bootindex: -1, serial: '', 'disable-legacy': 'on' },
      },
      {
        id: 'dimm',
        type: 'pc-dimm',
        bus: null,
        properties: { addr: 4294967296, slot: 0, memdev: 'm1', size: 134217728 },
      },
      {
        id: 'cpu1',
        type: 'qemu64-x86_64-cpu',
        bus: null,
        properties: { 'socket-id': 1, 'core-id': 0, 'die-id': -1, 'apic-id': 1 },
      },
    ],
    nodes: [node('n1', '/vms/d2.qcow2', 'qcow2')],
    objects: [{ id: 'm1', type: 'memory-backend-ram', properties: { size: 134217728, share: false } }],
  });
  assert.deepEqual(refused, []);
  assert.match(
    line,
    /-blockdev {"driver":"qcow2","node-name":"n1","read-only":false,"file":{"driver":"file","filename":"\/vms\/d2\.qcow2"}} -device virtio-blk-pci,id=hot,bus=rp1,addr=0\.0,drive=n1,disable-legacy=on/,
  );
  assert.match(
    line,
    /-object memory-backend-ram,id=m1,size=134217728,share=off -device pc-dimm,id=dimm,addr=4294967296,slot=0,memdev=m1/,
  );
  assert.match(line, /-device qemu64-x86_64-cpu,id=cpu1,socket-id=1,core-id=0 -incoming/);
});

test('a device whose other half cannot be told is refused by name', () => {
  const since = (properties: PresentDevice['properties']) =>
    plan(`-display none ${QMP}`, { devices: [{ id: 'x', type: 'virtio-net-pci', bus: 'pci.0', properties }] })
      .refused;
  assert.match(since({ netdev: 'n9' })[0]!, /network n9/);
  assert.match(since({ chardev: 'c9' })[0]!, /character device c9/);
  assert.match(since({ drive: 'd9' })[0]!, /disk d9/);
  assert.match(since({ memdev: 'm9' })[0]!, /object m9/);
});
