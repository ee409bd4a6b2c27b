/**
 * Who gets in at a `godwit receive` that was started by hand, and what they reach; on loopback,
 * with a fake QEMU.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { errorCode, sleep } from '../base/index.ts';
import { QmpMachine } from '../machines/index.ts';
import { FakeQmpServer, fakeReturn } from '../qmp/fake.testing.ts';
import { connectQmp, queryStatus } from '../qmp/index.ts';
import { FarSide } from '../remote/far-side.ts';
import { forwardListener, type ListenerReach, sayEnded } from '../remote/listener.ts';
import { LINE_BYTES_MAX } from '../remote/messages.ts';
import { loadTls, type TlsFiles } from '../remote/tls.ts';
import { LINGER_MS_DEFAULT, type ReceiveEnd, receiveListening } from './listener.ts';

const CERTIFICATES = fileURLToPath(new URL('../../test/certificates/', import.meta.url));
const never = new AbortController().signal;

function files(name: string, authority = 'ours'): TlsFiles {
  const at = (file: string) => join(CERTIFICATES, file);
  return { certPath: at(`${name}.pem`), keyPath: at(`${name}.key`), caPath: at(`${authority}.pem`) };
}

interface Far {
  readonly qemu: FakeQmpServer;
  readonly port: number;
  readonly said: string[];
  readonly ended: Promise<ReceiveEnd>;
  /** As the source would name it. */
  reach(session?: string, tlsFiles?: TlsFiles | null): ListenerReach;
}

const SESSION = 'a'.repeat(32);
const OTHER = 'b'.repeat(32);

async function openFarSide(
  context: TestContext,
  { isPlain = false, lingerMs = LINGER_MS_DEFAULT }: { isPlain?: boolean; lingerMs?: number } = {},
): Promise<Far> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-receive-test-'));
  const status = () => fakeReturn({ status: 'inmigrate', running: false });
  const qemu = await FakeQmpServer.listen({
    path: join(folder, 'b.qmp'),
    handlers: { 'query-status': status },
  });
  const stop = new AbortController();
  const said: string[] = [];
  const listening = Promise.withResolvers<number>();
  const ended = receiveListening(
    {
      qmpPath: qemu.path,
      listen: { host: '127.0.0.1', port: 0 },
      credentials: isPlain ? null : loadTls(files('far')),
      lingerMs,
      version: '0.0.0',
    },
    {
      onListening: ({ port }) => listening.resolve(port),
      onBegun: () => void said.push('begun'),
      onState: (text) => void said.push(text),
      onPages: () => undefined,
    },
    stop.signal,
  );
  ended.catch(listening.reject);
  context.after(async () => {
    stop.abort(new Error('the test is over'));
    await ended.catch(() => undefined);
    await qemu[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });
  const port = await listening.promise;
  const reach = (session = SESSION, tlsFiles: TlsFiles | null = isPlain ? null : files('near')) => ({
    host: '127.0.0.1',
    port,
    tls: tlsFiles,
    session,
  });
  return { qemu, port, said, ended, reach };
}

/** The run state that QMP through the listener shows, or why it does not. */
async function stateThrough(listener: ListenerReach): Promise<string> {
  const forward = await forwardListener(listener);
  try {
    await using qmp = await connectQmp({ path: forward.path, timeoutMs: 2000 });
    return (await queryStatus(qmp)).status;
  } catch (error) {
    return forward.failure === null ? errorCode(error) : errorCode(forward.failure);
  } finally {
    forward.close();
  }
}

function beginAt(listener: ListenerReach): Promise<FarSide> {
  return FarSide.start(
    {
      reach: { command: [], host: listener.host, listener },
      remoteCommand: [],
      dataAddress: null,
      connections: 3,
      linkTimeoutMs: 5000,
      ...{ qemu: null, incoming: null },
      onEvent: () => undefined,
      onNote: () => undefined,
    },
    never,
  );
}

for (const isPlain of [false, true]) {
  const way = isPlain ? 'in clear' : 'with certificates of one authority';
  test(`${way}: QMP, channel and link come in by one port, and the end is said`, async (context) => {
    const far = await openFarSide(context, { isPlain });
    assert.equal(await stateThrough(far.reach()), 'inmigrate');
    const side = await beginAt(far.reach());
    assert.match(side.incoming, /^unix:\/.*incoming\.sock$/);
    assert.equal(side.link.stats().filter(({ connected }) => connected).length, 3);
    assert.equal(await stateThrough(far.reach()), 'inmigrate');
    side.close();
    side.link.abort(new Error('enough'));
    await sayEnded(far.reach(), 'completed');
    assert.equal((await far.ended).outcome, 'completed');
  });
}

test('a wrong certificate, none, or a far side of another authority: LINK_TLS, and QEMU is not asked', async (context) => {
  const far = await openFarSide(context);
  const askedBefore = far.qemu.requests.length;
  assert.equal(await stateThrough(far.reach(SESSION, files('stranger', 'ours'))), 'LINK_TLS');
  assert.ok(far.said.some((text) => /refused \[LINK_TLS\]/.test(text)));
  assert.equal(await stateThrough(far.reach(SESSION, files('near', 'theirs'))), 'LINK_TLS');
  const { host, port } = far.reach();
  const named = { ...files('near'), serverName: 'other.test' };
  assert.equal(await stateThrough(far.reach(SESSION, named)), 'LINK_TLS');
  assert.equal(await stateThrough(far.reach(SESSION, { ...named, serverName: 'far.test' })), 'inmigrate');
  const askedBetween = far.qemu.requests.length;
  // Without a certificate the handshake itself succeeds in TLS 1.3; what comes then is a refusal.
  const anonymous = tls.connect({ host, port, rejectUnauthorized: false });
  anonymous.write(`${JSON.stringify({ godwit: 1, open: 'qmp', session: SESSION })}\n`);
  const [answer] = (await once(anonymous, 'data')) as [Buffer];
  assert.match(answer.toString('latin1'), /^GW.*LINK_TLS.*no certificate was shown/s);
  anonymous.destroy();
  assert.equal(far.qemu.requests.length, askedBetween);
  // The two are what the connection with the right name asked: its capabilities, its status.
  assert.equal(askedBetween, askedBefore + 2);
});

test('TLS at one end only is named as such, whichever end it is', async (context) => {
  const secure = await openFarSide(context);
  assert.equal(await stateThrough(secure.reach(SESSION, null)), 'REACH_TLS');
  const plain = await openFarSide(context, { isPlain: true });
  assert.equal(await stateThrough(plain.reach(SESSION, files('near'))), 'REACH_TLS');
  assert.ok(plain.said.some((text) => /REACH_TLS/.test(text)));
  assert.equal(await stateThrough({ ...plain.reach(), port: 1 }), 'REACH_FAILED');
});

test('once a migration has begun nobody else is listened to', async (context) => {
  const far = await openFarSide(context);
  assert.equal(await stateThrough(far.reach(OTHER)), 'inmigrate');
  const side = await beginAt(far.reach());
  assert.equal(await stateThrough(far.reach(OTHER)), 'RECEIVE_BUSY');
  await assert.rejects(beginAt(far.reach(OTHER)), { code: 'RECEIVE_BUSY' });
  await assert.rejects(beginAt(far.reach()), { code: 'RECEIVE_BUSY' });
  await sayEnded(far.reach(OTHER), 'aborted');
  assert.equal(await stateThrough(far.reach()), 'inmigrate');
  side.close();
  side.link.abort(new Error('enough'));
});

test('a lost source: QMP stays within reach for --linger, the newest connection counts', async (context) => {
  const far = await openFarSide(context, { lingerMs: 2000 });
  const side = await beginAt(far.reach());
  const forward = await forwardListener(far.reach());
  const hanging = await connectQmp({ path: forward.path });
  side.link.abort(new Error('the source dies'));
  side.close();
  await sleep(2500);
  const machine = new QmpMachine({
    qmpPath: 'tls://far',
    ...{ identity: null, claim: null },
    reach: { command: [], host: '127.0.0.1', linkTimeoutMs: 1000, listener: far.reach() },
  });
  context.after(() => machine.close());
  assert.deepEqual(await machine.status(10_000), { state: 'answers', runState: 'inmigrate' });
  await hanging.closed;
  await hanging.close();
  forward.close();
  // With its QEMU gone the listener can tell, and that is no silence.
  await far.qemu[Symbol.asyncDispose]();
  assert.deepEqual(await machine.status(10_000), {
    state: 'gone',
    why: 'its process has ended',
  });
  await machine.close();
  await assert.rejects(far.ended, { code: 'CHANNEL_CLOSED' });
});

test('what does not speak as godwit does is refused, with little kept of it', async (context) => {
  const far = await openFarSide(context, { isPlain: true });
  const answerTo = async (bytes: string | Buffer): Promise<string> => {
    const socket = net.connect({ host: '127.0.0.1', port: far.port });
    socket.on('error', () => undefined);
    socket.write(bytes);
    let answer = '';
    socket.on('data', (chunk) => {
      answer += String(chunk);
    });
    await once(socket, 'end');
    socket.destroy();
    return answer;
  };
  for (const bytes of [
    'GET / HTTP/1.0\r\n\r\n',
    'GW'.padEnd(100, '\0'),
    '{}\n',
    '{"godwit":1,"open":"qmp","session":"../../x"}\n',
    `{"${'x'.repeat(LINE_BYTES_MAX + 1)}`,
  ]) {
    assert.match(await answerTo(bytes), /"code":"RECEIVE_PROTOCOL"/);
  }
  assert.equal(await stateThrough(far.reach()), 'inmigrate');
});

test('files that make no identity are refused before anything listens', () => {
  assert.throws(() => loadTls(files('nobody')), { code: 'USAGE_TLS' });
  assert.throws(() => loadTls({ ...files('far'), keyPath: files('near').keyPath }), { code: 'USAGE_TLS' });
});
