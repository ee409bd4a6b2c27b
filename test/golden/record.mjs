// Records the golden streams of this folder with real QEMUs: small guests, several versions, machines and
// device sets. Not responsible for reading streams (src/stream does), nor for the lab's guests: a 64 KiB
// firmware of ten instructions that keeps 16 pages dirty is all that runs here.
//   node_modules/.bin/node test/golden/record.mjs [--only NAME-PART] [--roots .work/qemu]
// QEMUs of other Debian suites are unpacked by qemu-root.sh on first use; `system` means the one in PATH.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { constants, zstdCompressSync } from 'node:zlib';

const HERE = import.meta.dirname;
const VIRTIO = (bus) => [
  ...[
    '-blockdev',
    'driver=null-co,node-name=disk,size=1048576',
    '-device',
    `virtio-blk-pci,drive=disk,bus=${bus}`,
  ],
  ...['-netdev', 'user,id=net', '-device', `virtio-net-pci,netdev=net,romfile=,bus=${bus}`],
  ...['-device', `virtio-serial-pci,bus=${bus}`, '-device', `virtio-rng-pci,bus=${bus}`],
];
const bare = ['-vga', 'none', '-nic', 'none'];
const capability = (name) => ({ capability: name, state: true });

/**
 * `run`: the firmware runs and several passes are made. `returnPath`: through a socket, with commands and
 * SHUT. `cut`: keep only this share of the stream. What a case is there for is said in README.md beside it.
 */
const CASES = [
  { name: 'qemu5.2-pc', suite: 'bullseye', machine: 'pc', args: bare },
  {
    name: 'qemu5.2-q35-virtio',
    suite: 'bullseye',
    machine: 'q35',
    args: ['-vga', 'none', ...VIRTIO('pcie.0')],
  },
  { name: 'qemu7.2-pc-passes', suite: 'bookworm', machine: 'pc', args: bare, run: true },
  {
    name: 'qemu7.2-q35-virtio',
    suite: 'bookworm',
    machine: 'q35',
    args: ['-vga', 'std', ...VIRTIO('pcie.0')],
  },
  { name: 'qemu10.0-pc', suite: 'system', machine: 'pc', args: bare },
  { name: 'qemu10.0-q35-passes', suite: 'system', machine: 'q35', args: bare, run: true, returnPath: true },
  {
    name: 'qemu10.0-q35-virtio',
    suite: 'system',
    machine: 'q35',
    args: ['-vga', 'std', ...VIRTIO('pcie.0')],
  },
  {
    name: 'qemu10.0-pc-plain',
    suite: 'system',
    machine: 'pc,suppress-vmdesc=on',
    args: [
      ...bare,
      '-global',
      'migration.send-configuration=off',
      '-global',
      'migration.send-section-footer=off',
    ],
  },
  {
    name: 'qemu10.0-pc-nofooter',
    suite: 'system',
    machine: 'pc',
    args: [...bare, '-global', 'migration.send-section-footer=off'],
  },
  {
    name: 'qemu10.0-q35-virtiomem',
    suite: 'system',
    machine: 'q35',
    memory: '2M,maxmem=1G',
    args: [
      ...bare,
      ...[
        '-object',
        'memory-backend-ram,id=vm0,size=16M',
        '-device',
        'virtio-mem-pci,id=vmem0,memdev=vm0,bus=pcie.0',
      ],
    ],
  },
  {
    name: 'qemu10.0-pc-ignoreshared',
    suite: 'system',
    machine: 'pc,memory-backend=ram0',
    args: [...bare, '-object', 'memory-backend-memfd,id=ram0,size=2M,share=on'],
    capabilities: ['x-ignore-shared'],
  },
  {
    name: 'qemu10.0-pc-postcopy',
    suite: 'system',
    machine: 'pc',
    args: bare,
    capabilities: ['postcopy-ram'],
    returnPath: true,
  },
  {
    name: 'qemu10.0-pc-xbzrle',
    suite: 'system',
    machine: 'pc',
    args: bare,
    run: true,
    capabilities: ['xbzrle'],
  },
  { name: 'qemu7.2-pc-compress', suite: 'bookworm', machine: 'pc', args: bare, capabilities: ['compress'] },
  { name: 'qemu10.0-pc-cut', suite: 'system', machine: 'pc', args: bare, cut: 0.6 },
  { name: 'qemu11.1-pc', suite: 'trixie-backports', machine: 'pc', args: bare, run: true, returnPath: true },
  {
    name: 'qemu11.1-q35-virtio',
    suite: 'trixie-backports',
    machine: 'q35',
    args: ['-vga', 'std', ...VIRTIO('pcie.0')],
  },
];

/**
 * mov ax,0x1000; mov ds,ax; xor di,di; again: inc word [di]; add di,0x1000; jmp again — di
 * wraps after 16 pages.
 */
function firmware() {
  const image = Buffer.alloc(65536, 0xf4);
  image.set([0xb8, 0x00, 0x10, 0x8e, 0xd8, 0x31, 0xff, 0xff, 0x05, 0x81, 0xc7, 0x00, 0x10, 0xeb, 0xf8]);
  image.set([0xea, 0x00, 0x00, 0x00, 0xf0], 0xfff0); // reset vector: jmp f000:0000
  return image;
}

/** QMP over the child's standard streams: replies by order, events ignored. */
function qmp(child) {
  const waiting = [];
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      const message = JSON.parse(text.slice(0, end));
      text = text.slice(end + 1);
      if ('return' in message) waiting.shift()?.resolve(message.return);
      else if ('error' in message) waiting.shift()?.reject(new Error(message.error.desc));
    }
  });
  const refuse = () => {
    for (const { reject } of waiting.splice(0)) reject(new Error('QEMU ended'));
  };
  child.on('exit', refuse);
  return (execute, args = {}) =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      child.stdin.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    });
}

async function until(what, timeoutMs, probe) {
  for (const start = Date.now(); Date.now() - start < timeoutMs; await sleep(20)) {
    const value = await probe();
    if (value) return value;
  }
  throw new Error(`timed out: ${what}`);
}

/** A destination that only listens: it keeps the bytes and, asked, answers SHUT(0) on the return path. */
function listener(path) {
  const chunks = [];
  let socket = null;
  const server = createServer((peer) => {
    socket = peer;
    peer.on('data', (chunk) => chunks.push(chunk));
    peer.on('error', () => {});
  }).listen(path);
  return {
    shut: () => socket?.write(Buffer.from([0, 1, 0, 4, 0, 0, 0, 0])),
    bytes: () => Buffer.concat(chunks),
    close: () => {
      socket?.destroy();
      server.close();
    },
  };
}

async function migrate(command, item, folder) {
  const file = join(folder, 'stream');
  const destination = item.returnPath ? listener(join(folder, 'socket')) : null;
  const capabilities = [...(item.capabilities ?? []), ...(item.returnPath ? ['return-path'] : [])].map(
    capability,
  );
  await command('qmp_capabilities');
  if (capabilities.length > 0) await command('migrate-set-capabilities', { capabilities });
  await command('migrate-set-parameters', {
    'max-bandwidth': item.run ? 200_000 : 1e9,
    'downtime-limit': item.run ? 1 : 2000,
  });
  if (item.run) await command('cont');
  if (item.run) await sleep(300);
  await command('migrate', { uri: destination ? `unix:${join(folder, 'socket')}` : `exec:cat > ${file}` });
  if (item.run) {
    await until(
      'three passes',
      30_000,
      async () => ((await command('query-migrate')).ram?.['dirty-sync-count'] ?? 0) >= 4,
    );
    await command('stop');
    await command('migrate-set-parameters', { 'max-bandwidth': 1e9 });
  }
  let seen = -1;
  await until('completed', 30_000, async () => {
    const { status } = await command('query-migrate');
    if (status === 'failed') throw new Error('migration failed');
    const length = destination?.bytes().length ?? 0;
    if (destination && length > 8 && length === seen) destination.shut();
    seen = length;
    if (destination) await sleep(300);
    return status === 'completed';
  });
  const bytes = destination ? destination.bytes() : readFileSync(file);
  destination?.close();
  return bytes;
}

async function record(item, roots) {
  if (item.suite !== 'system') {
    execFileSync(join(HERE, 'qemu-root.sh'), [item.suite, join(roots, item.suite)], { stdio: 'inherit' });
  }
  const binary =
    item.suite === 'system' ? 'qemu-system-x86_64' : resolve(roots, item.suite, 'qemu-system-x86_64');
  const folder = mkdtempSync(join(tmpdir(), 'godwit-golden-'));
  writeFileSync(join(folder, 'firmware'), firmware());
  const child = spawn(
    binary,
    [
      ...[
        '-machine',
        item.machine,
        '-accel',
        'tcg',
        '-m',
        item.memory ?? '2M',
        '-nodefaults',
        '-display',
        'none',
        '-S',
      ],
      ...['-bios', join(folder, 'firmware'), '-qmp', 'stdio', ...item.args],
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  try {
    let bytes = await migrate(qmp(child), item, folder);
    if (item.cut) bytes = bytes.subarray(0, Math.floor(bytes.length * item.cut));
    const packed = zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 19 } });
    if (packed.length > 256 * 1024)
      throw new Error(`${item.name}: ${packed.length} bytes is too large for a golden stream`);
    writeFileSync(join(HERE, `${item.name}.stream.zst`), packed);
    console.log(`${item.name}: ${bytes.length} bytes, ${packed.length} packed`);
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

const { values } = parseArgs({
  options: { only: { type: 'string' }, roots: { type: 'string', default: '.work/qemu' } },
});
for (const item of CASES)
  if (!values.only || item.name.includes(values.only)) {
    try {
      await record(item, values.roots);
    } catch (error) {
      console.error(`${item.name}: ${error.message}`);
      process.exitCode = 1;
    }
  }
