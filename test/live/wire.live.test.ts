/** The single arrangement over a network, as somebody on the way sees it: TLS, or QEMU's stream in clear. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MIGRATE_DEFAULTS, migrate } from '../../src/controller/index.ts';
import { openNetwork, verifyGuest } from '../../src/lab/index.ts';
import { qemuMissing } from '../../src/lab/machine/qemu.testing.ts';
import { queryMigrateParameters } from '../../src/qmp/index.ts';
import { readParameters, strategyByName } from '../../src/strategy/index.ts';
import { openSmallPair } from './small-pair.ts';

const skip = qemuMissing();
const MAGIC = 'QEVM';
const TLS_HANDSHAKE = 0x16;

/** Passes one connection on, and keeps how it began. */
async function eavesdrop(target: number): Promise<{ port: number; begin: () => Buffer; close: () => void }> {
  const seen: Buffer[] = [];
  const server = net.createServer((near) => {
    const far = net.connect(target, '127.0.0.1');
    near.on('data', (chunk) => {
      if (seen.length < 64) seen.push(chunk);
    });
    for (const socket of [near, far]) socket.on('error', () => undefined);
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { port, begin: () => Buffer.concat(seen), close: () => void server.close() };
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What an eavesdropper sees of a whole move. */
async function wireOf(insecure: boolean): Promise<Buffer> {
  const network = await openNetwork({ linkBytesPerSecond: 1e9, kind: 'relay' });
  const stateDirectory = mkdtempSync(join(tmpdir(), 'godwit-wire-'));
  const listen = await freePort();
  const wire = await eavesdrop(listen);
  const pair = await openSmallPair(network);
  const strategy = strategyByName('adaptive');
  try {
    const report = await migrate(
      {
        ...MIGRATE_DEFAULTS,
        sourceQmpPath: pair.source.controlPath,
        destinationQmpPath: pair.destination.controlPath,
        destinationAddress: { listen: `127.0.0.1:${listen}`, connect: `127.0.0.1:${wire.port}` },
        insecure,
        strategy,
        parameters: readParameters(strategy, []),
        limits: { downtimeMsMax: 300, timeoutMs: 60_000, onTimeout: 'switch' },
        bandwidthBytesPerSecondMax: null,
        linkBytesPerSecond: null,
        ackGate: 'auto',
        stateDirectory,
      },
      { onProgress: () => undefined, onIteration: () => undefined, onNote: () => undefined },
      new AbortController().signal,
    );
    assert.equal(report.failure, null);
    assert.deepEqual(
      report.notes.filter((note) => /credentials/.test(note)),
      [],
    );
    assert.equal((await verifyGuest(pair.destination)).badPages, 0);
    assert.equal((await queryMigrateParameters(pair.destination.qmp)).get('tls-creds'), '');
    return wire.begin();
  } finally {
    await pair.close();
    wire.close();
    await network.close();
    rmSync(stateDirectory, { recursive: true, force: true });
  }
}

test('without --insecure the memory crosses in TLS', { skip }, async () => {
  const begin = await wireOf(false);
  assert.equal(begin[0], TLS_HANDSHAKE);
  assert.ok(!begin.includes(MAGIC));
});

test('with --insecure it crosses in clear', { skip }, async () => {
  assert.ok((await wireOf(true)).includes(MAGIC));
});
