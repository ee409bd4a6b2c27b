/** The command line of `godwit receive`, by hand. Real migrations: test/live; who gets in: src/controller. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FakeQmpServer, fakeReturn } from '../../qmp/fake.testing.ts';
import { sayEnded } from '../../remote/index.ts';
import { main } from '../main.ts';

const folder = mkdtempSync(join(tmpdir(), 'godwit-receive-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const at = (file: string) => fileURLToPath(new URL(`../../../test/certificates/${file}`, import.meta.url));
const TLS = ['--tls-cert', at('far.pem'), '--tls-key', at('far.key'), '--tls-ca', at('ours.pem')];

function start(...args: string[]) {
  const heard = { out: '', err: '' };
  const code = main(['receive', ...args, '--json'], {
    out: { write: (text) => void (heard.out += text) },
    err: { write: (text) => void (heard.err += text) },
  });
  return { heard, code };
}

for (const [why, args, code] of [
  ['nothing', [], 'USAGE_RECEIVE'],
  ['no address', ['qmp:/b', ...TLS], 'USAGE_RECEIVE'],
  ['no port', ['qmp:/b', '--listen', 'host', ...TLS], 'USAGE_ENDPOINT'],
  ['no QEMU', ['/b', '--listen', 'host:1', ...TLS], 'USAGE_ENDPOINT'],
  ['neither certificates nor --insecure', ['qmp:/b', '--listen', 'host:1'], 'USAGE_VALUE'],
  ['both', ['qmp:/b', '--listen', 'host:1', '--insecure', ...TLS], 'USAGE_VALUE'],
  ['an authority too few', ['qmp:/b', '--listen', 'host:1', ...TLS.slice(0, 4)], 'USAGE_VALUE'],
  ['a key that is none', ['qmp:/b', '--listen', 'host:1', ...TLS, '--tls-key', at('far.pem')], 'USAGE_TLS'],
] as const) {
  test(`${why}: refused before anything is asked`, async () => {
    const { heard, code: exit } = start(...args);
    assert.deepEqual([await exit, JSON.parse(heard.out).error.code], [2, code]);
  });
}

test('a QEMU that is not there is an error before anybody is waited for', async () => {
  const { heard, code } = start('qmp:/nowhere/b.qmp', '--listen', '127.0.0.1:0', ...TLS);
  assert.deepEqual([await code, JSON.parse(heard.out).error.code], [1, 'QMP_CONNECT']);
});

test('in clear it says what that means; it ends when the source says so', async () => {
  const status = () => fakeReturn({ status: 'inmigrate', running: false });
  const handlers = { 'query-status': status };
  await using qemu = await FakeQmpServer.listen({ path: join(folder, 'b.qmp'), handlers });
  const { heard, code } = start(`qmp:${qemu.path}`, '--listen', '127.0.0.1:0', '--insecure');
  let port: string | undefined;
  while (port === undefined) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    port = /listening on 127\.0\.0\.1:(\d+)/.exec(heard.err)?.[1];
  }
  assert.match(heard.err, /whoever reaches this port controls the QEMU/);
  await sayEnded({ host: '127.0.0.1', port: Number(port), tls: null, session: 'a'.repeat(32) }, 'aborted');
  assert.equal(await code, 1);
  assert.deepEqual(JSON.parse(heard.out), {
    schema: 'godwit.receive/1',
    success: false,
    outcome: 'aborted',
    pages: 0,
    failure: null,
  });
});
