/**
 * Kinds of VM that people run, moved by the program as it is installed. They are paused: what matters is
 * what travels, not how fast.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { sleep } from '../../src/base/index.ts';
import { startProcess } from '../../src/lab/index.ts';
import { qemuMissing } from '../../src/lab/machine/qemu.testing.ts';
import { connectQmp, type JsonObject, type QmpClient } from '../../src/qmp/index.ts';
import { GODWIT } from './ssh-rig.ts';

const skip = qemuMissing();
const skipUnlessRoot =
  skip || (process.getuid?.() === 0 ? false : 'only root can start QEMU as another user');
const MIB = 1024 * 1024;
/** Beside many other tests a QEMU starts slowly. */
const READY_TIMEOUT_MS = 30_000;

/** In /run for a QEMU that does not see our /tmp. */
function folderOf(t: TestContext, parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, 'godwit-kinds-'));
  chmodSync(folder, 0o777);
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

interface End {
  /** For godwit. */
  readonly qmpPath: string;
  /** A second socket, for the test. */
  readonly qmp: QmpClient;
}

interface EndOptions {
  readonly args: readonly string[];
  /** What starts QEMU, such as `setpriv`. */
  readonly by?: readonly string[];
}

async function startEnd(t: TestContext, folder: string, name: string, options: EndOptions): Promise<End> {
  const [qmpPath, second] = [join(folder, `${name}.qmp`), join(folder, `${name}-2.qmp`)];
  const sockets = [qmpPath, second].flatMap((path) => ['-qmp', `unix:${path},server=on,wait=off`]);
  const plain = ['-accel', 'tcg', '-display', 'none', '-nodefaults', '-m', '32', '-S', ...sockets];
  const by = options.by ?? [];
  const process = await startProcess([...by, 'qemu-system-x86_64', ...plain, ...options.args]);
  t.after(() => process.kill());
  for (let waitedMs = 0; ; waitedMs += 50) {
    try {
      const qmp = await connectQmp({ path: second });
      t.after(() => qmp.close());
      return { qmpPath, qmp };
    } catch (error) {
      if (waitedMs >= READY_TIMEOUT_MS) throw error;
      await sleep(50);
    }
  }
}

async function startPair(
  t: TestContext,
  folder: string,
  source: EndOptions,
  destination: EndOptions = source,
): Promise<{ source: End; destination: End }> {
  const incoming = destination.args.includes('-incoming') ? [] : ['-incoming', 'defer'];
  return {
    source: await startEnd(t, folder, 'a', source),
    destination: await startEnd(t, folder, 'b', {
      ...destination,
      args: [...destination.args, ...incoming],
    }),
  };
}

interface Report {
  readonly code: number;
  readonly outcome?: string;
  readonly error?: { readonly code: string; readonly fields: { readonly codes?: string } };
  readonly failure?: { readonly code: string; readonly text: string } | null;
}

function move(folder: string, source: End, destination: End, ...more: string[]): Promise<Report> {
  const ends = [`qmp:${source.qmpPath}`, `qmp:${destination.qmpPath}`];
  const env = { ...process.env, GODWIT_STATE_DIR: join(folder, 'state') };
  const argv = [GODWIT, 'migrate', ...ends, '--json', ...more];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, argv, { env }, (error, out, err) => {
      try {
        resolve({ code: Number(error?.code ?? 0), ...(JSON.parse(out) as object) });
      } catch {
        reject(new Error(`godwit said: ${out}${err}`));
      }
    });
  });
}

async function statusOf({ qmp }: End): Promise<string> {
  return ((await qmp.execute('query-status')) as { status: string }).status;
}

/** It arrives as it was: paused since its start. */
async function assertMoved(report: Report, { source, destination }: { source: End; destination: End }) {
  assert.deepEqual([report.code, report.outcome], [0, 'completed'], JSON.stringify(report.failure ?? report));
  assert.deepEqual([await statusOf(source), await statusOf(destination)], ['postmigrate', 'prelaunch']);
}

test('QEMUs of other users, one with a /tmp of its own, are moved', { skip: skipUnlessRoot }, async (t) => {
  const folder = folderOf(t, '/run');
  const as = (user: number) => [
    'setpriv',
    '--reuid',
    String(user),
    '--regid',
    String(user),
    '--clear-groups',
  ];
  const ownTmp = 'mount --make-rprivate / && mount -t tmpfs -o mode=1777 t /tmp && exec "$@"';
  const pair = await startPair(
    t,
    folder,
    { args: [], by: as(61_234) },
    { args: [], by: ['unshare', '-m', 'sh', '-c', ownTmp, 'sh', ...as(61_235)] },
  );
  await assertMoved(await move(folder, pair.source, pair.destination), pair);
});

test('a destination that listens already is refused, and lives on', { skip }, async (t) => {
  const folder = folderOf(t);
  const pair = await startPair(t, folder, { args: [] }, { args: ['-incoming', 'tcp:127.0.0.1:0'] });
  const report = await move(folder, pair.source, pair.destination);
  assert.deepEqual([report.code, report.error?.fields.codes], [1, 'DESTINATION_LISTENING']);
  assert.deepEqual(
    [await statusOf(pair.source), await statusOf(pair.destination)],
    ['prelaunch', 'inmigrate'],
  );
});

test('dirty bitmaps travel with their bits', { skip }, async (t) => {
  const folder = folderOf(t);
  const image = join(folder, 'd.img');
  writeFileSync(image, '');
  truncateSync(image, 16 * MIB);
  const disk = [
    ...['-blockdev', `driver=raw,node-name=d0,file.driver=file,file.filename=${image}`],
    ...['-device', 'virtio-blk-pci,drive=d0,id=vd0'],
  ];
  const pair = await startPair(t, folder, { args: disk });
  const { qmp } = pair.source;
  await qmp.execute('block-dirty-bitmap-add', { node: 'd0', name: 'backup', granularity: 65_536 });
  await qmp.execute('human-monitor-command', {
    'command-line': 'qemu-io -d vd0/virtio-backend "write 1M 128k"',
  });
  const warned = await move(folder, pair.source, pair.destination, '--dry-run');
  const findings = (warned as unknown as { findings: { code: string }[] }).findings;
  assert.ok(findings.some(({ code }) => code === 'DISK_BITMAPS'));
  const on = { capabilities: [{ capability: 'dirty-bitmaps', state: true }] };
  await qmp.execute('migrate-set-capabilities', on);
  await assertMoved(await move(folder, pair.source, pair.destination), pair);
  const blocks = (await pair.destination.qmp.execute('query-block')) as {
    inserted: { 'dirty-bitmaps'?: JsonObject[] };
  }[];
  const [bitmap] = blocks[0]?.inserted['dirty-bitmaps'] ?? [];
  assert.deepEqual([bitmap?.['name'], bitmap?.['count']], ['backup', 128 * 1024]);
});

const HOTPLUG_CPU = { driver: 'qemu64-x86_64-cpu', 'socket-id': 1, 'core-id': 0, 'thread-id': 0 };

/** What a paused VM can show of each kind: its devices and their states are loaded at the other end. */
const KINDS: readonly {
  readonly kind: string;
  readonly args: readonly string[];
  /** At the destination instead: what was plugged in since. */
  readonly there?: readonly string[];
  readonly plug?: readonly (readonly [string, JsonObject])[];
}[] = [
  {
    kind: 'a PCI expander bridge with a device behind it',
    args: [
      ...['-machine', 'q35', '-device', 'pxb-pcie,id=px,bus_nr=80', '-device'],
      ...['pcie-root-port,id=rp0,bus=px,addr=0,chassis=1', '-device', 'virtio-rng-pci,bus=rp0'],
    ],
  },
  { kind: 'several vCPUs and a balloon', args: ['-smp', '2', '-device', 'virtio-balloon-pci'] },
  {
    kind: 'a vCPU plugged in since the start',
    args: ['-smp', '1,maxcpus=2,sockets=2,cores=1,threads=1'],
    there: [
      ...['-smp', '1,maxcpus=2,sockets=2,cores=1,threads=1', '-device'],
      'qemu64-x86_64-cpu,id=c1,socket-id=1,core-id=0,thread-id=0',
    ],
    plug: [['device_add', { ...HOTPLUG_CPU, id: 'c1' }]],
  },
  {
    kind: 'a DIMM plugged in since the start',
    args: ['-m', '32M,slots=2,maxmem=128M'],
    there: [
      ...['-m', '32M,slots=2,maxmem=128M', '-object', 'memory-backend-ram,id=m1,size=32M'],
      ...['-device', 'pc-dimm,id=d1,memdev=m1'],
    ],
    plug: [
      ['object-add', { 'qom-type': 'memory-backend-ram', id: 'm1', size: 32 * MIB }],
      ['device_add', { driver: 'pc-dimm', id: 'd1', memdev: 'm1' }],
    ],
  },
  {
    kind: 'virtio-mem that has nothing plugged',
    args: [
      ...['-machine', 'q35', '-m', '32M,slots=1,maxmem=1G', '-object', 'memory-backend-ram,id=v1,size=128M'],
      ...['-device', 'virtio-mem-pci,id=vm1,memdev=v1,requested-size=64M'],
    ],
  },
  {
    kind: '9p that nobody has mounted',
    args: [
      '-fsdev',
      `local,id=f0,path=${tmpdir()},security_model=none`,
      '-device',
      'virtio-9p-pci,fsdev=f0,mount_tag=x',
    ],
  },
];

for (const { kind, args, there, plug = [] } of KINDS) {
  test(`moved: ${kind}`, { skip }, async (t) => {
    const folder = folderOf(t);
    const pair = await startPair(t, folder, { args }, { args: there ?? args });
    for (const [command, values] of plug) await pair.source.qmp.execute(command, values);
    await assertMoved(await move(folder, pair.source, pair.destination), pair);
  });
}
