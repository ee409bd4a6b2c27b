import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { CALLS_SENT_MAX, CALLS_WAITING_MAX, type LibvirtClient } from './client.ts';
import { connectLibvirt } from './connect.ts';
import { faultCode, isUnanswered } from './errors.ts';
import { subscribe } from './events.ts';
import { FakeDaemon, FakeFault, HANG_UP, SILENCE } from './fake.testing.ts';
import { authList, authPolkit, connectGetHostname, connectGetLibVersion } from './procedures-connection.ts';
import { connectListAllDomains, domainGetState, domainLookupByName } from './procedures-domain.ts';
import {
  eventDeregister,
  eventRegister,
  iterationEvent,
  jobCompletedEvent,
  lifecycleEvent,
} from './procedures-events.ts';
import { FAULT } from './remote-error.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'godwit-libvirt-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
const listen = () => FakeDaemon.listen(path.join(folder, `${count++}.sock`));
const vm = { name: 'vm1', uuid: '00112233-4455-6677-8899-aabbccddeeff', id: 7 };

/** A client that ends with the test. */
async function opened(daemon: FakeDaemon, keepalive?: { intervalMs: number; questionsMax: number }) {
  const client = await connectLibvirt({ uri: daemon.uri, ...(keepalive ? { keepalive } : {}) });
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() });
}

const hostname = (client: LibvirtClient, timeoutMs?: number) =>
  client.call(connectGetHostname, {}, timeoutMs === undefined ? {} : { timeoutMs });

describe('a connection to libvirt', () => {
  it('authenticates, opens the driver, and carries calls and their results', async () => {
    await using daemon = await listen();
    daemon.on(connectGetLibVersion, () => ({ version: 11_003_000n }));
    daemon.on(domainLookupByName, ({ name }) => ({ domain: { ...vm, name } }));
    daemon.on(domainGetState, ({ domain }) => ({ state: domain.id, reason: 5 }));
    await using client = await opened(daemon);
    assert.deepEqual(await client.call(connectGetLibVersion, {}), { version: 11_003_000n });
    const { domain } = await client.call(domainLookupByName, { name: 'größe' });
    assert.deepEqual(domain, { ...vm, name: 'größe' });
    assert.deepEqual(await client.call(domainGetState, { domain, flags: 0 }), { state: 7, reason: 5 });
    assert.deepEqual(daemon.calls.slice(0, 3), ['AuthList', 'ConnectSupportsFeature', 'ConnectOpen']);
  });

  it('answers each call, in whatever order the daemon does', async () => {
    await using daemon = await listen();
    const first = Promise.withResolvers<{ hostname: string }>();
    let asked = 0;
    daemon.on(connectGetHostname, () => (asked++ === 0 ? first.promise : { hostname: 'second' }));
    await using client = await opened(daemon);
    const both = [hostname(client), hostname(client)];
    assert.deepEqual(await both[1], { hostname: 'second' });
    first.resolve({ hostname: 'first' });
    assert.deepEqual(await both[0], { hostname: 'first' });
  });

  it("says a refusal in libvirt's words and with its number", async () => {
    await using daemon = await listen();
    daemon.on(domainLookupByName, () => {
      throw new FakeFault(FAULT.NO_DOMAIN, 'Domain not found\u001b[2J');
    });
    await using client = await opened(daemon);
    const error = await client.call(domainLookupByName, { name: 'x' }).catch((one: unknown) => one);
    assert.equal(faultCode(error), FAULT.NO_DOMAIN);
    assert.match(String(error), /refused DomainLookupByName: .*Domain not found \[2J$/);
    assert.equal(isUnanswered(error), false);
  });

  it('refuses SASL by its name, and asks polkit where that is offered', async () => {
    await using sasl = await listen();
    sasl.on(authList, () => ({ types: [1] }));
    await assert.rejects(connectLibvirt({ uri: sasl.uri }), { code: 'LIBVIRT_AUTH', message: /SASL/ });
    assert.deepEqual(sasl.calls, ['AuthList']);
    await using polkit = await listen();
    polkit.on(authList, () => ({ types: [2] }));
    polkit.on(authPolkit, () => ({ complete: 1 }));
    await using client = await opened(polkit);
    assert.ok(client);
    assert.deepEqual(polkit.calls.slice(0, 2), ['AuthList', 'AuthPolkit']);
  });

  it('says that nobody listens, and what is no URI', async () => {
    await assert.rejects(connectLibvirt({ uri: `qemu:///system?socket=${folder}/none` }), {
      code: 'LIBVIRT_CONNECT',
    });
    for (const uri of [
      'xen:///system',
      'qemu://host/system',
      'qemu:///elsewhere',
      'qemu:///session',
      'no uri',
      'qemu:///system?socket=x',
    ]) {
      await assert.rejects(connectLibvirt({ uri }), { code: 'LIBVIRT_URI' }, uri);
    }
  });

  it('gives up within its time where a daemon takes the connection and says nothing', async () => {
    await using daemon = await listen();
    daemon.on(authList, () => SILENCE);
    await assert.rejects(connectLibvirt({ uri: daemon.uri, timeoutMs: 30 }), { code: 'LIBVIRT_UNANSWERED' });
  });
});

describe('a call that is not answered', () => {
  it('is unknown when the connection ends; one that was not sent surely was not', async () => {
    await using daemon = await listen();
    daemon.on(connectGetHostname, () => SILENCE);
    await using client = await opened(daemon);
    const sent = Array.from({ length: CALLS_SENT_MAX }, () => hostname(client));
    const waiting = hostname(client);
    const ends = [...sent, waiting].map((one) => one.catch((error: unknown) => error));
    while (daemon.calls.length < 3 + CALLS_SENT_MAX) await new Promise((resolve) => setImmediate(resolve));
    daemon.dropClients();
    const errors = await Promise.all(ends);
    assert.ok(errors.slice(0, CALLS_SENT_MAX).every(isUnanswered));
    assert.equal((errors.at(-1) as { code: string }).code, 'LIBVIRT_CLOSED');
    await assert.rejects(hostname(client), { code: 'LIBVIRT_CLOSED' });
    assert.equal((await client.closed).code, 'LIBVIRT_CLOSED');
  });

  it('is unknown when the daemon hangs up instead of answering', async () => {
    await using daemon = await listen();
    daemon.on(connectGetHostname, () => HANG_UP);
    await using client = await opened(daemon);
    await assert.rejects(hostname(client), {
      code: 'LIBVIRT_UNANSWERED',
      fields: { peer: daemon.path, call: 'ConnectGetHostname', why: 'closed' },
    });
  });

  it('is unknown after its deadline or its abort, and keeps its place until it is answered', async () => {
    await using daemon = await listen();
    const late = Promise.withResolvers<{ hostname: string }>();
    daemon.on(connectGetHostname, () => late.promise);
    daemon.on(connectGetLibVersion, () => ({ version: 1n }));
    await using client = await opened(daemon);
    const signal = AbortSignal.timeout(5);
    const ends = await Promise.allSettled([
      ...Array.from({ length: CALLS_SENT_MAX - 1 }, () => hostname(client, 5)),
      client.call(connectGetHostname, {}, { signal }),
      // Behind them, so never sent.
      hostname(client, 5),
    ]);
    const codes = ends.map((end) => (end.status === 'rejected' ? (end.reason as { code: string }).code : ''));
    assert.deepEqual(codes, [
      ...Array.from({ length: CALLS_SENT_MAX }, () => 'LIBVIRT_UNANSWERED'),
      'LIBVIRT_CLOSED',
    ]);
    const next = client.call(connectGetLibVersion, {});
    late.resolve({ hostname: 'late' });
    assert.deepEqual(await next, { version: 1n });
    assert.equal(daemon.calls.filter((name) => name === 'ConnectGetHostname').length, CALLS_SENT_MAX);
  });

  it('is refused where too many wait', async () => {
    await using daemon = await listen();
    daemon.on(connectGetHostname, () => SILENCE);
    await using client = await opened(daemon);
    const all = Array.from({ length: CALLS_SENT_MAX + CALLS_WAITING_MAX }, () =>
      hostname(client).catch(() => null),
    );
    await assert.rejects(hostname(client), { code: 'LIBVIRT_QUEUE_FULL' });
    await client.close();
    await Promise.all(all);
  });
});

describe('keepalive', () => {
  it("answers the daemon's questions", async () => {
    await using daemon = await listen();
    await using client = await opened(daemon);
    assert.ok(client);
    daemon.ping();
    while (daemon.pongs === 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('asks a daemon that says nothing, and stays while it answers', async () => {
    await using daemon = await listen();
    daemon.on(connectGetHostname, () => ({ hostname: 'alive' }));
    await using client = await opened(daemon, { intervalMs: 2, questionsMax: 1_000 });
    while (daemon.pings < 3) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(await hostname(client), { hostname: 'alive' });
  });

  it('gives a silent daemon up: what was asked of it is unknown', async () => {
    await using daemon = await listen();
    daemon.answersPings = false;
    daemon.on(connectGetHostname, () => SILENCE);
    await using client = await opened(daemon, { intervalMs: 5, questionsMax: 2 });
    const asked = client.call(connectGetHostname, {}, { timeoutMs: null });
    await assert.rejects(asked, { code: 'LIBVIRT_UNANSWERED', message: /did not answer keepalives/ });
    assert.equal(daemon.pings, 2);
  });
});

describe('events', () => {
  it('come to the listener that registered for them, until it ends that', async () => {
    await using daemon = await listen();
    const registered: unknown[] = [];
    daemon.on(eventRegister, (args) => {
      registered.push(args);
      const callbackId = registered.length;
      // libvirt may send one before it has answered.
      daemon.emit(iterationEvent, { callbackId, domain: vm, iteration: 1 });
      return { callbackId };
    });
    daemon.on(eventDeregister, () => ({}));
    daemon.on(connectGetHostname, () => ({ hostname: '' }));
    await using client = await opened(daemon);
    const heard: unknown[] = [];
    const { end } = await subscribe(client, iterationEvent, vm, ({ iteration }) => heard.push(iteration));
    await subscribe(client, lifecycleEvent, null, ({ event, detail }) => heard.push([event, detail]));
    await subscribe(client, jobCompletedEvent, null, ({ parameters }) => heard.push(parameters));
    daemon.emit(iterationEvent, { callbackId: 1, domain: vm, iteration: 2 });
    daemon.emit(iterationEvent, { callbackId: 9, domain: vm, iteration: 99 });
    daemon.emit(lifecycleEvent, { callbackId: 2, domain: vm, event: 5, detail: 3 });
    const parameters = [{ field: 'time_elapsed', value: { type: 'ullong' as const, value: 2n ** 60n } }];
    daemon.emit(jobCompletedEvent, { callbackId: 3, domain: vm, parameters });
    await hostname(client);
    await end();
    daemon.emit(iterationEvent, { callbackId: 1, domain: vm, iteration: 3 });
    await hostname(client);
    assert.deepEqual(heard, [1, 2, [5, 3], parameters]);
    assert.deepEqual(registered, [
      { eventId: 20, domain: vm },
      { eventId: 0, domain: null },
      { eventId: 21, domain: null },
    ]);
  });
});

describe('a daemon that breaks the protocol', () => {
  const empty = new Uint8Array();
  const breaches: Readonly<Record<string, (daemon: FakeDaemon) => void>> = {
    garbage: (daemon) => daemon.sendBytes(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
    'an answer to nothing': (daemon) =>
      daemon.sendFrame({ procedure: 59, type: 'reply', serial: 77, payload: empty }),
    'an answer to another call': (daemon) =>
      daemon.sendFrame({ procedure: 60, type: 'reply', serial: 4, payload: empty }),
    'a stream that nobody asked for': (daemon) =>
      daemon.sendFrame({ procedure: 59, type: 'stream', serial: 4, payload: empty }),
    'another program': (daemon) =>
      daemon.sendFrame({ program: 5, procedure: 59, type: 'reply', serial: 4, payload: empty }),
    'another version': (daemon) =>
      daemon.sendFrame({ version: 2, procedure: 59, type: 'reply', serial: 4, payload: empty }),
    'an answer that goes on': (daemon) =>
      daemon.sendFrame({ procedure: 59, type: 'reply', serial: 4, status: 'continue', payload: empty }),
    'an answer too short': (daemon) =>
      daemon.sendFrame({ procedure: 59, type: 'reply', serial: 4, payload: empty }),
    'an error too short': (daemon) =>
      daemon.sendFrame({ procedure: 59, type: 'reply', serial: 4, status: 'error', payload: empty }),
  };
  for (const [name, breach] of Object.entries(breaches)) {
    it(`is left, and what was asked of it is unknown: ${name}`, async () => {
      await using daemon = await listen();
      daemon.on(connectGetHostname, () => SILENCE);
      await using client = await opened(daemon);
      const asked = hostname(client);
      while (daemon.calls.length < 4) await new Promise((resolve) => setImmediate(resolve));
      breach(daemon);
      const error = await asked.then(
        () => null,
        (one: unknown) => one as { code: string; cause: { cause: { code: string } } },
      );
      assert.equal(error?.code, 'LIBVIRT_UNANSWERED');
      assert.equal(error.cause.cause.code, 'LIBVIRT_PROTOCOL');
    });
  }

  it('is left for an event that cannot be read', async () => {
    await using daemon = await listen();
    daemon.on(eventRegister, () => ({ callbackId: 1 }));
    await using client = await opened(daemon);
    await subscribe(client, lifecycleEvent, null, () => undefined);
    daemon.sendFrame({ procedure: lifecycleEvent.number, type: 'message', payload: empty });
    assert.match((await client.closed).message, /libvirt-rpc 2/);
  });
});

describe('a list of domains', () => {
  it('comes whole', async () => {
    await using daemon = await listen();
    const domains = Array.from({ length: 300 }, (_, id) => ({ ...vm, id }));
    daemon.on(connectListAllDomains, () => ({ domains, count: domains.length }));
    await using client = await opened(daemon);
    assert.deepEqual(await client.call(connectListAllDomains, { needResults: 1, flags: 0 }), {
      domains,
      count: 300,
    });
  });
});
