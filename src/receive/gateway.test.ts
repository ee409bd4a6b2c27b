import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { sleep } from '../base/index.ts';
import type { ReceiveEvent, ReceiveHello } from '../remote/index.ts';
import { Receiver } from './gateway.ts';

const HELLO: Omit<ReceiveHello, 'qemu'> = {
  godwit: 1,
  migrationId: 'a'.repeat(32),
  key: null,
  lanes: 1,
  linkTimeoutMs: 1000,
  incoming: null,
  listen: { host: null, port: 0 },
};
const STRANGER = 61_234;

/** Serves a migration until it is killed. */
const SERVES = `
  const { Receiver } = await import('${pathToFileURL(join(import.meta.dirname, 'gateway.ts')).href}');
  const receiver = new Receiver({
    ...{ qmpPath: process.argv[1], version: '0.0.0', progress: { onState: () => undefined } },
    say: ({ incoming }) => process.stdout.write(incoming),
    listen: async () => ({ port: 1, close: async () => undefined }),
  });
  await receiver.begin({ ...${JSON.stringify(HELLO)}, qemu: null });
  setInterval(() => undefined, 1000);
`;

test('a far gateway that was killed leaves no folder, though nobody comes after it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-receiver-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const qmpPath = join(folder, 'b.qmp');
  writeFileSync(qmpPath, '');
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', SERVES, qmpPath], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: folder },
  });
  const [said] = await once(child.stdout, 'data');
  const incoming = String(said).replace(/^unix:/, '');
  assert.equal(dirname(dirname(incoming)), folder);
  // As QEMU would, once it is told to listen.
  writeFileSync(incoming, '');
  child.kill('SIGKILL');
  while (existsSync(dirname(incoming))) await sleep(10);
});

test('the destination QEMU listens in a private folder that is its own user and goes with the gateway', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-receiver-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const qmpPath = join(folder, 'b.qmp');
  writeFileSync(qmpPath, '');
  const isRoot = process.geteuid!() === 0;
  if (isRoot) chownSync(qmpPath, STRANGER, STRANGER);
  for (const [own, qemu] of [
    [null, { qmpPath, threadId: null }],
    [qmpPath, null],
  ] as const) {
    const said: ReceiveEvent[] = [];
    const receiver = new Receiver({
      qmpPath: own,
      version: '0.0.0',
      say: (event) => said.push(event),
      progress: { onState: () => undefined },
      listen: async () => ({ port: 1, close: async () => undefined }),
    });
    await receiver.begin({ ...HELLO, qemu });
    const [listening] = said;
    assert.ok(listening?.event === 'listening');
    const place = dirname(listening.incoming.replace(/^unix:/, ''));
    const { uid, mode } = statSync(place);
    assert.deepEqual([uid, mode & 0o777], [isRoot ? STRANGER : process.geteuid!(), 0o700]);
    receiver.ended.catch(() => undefined);
    receiver.fail(new Error('enough'));
    await receiver.close();
    assert.ok(!existsSync(place));
  }
});

test('a QEMU whose place libvirt names is met there, and no folder is made', async () => {
  const said: ReceiveEvent[] = [];
  const receiver = new Receiver({
    ...{ qmpPath: null, version: '0.0.0', say: (event: ReceiveEvent) => void said.push(event) },
    progress: { onState: () => undefined },
    listen: async () => ({ port: 1, close: async () => undefined }),
  });
  const incoming = '/var/lib/libvirt/qemu/godwit-1.sock';
  await receiver.begin({ ...HELLO, qemu: null, incoming });
  const [listening] = said;
  assert.equal(listening?.event === 'listening' && listening.incoming, `unix:${incoming}`);
  receiver.ended.catch(() => undefined);
  receiver.fail(new Error('enough'));
  await receiver.close();
});
