/** Who gets in: keys, certificates and names. Certificates are made by openssl when the test runs. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import tls from 'node:tls';
import { type Dial, type TlsCredentials, tcpDial, tlsDial, tlsListen } from '../../src/link/index.ts';
import { makePair, type Pair } from './link-fixture.ts';

const LOCAL = { host: '127.0.0.1', port: 0 } as const;

/** A pair whose source dials with `makeDial`; says what the listener refused. */
async function tlsPair(
  credentials: TlsCredentials,
  makeDial: (address: { host: string; port: number }) => Dial,
): Promise<{ pair: Pair; refusals: string[] }> {
  const refusals: string[] = [];
  const pair = await makePair(
    async (accept) => {
      const listener = await tlsListen(LOCAL, credentials, accept, (error) => refusals.push(error.message));
      const { address } = listener;
      assert.ok('port' in address);
      return { dial: makeDial(address), close: () => listener.close() };
    },
    { source: { limits: { connectTimeoutMs: 1000, redialDelayMs: 20, helloTimeoutMs: 300 } } },
  );
  return { pair, refusals };
}

async function worksOverTls(pair: Pair): Promise<void> {
  await pair.source.connected();
  pair.source.send(0, { kind: 'control', text: 'in' });
  await pair.source.barrier();
  await pair.close();
}

async function isRefused(pair: Pair, code: string): Promise<string> {
  const error = await pair.source.closed;
  assert.equal(error?.code, code);
  assert.equal(pair.received.length, 0);
  assert.ok(
    pair.events.every(({ kind }) => kind !== 'connected'),
    'no connection reached the destination',
  );
  await pair.close();
  return error.message;
}

const key = randomBytes(32);

test('the same 32 bytes at both ends: in; other bytes: LINK_TLS at once', async () => {
  const good = await tlsPair({ kind: 'psk', key }, (address) => tlsDial(address, { kind: 'psk', key }));
  await worksOverTls(good.pair);
  const bad = await tlsPair({ kind: 'psk', key }, (address) =>
    tlsDial(address, { kind: 'psk', key: randomBytes(32) }),
  );
  await isRefused(bad.pair, 'LINK_TLS');
  assert.ok(bad.refusals.length > 0);
});

test('no key, or no TLS at all: nobody gets in', async () => {
  const noKey = await tlsPair({ kind: 'psk', key }, (address) =>
    tlsDial(address, { kind: 'ca', cert: '', key: '', ca: '' }),
  );
  await isRefused(noKey.pair, 'LINK_TLS');
  const plain = await tlsPair({ kind: 'psk', key }, tcpDial);
  await isRefused(plain.pair, 'LINK_TIMEOUT');
});

test('keys have 32 bytes', () => {
  assert.throws(() => tlsDial(LOCAL, { kind: 'psk', key: randomBytes(16) }), { code: 'LINK_TLS' });
});

test('TLS 1.2 is not spoken', async () => {
  const { pair, refusals } = await tlsPair({ kind: 'psk', key }, (address) => async () => {
    await new Promise((_, reject) => {
      const socket = tls.connect({
        ...address,
        maxVersion: 'TLSv1.2',
        ciphers: 'PSK',
        pskCallback: () => ({ psk: key, identity: 'godwit' }),
        checkServerIdentity: () => undefined,
      });
      socket.once('error', reject);
    });
    throw new Error('not reached');
  });
  await isRefused(pair, 'LINK_TIMEOUT');
  assert.ok(refusals.length > 0);
});

interface Authority {
  readonly ca: string;
  issue(name: string, subject: string): { cert: string; key: string; ca: string };
}

function makeAuthority(folder: string, name: string): Authority {
  const path = (file: string) => join(folder, `${name}-${file}`);
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    path('ca.key'),
    '-out',
    path('ca.pem'),
  );
  const ca = readFileSync(path('ca.pem'), 'utf8');
  return {
    ca,
    issue(host, subject) {
      writeFileSync(path(`${host}.ext`), `subjectAltName=${subject}\n`);
      openssl(
        'req',
        ...newKey,
        '-subj',
        `/CN=${host}`,
        '-keyout',
        path(`${host}.key`),
        '-out',
        path(`${host}.csr`),
      );
      openssl(
        'x509',
        '-req',
        '-in',
        path(`${host}.csr`),
        '-CA',
        path('ca.pem'),
        '-CAkey',
        path('ca.key'),
        '-CAcreateserial',
        '-days',
        '2',
        '-extfile',
        path(`${host}.ext`),
        '-out',
        path(`${host}.pem`),
      );
      return {
        cert: readFileSync(path(`${host}.pem`), 'utf8'),
        key: readFileSync(path(`${host}.key`), 'utf8'),
        ca,
      };
    },
  };
}

test('certificates: both ends checked, chain and name', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-tls-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const ours = makeAuthority(folder, 'ours');
  const theirs = makeAuthority(folder, 'theirs');
  const far = ours.issue('far', 'IP:127.0.0.1,DNS:far.example');
  const near = ours.issue('near', 'DNS:near.example');
  const stranger = theirs.issue('stranger', 'IP:127.0.0.1');
  const server = { kind: 'ca', ...far } as const;
  const dialWith = (credentials: TlsCredentials) =>
    tlsPair(server, (address) => tlsDial(address, credentials));

  await worksOverTls((await dialWith({ kind: 'ca', ...near })).pair);
  await worksOverTls((await dialWith({ kind: 'ca', ...near, serverName: 'far.example' })).pair);

  const wrongName = await dialWith({ kind: 'ca', ...near, serverName: 'other.example' });
  assert.match(await isRefused(wrongName.pair, 'LINK_TLS'), /other\.example/);
  const unknownClient = await dialWith({ kind: 'ca', ...stranger, ca: ours.ca });
  await isRefused(unknownClient.pair, 'LINK_TLS');
  const unknownServer = await dialWith({ kind: 'ca', ...near, ca: theirs.ca });
  await isRefused(unknownServer.pair, 'LINK_TLS');
  // A server that holds a good certificate but not the key of this migration.
  const certificateForKey = await tlsPair(server, (address) => tlsDial(address, { kind: 'psk', key }));
  await isRefused(certificateForKey.pair, 'LINK_TLS');
});

test('a byte changed on the way, below TLS, ends the link: LINK_TLS at the end that saw it', async () => {
  let seenBytes = 0;
  const proxies: net.Server[] = [];
  const pair = await makePair(async (accept) => {
    const listener = await tlsListen(LOCAL, { kind: 'psk', key }, accept);
    const { address } = listener;
    assert.ok('port' in address);
    const proxy = net.createServer((near) => {
      const far = net.connect(address);
      for (const socket of [near, far]) socket.on('error', () => near.destroy() && far.destroy());
      far.pipe(near);
      near.on('data', (chunk: Buffer) => {
        const at = 200_000 - seenBytes;
        if (at >= 0 && at < chunk.length) chunk[at]! ^= 1;
        seenBytes += chunk.length;
        far.write(chunk);
      });
    });
    proxies.push(proxy);
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as net.AddressInfo;
    return {
      dial: tlsDial({ host: '127.0.0.1', port }, { kind: 'psk', key }),
      close: () => listener.close(),
    };
  });
  await pair.source.connected();
  for (let count = 0; count < 10; count++) {
    pair.source.send(0, { kind: 'control', text: 'x'.repeat(60_000) });
  }
  assert.equal((await pair.destination.closed)!.code, 'LINK_TLS');
  assert.notEqual(await pair.source.closed, null);
  await pair.close();
  for (const proxy of proxies) proxy.close();
});
