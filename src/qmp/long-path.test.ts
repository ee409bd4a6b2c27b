import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { sleep } from '../base/index.ts';
import { connectQmp } from './connect.ts';
import { FakeQmpServer } from './fake.testing.ts';
import { SOCKET_PATH_BYTES_MAX } from './socket-place.ts';

const linkOf = (name: string) => {
  try {
    return readlinkSync(join('/proc/self/fd', name));
  } catch {
    return '';
  }
};
const openBelow = (folder: string) =>
  readdirSync('/proc/self/fd').filter((name) => linkOf(name).startsWith(folder)).length;

test('a QMP socket deeper than an address is long is reached; one whose own name is too long is not', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-long-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const deep = join(folder, 'x'.repeat(SOCKET_PATH_BYTES_MAX));
  mkdirSync(deep);
  // A server binds there by a shorter name, as QEMU does in its working folder.
  const before = process.cwd();
  process.chdir(deep);
  const server = await FakeQmpServer.listen({ path: 'a.qmp' });
  process.chdir(before);
  const path = join(deep, 'a.qmp');
  await (await connectQmp({ path })).close();
  await server[Symbol.asyncDispose]();
  await assert.rejects(connectQmp({ path }), { code: 'QMP_CONNECT' });
  await assert.rejects(connectQmp({ path: join(folder, 'y'.repeat(200), 'a') }), { code: 'QMP_CONNECT' });
  const named = connectQmp({ path: join(folder, 'y'.repeat(120)) });
  await assert.rejects(named, { code: 'QMP_CONNECT', hint: /a name of at most 80 bytes/ });
  // A socket is closed some turns after it was destroyed.
  for (let tries = 0; openBelow(folder) > 0; tries++) {
    assert.ok(tries < 1000, 'no folder stays open');
    await sleep(5);
  }
});
