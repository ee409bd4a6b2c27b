import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { GodwitError, sleep } from '../base/index.ts';
import { COMMANDS_WAITING_MAX, type QmpClient } from './client.ts';
import { connectQmp, countServerSockets } from './connect.ts';
import { EVENTS_KEPT_MAX } from './events.ts';
import type { FakeOptions } from './fake.testing.ts';
import { FakeQmpServer, fakeError, fakeLater, fakeReturn, fakeSilence } from './fake.testing.ts';

function socketPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-qmp-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'qmp.sock');
}

async function serve(t: TestContext, options: Omit<FakeOptions, 'path'> = {}): Promise<FakeQmpServer> {
  const fake = await FakeQmpServer.listen({ path: socketPath(t), ...options });
  t.after(() => fake.close());
  return fake;
}

async function pair(
  t: TestContext,
  options: Omit<FakeOptions, 'path'> = {},
): Promise<[FakeQmpServer, QmpClient]> {
  const fake = await serve(t, options);
  const client = await connectQmp({ path: fake.path });
  t.after(() => client.close());
  return [fake, client];
}

const code = (expected: string) => (error: unknown) => {
  assert.equal((error as { code?: unknown }).code, expected, String(error));
  return true;
};

test('the client negotiates out-of-band execution where it is offered, and only there', async (t) => {
  const [fake, client] = await pair(t);
  assert.deepEqual(fake.requests[0], { name: 'qmp_capabilities', args: { enable: ['oob'] }, oob: false });
  assert.equal(client.oob, true);
  assert.deepEqual(client.greeting.version, { major: 10, minor: 0, micro: 2 });

  const [old, oldClient] = await pair(t, { oob: false });
  assert.deepEqual(old.requests[0]?.args, {});
  assert.equal(oldClient.oob, false);
  await assert.rejects(oldClient.execute('migrate-pause', {}, { oob: true }), code('QMP_UNSUPPORTED'));
});

test('a listener that begins late asks for what has come since its mark', async (t) => {
  const [fake, client] = await pair(t);
  fake.emit('MIGRATION', { status: 'setup' });
  await client.waitEvent('MIGRATION', { since: 0 });
  const mark = client.eventMark();
  fake.emit('MIGRATION_PASS', { pass: 1 });
  fake.emit('MIGRATION_PASS', { pass: 2 });
  await client.waitEvent(({ data }) => data['pass'] === 2, { since: mark });
  const passes = client.eventsSince(mark).map(({ name, data }) => [name, data['pass']]);
  assert.deepEqual(passes, [
    ['MIGRATION_PASS', 1],
    ['MIGRATION_PASS', 2],
  ]);
  assert.deepEqual(client.eventsSince(client.eventMark()), []);
});

test('answers find their commands in any order; a refusal carries class and words', async (t) => {
  const [fake, client] = await pair(t);
  fake.answer('slow', fakeLater(60, fakeReturn('late')));
  fake.answer('urgent', fakeReturn('now'));
  fake.answer('wrong', fakeError('no such thing', 'DeviceNotFound'));
  const order: unknown[] = [];
  await Promise.all([
    client.execute('slow').then((value) => order.push(value)),
    client.execute('urgent', {}, { oob: true }).then((value) => order.push(value)),
  ]);
  assert.deepEqual(order, ['now', 'late']);
  await assert.rejects(client.execute('wrong'), (error) => {
    assert.ok(error instanceof GodwitError);
    assert.equal(error.code, 'QMP_COMMAND');
    assert.deepEqual(error.fields, { command: 'wrong', class: 'DeviceNotFound', desc: 'no such thing' });
    return true;
  });
});

test('a late answer to a command that timed out or was aborted disturbs nobody', async (t) => {
  const [fake, client] = await pair(t);
  fake.answer('slow', fakeLater(80, fakeReturn('late')));
  fake.answer('next', fakeReturn('next'));
  await assert.rejects(client.execute('slow', {}, { timeoutMs: 20 }), code('QMP_TIMEOUT'));
  const abort = new AbortController();
  const aborted = client.execute('slow', {}, { signal: abort.signal });
  abort.abort(new Error('enough'));
  await assert.rejects(aborted, /enough/);
  assert.equal(await client.execute('next'), 'next');
});

test('ordinary commands leave room in QEMU for out-of-band ones; the local queue has an end', async (t) => {
  const [fake, client] = await pair(t);
  fake.answer('hang', fakeSilence);
  fake.answer('urgent', fakeReturn(1));
  const hanging = Array.from({ length: 6 }, () => client.execute('hang', {}, { timeoutMs: null }));
  for (const one of hanging) one.catch(() => {});
  assert.equal(await client.execute('urgent', {}, { oob: true }), 1);
  assert.equal(fake.requests.filter(({ name }) => name === 'hang').length, 4);
  for (let count = 2; count < COMMANDS_WAITING_MAX; count++)
    client.execute('hang', {}, { timeoutMs: null }).catch(() => {});
  await assert.rejects(client.execute('hang'), code('QMP_QUEUE_FULL'));
});

test('no event between a command and the wait for it is missed', async (t) => {
  const [fake, client] = await pair(t);
  fake.answer('stop', () => {
    fake.emit('STOP', {}, 1_700_000_000_123.456);
    return fakeReturn();
  });
  const mark = client.eventMark();
  const heard: string[] = [];
  const forget = client.on((event) => heard.push(event.name));
  await client.execute('stop');
  await sleep(20);
  const event = await client.waitEvent('STOP', { since: mark, timeoutMs: 1000 });
  assert.ok(Math.abs((event.timestampMs ?? 0) - 1_700_000_000_123.456) < 0.01);
  assert.ok(event.receivedAtMs > 0);
  assert.deepEqual(heard, ['STOP']);
  forget();
  await assert.rejects(client.waitEvent('STOP', { timeoutMs: 20 }), code('QMP_TIMEOUT'));
  const abort = new AbortController();
  const waiting = client.waitEvent(({ data }) => data.pass === 2, { signal: abort.signal });
  fake.emit('MIGRATION_PASS', { pass: 1 });
  fake.emit('MIGRATION_PASS', { pass: 2 });
  assert.equal((await waiting).data.pass, 2);
  const never = client.waitEvent('NEVER', { signal: abort.signal });
  abort.abort(new Error('enough'));
  await assert.rejects(never, /enough/);
});

test('an event without a readable clock has a null timestamp', async (t) => {
  const [fake, client] = await pair(t);
  const waiting = client.waitEvent('RESET', { timeoutMs: 1000 });
  fake.sendRaw('{"event":"RESET","timestamp":{"seconds":-1,"microseconds":-1}}\r\n');
  assert.equal((await waiting).timestampMs, null);
});

test('events are an iterable that starts at the call, is bounded, and says when it lost some', async (t) => {
  const [fake, client] = await pair(t);
  const mark = client.eventMark();
  const events = client.events();
  fake.emit('STOP');
  fake.emit('RESUME');
  const names: string[] = [];
  for await (const event of events) if (names.push(event.name) === 2) break;
  assert.deepEqual(names, ['STOP', 'RESUME']);
  const last = client.waitEvent(({ data }) => data.pass === EVENTS_KEPT_MAX, { timeoutMs: 5000 });
  for (let pass = 1; pass <= EVENTS_KEPT_MAX; pass++) fake.emit('MIGRATION_PASS', { pass });
  await last;
  await assert.rejects(client.waitEvent('STOP', { since: mark, timeoutMs: 100 }), code('QMP_EVENTS_LOST'));
});

test('a QEMU that goes away ends everything that waits', async (t) => {
  const [fake, client] = await pair(t);
  fake.answer('hang', fakeSilence);
  const command = assert.rejects(client.execute('hang'), code('QMP_CLOSED'));
  const event = assert.rejects(client.waitEvent('STOP'), code('QMP_CLOSED'));
  await sleep(10);
  fake.dropClient();
  await Promise.all([command, event]);
  assert.equal((await client.closed).fields.by, 'qemu');
  await assert.rejects(client.execute('query-status'), code('QMP_CLOSED'));
});

test('closing is clean and says who closed', async (t) => {
  const [fake, client] = await pair(t);
  fake.answer('hang', fakeSilence);
  const command = assert.rejects(client.execute('hang'), /godwit closed/);
  await client.close();
  await command;
  await client.close();
  const again = await connectQmp({ path: fake.path });
  await again.close();
});

for (const [what, text] of [
  ['garbage', 'hello\r\n'],
  ['an array', '[1]\r\n'],
  ['an answer that nobody asked for', '{"return":{},"id":99}\r\n'],
  ['an answer with a hostile id', '{"return":{},"id":{"a":1}}\r\n'],
  ['neither result nor error', '{"id":2}\r\n'],
  ['an error without a class', '{"id":2,"error":"no"}\r\n'],
  ['an event without a name', '{"event":7}\r\n'],
  ['nesting without end', `${'['.repeat(100_000)}\r\n`],
  ['a line without end', 'x'.repeat(17 * 1024 * 1024)],
] as const) {
  test(`hostile input: ${what} is QMP_PROTOCOL`, async (t) => {
    const [fake, client] = await pair(t);
    fake.answer('query-status', { kind: 'raw', text });
    await assert.rejects(client.execute('query-status'), code('QMP_PROTOCOL'));
  });
}

test('a connection that closes in the middle of a line is closed, not misread', async (t) => {
  const [fake, client] = await pair(t);
  fake.answer('query-status', { kind: 'close' });
  await assert.rejects(client.execute('query-status'), code('QMP_CLOSED'));
});

test('a second client learns that the socket is in use, and the first is not disturbed', async (t) => {
  const [fake, client] = await pair(t);
  fake.answer('query-status', fakeReturn(1));
  await assert.rejects(connectQmp({ path: fake.path, timeoutMs: 100 }), (error) => {
    assert.ok(error instanceof GodwitError);
    assert.equal(error.code, 'QMP_BUSY');
    assert.match(error.message, /in use by another client/);
    assert.ok(error.safe && error.hint);
    return true;
  });
  assert.equal(await client.execute('query-status'), 1);
});

test('every way to fail at connecting has its code', async (t) => {
  const path = socketPath(t);
  await assert.rejects(connectQmp({ path }), code('QMP_CONNECT'));
  writeFileSync(path, '');
  await assert.rejects(connectQmp({ path }), code('QMP_CONNECT'));
  const silent = await serve(t, { greeting: '' });
  // Alone on the socket: nobody else is the reason.
  await assert.rejects(connectQmp({ path: silent.path, timeoutMs: 50 }), code('QMP_TIMEOUT'));
  const foreign = await serve(t, { greeting: 'SSH-2.0-OpenSSH_9.2\r\n' });
  await assert.rejects(connectQmp({ path: foreign.path }), code('QMP_PROTOCOL'));
  const versionless = await serve(t, { greeting: '{"QMP":{"version":{"qemu":{}}}}\r\n' });
  await assert.rejects(connectQmp({ path: versionless.path }), code('QMP_PROTOCOL'));
  const abort = new AbortController();
  const aborted = connectQmp({ path: silent.path, signal: abort.signal });
  setTimeout(() => abort.abort(new Error('enough')), 20);
  await assert.rejects(aborted, /enough/);
});

test('the kernel table tells the served client from the waiting ones', () => {
  const table = [
    'Num       RefCount Protocol Flags    Type St Inode Path',
    '00000000c066583f: 00000002 00000000 00010000 0001 01 33872 /tmp/a b.sock',
    '00000000b1293d2a: 00000003 00000000 00000000 0001 02     0 /tmp/a b.sock',
    '00000000c69fe517: 00000003 00000000 00000000 0001 03 34210 /tmp/a b.sock',
    '00000000c69fe517: 00000003 00000000 00000000 0001 03 34210',
    '0000000005ad9478: 00000003 00000000 00000000 0001 03 34212 /tmp/other.sock',
  ].join('\n');
  assert.deepEqual(countServerSockets(table, '/tmp/a b.sock'), { accepted: 1, waiting: 1 });
  assert.equal(countServerSockets(table, '/tmp/gone.sock'), null);
});
