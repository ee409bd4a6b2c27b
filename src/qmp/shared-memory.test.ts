import assert from 'node:assert/strict';
import test from 'node:test';
import {
  compareSharedMemory,
  parseSharedMappings,
  type SharedMemory,
  type SharedMemoryEnd,
} from './shared-memory.ts';

const MAPS = `55d000000000-55d000001000 r--p 00000000 08:01 11 /usr/bin/qemu-system-x86_64
7f2a0bfff000-7f2a0ffff000 rw-s 00000000 00:1a 2                          /dev/shm/vm 1.ram
7f2a10000000-7f2a10001000 rw-s 00000000 00:0e 1053                       anon_inode:kvm-vcpu:0
7f2a20000000-7f2a20001000 r--s 00000000 00:1a 3                          /dev/shm/read-only
7f2a30000000-7f2a30001000 rw-p 00000000 00:1a 4                          /dev/shm/private
7f2a40000000-7f2a40001000 rw-p 00000000 00:00 0                          [heap]
7f2a50000000-7f2a50001000 rw-s 00000000 00:01 9                          /memfd:memory-backend-memfd (deleted)
`;

test('only shared, writable mappings of files count', () => {
  const files = parseSharedMappings(MAPS);
  assert.deepEqual(
    files.map(({ identity, path }) => [identity, path]),
    [
      ['00:1a:2', '/dev/shm/vm 1.ram'],
      ['00:01:9', '/memfd:memory-backend-memfd (deleted)'],
    ],
  );
  assert.equal(files[0]?.fromAddress, 0x7f2a0bfff000n);
  assert.deepEqual(parseSharedMappings('nonsense\n'), []);
});

const mapped = (identity: string, fromAddress = 0x1000n) => ({
  identity,
  path: '/dev/shm/vm1.ram',
  fromAddress,
  toAddress: fromAddress + 0x1000n,
});

const backend = (isOnNetwork: boolean | null, path = '/mnt/ram') => ({ id: 'ram', path, isOnNetwork });

/** One end, by default a QEMU of this host whose mappings can be seen. */
function end(pid: number | null, changes: Partial<SharedMemory> = {}): SharedMemoryEnd {
  return { pid, ramBlocks: null, sharedMemory: { pid, mapped: [], backends: [], ...changes } };
}

function severities(source: SharedMemoryEnd, destination: SharedMemoryEnd): string[] {
  return [...compareSharedMemory(source, destination)].map(({ severity, code }) => {
    assert.equal(code, 'RAM_SHARED');
    return severity;
  });
}

test('one file by device and inode is refused, whatever its names; two files of one name are not', () => {
  const source = end(1, { mapped: [mapped('0:1')], backends: [backend(false)] });
  assert.deepEqual(severities(source, end(2, { mapped: [mapped('0:1'), mapped('0:1')] })), ['refuse']);
  assert.deepEqual(
    severities(source, end(2, { mapped: [mapped('0:2')], backends: [backend(false)] })),
    [],
    'another mount namespace may have another file of that name',
  );
});

test('a shared file that holds no RAM is not the VM', () => {
  const ramBlocks = [
    { id: 'pc.ram', usedBytes: 1, totalBytes: 0x1000, pageSize: '4 KiB', hostAddress: 0x8000n },
  ];
  const rings = [mapped('0:1', 0x1000n)];
  const destination = end(2, { mapped: [mapped('0:1')] });
  assert.deepEqual(severities({ ...end(1, { mapped: rings }), ramBlocks }, destination), []);
  const ram = [mapped('0:1', 0x8000n)];
  assert.deepEqual(severities({ ...end(1, { mapped: ram }), ramBlocks }, destination), ['refuse']);
});

test('without a look at the mappings the names decide', () => {
  const hidden = { mapped: null };
  const here = (isOnNetwork: boolean | null) => end(1, { ...hidden, backends: [backend(isOnNetwork)] });
  assert.deepEqual(severities(here(false), end(2, { ...hidden, backends: [backend(null)] })), ['refuse']);
  assert.deepEqual(severities(here(false), end(2, { ...hidden, backends: [backend(null, '/x')] })), []);
});

test('between hosts a file is shared by a network file system only', () => {
  const there = { ...end(null), sharedMemory: { pid: null, mapped: null, backends: [backend(null)] } };
  const here = (isOnNetwork: boolean | null) =>
    end(1, { mapped: [mapped('0:1')], backends: [backend(isOnNetwork)] });
  assert.deepEqual(severities(here(true), there), ['refuse']);
  assert.deepEqual(severities(here(false), there), []);
  assert.deepEqual(severities(here(null), there), ['warn']);
});

test('a far host that is this one is recognised by what its QEMU maps; a stranger with our number is not believed', () => {
  const here = end(1, { mapped: [mapped('0:1')] });
  const far = (pid: number): SharedMemoryEnd => ({
    ...end(null),
    sharedMemory: { pid, mapped: [mapped('0:1')], backends: [] },
  });
  assert.deepEqual(severities(here, far(2)), ['refuse']);
  assert.deepEqual(severities(here, far(1)), []);
});
