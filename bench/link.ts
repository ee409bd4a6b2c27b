/**
 * What relay and link cost. `relay` is measured against a plain byte relay; the link against the same bytes
 * over plain sockets of the same kind (`baselineBytesPerSecond`), and over its own transport with nothing
 * around them (`bareBytesPerSecond`). Both ends are in this process. For gateways in the place of relays, as
 * many processes and connections: bench/pair.ts.
 */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { crc32 } from 'node:zlib';
import { MIB, median } from '../src/base/index.ts';
import {
  type Capabilities,
  Link,
  type LinkRole,
  relay,
  SocketThread,
  streamTransport,
  type Transport,
  tlsDial,
  tlsListen,
} from '../src/link/index.ts';
import type { Bench, BenchOptions } from './registry.ts';
import { rateOf, relayRate, type SocketPair, socketPair } from './relay.ts';

function capabilities(role: LinkRole): Capabilities {
  return { role, codecMask: 1, pageSizeBytes: 4096 };
}

type Road = (
  accept: (transport: Transport) => void,
) => Promise<{ dial: () => Promise<Transport>; close(): void }>;

const unixRoad: Road = async (accept) => ({
  dial: async () => {
    const { near, far } = await socketPair();
    accept(streamTransport(far, 'unix'));
    return streamTransport(near, 'unix');
  },
  close: () => {},
});

const tlsRoad: Road = async (accept) => {
  const credentials = { kind: 'psk', key: randomBytes(32) } as const;
  const listener = await tlsListen({ host: '127.0.0.1', port: 0 }, credentials, accept);
  const dial = tlsDial(listener.address, credentials);
  return { dial: () => dial(0, new AbortController().signal), close: () => void listener.close() };
};

const BATCH_BYTES = 1024 * 1024;

/** Batches from `send` to the other end's owner. Their checksums come with them, as from the encoders. */
async function linkRate(bytes: number, road: Road): Promise<number> {
  const migrationId = randomBytes(16);
  const destination = new Link({
    migrationId,
    laneCount: 1,
    capabilities: capabilities('destination'),
    onMessage: () => {},
  });
  const source = new Link({
    migrationId,
    laneCount: 1,
    capabilities: capabilities('source'),
    onMessage: () => {},
  });
  const { dial, close } = await road((transport) => destination.accept(transport));
  source.dial(dial);
  await source.connected();
  const batch = Buffer.alloc(BATCH_BYTES, 0x5a);
  const check = crc32(batch);
  const startMs = performance.now();
  for (let left = bytes; left > 0; left -= BATCH_BYTES) {
    await source.writable(0, BATCH_BYTES);
    source.send(0, { kind: 'pages', batch }, check);
  }
  await source.barrier();
  const rate = (bytes * 1000) / (performance.now() - startMs);
  source.abort(new Error('the round is over'));
  destination.abort(new Error('the round is over'));
  close();
  return rate;
}

/** The same bytes over the link's own transport with nothing around them. */
async function bareRate(bytes: number, road: Road): Promise<number> {
  let arrived = 0;
  let finish = (_atMs: number) => {};
  const done = new Promise<number>((resolve) => {
    finish = resolve;
  });
  const { dial, close } = await road((transport) =>
    transport.open({
      onData: (chunk) => {
        arrived += chunk.length;
        if (arrived === bytes) finish(performance.now());
      },
      onWritable: () => {},
      onClosed: () => {},
    }),
  );
  const near = await dial();
  let resume = () => {};
  near.open({ onData: () => {}, onWritable: () => resume(), onClosed: () => {} });
  const batch = Buffer.alloc(BATCH_BYTES, 0x5a);
  const startMs = performance.now();
  for (let left = bytes; left > 0; left -= BATCH_BYTES) {
    if (near.write([batch])) continue;
    await new Promise<void>((resolve) => {
      resume = resolve;
    });
  }
  const rate = (bytes * 1000) / ((await done) - startMs);
  near.destroy();
  close();
  return rate;
}

async function compare(
  { quick, log }: BenchOptions,
  ours: (bytes: number) => Promise<number>,
  plain: (bytes: number) => Promise<number>,
): Promise<Record<string, unknown>> {
  const bytes = (quick ? 128 : 512) * MIB;
  const ourRates: number[] = [];
  const plainRates: number[] = [];
  for (let round = 0; round < (quick ? 3 : 9); round++) {
    plainRates.push(await plain(bytes));
    ourRates.push(await ours(bytes));
    log(`${(ourRates.at(-1)! / plainRates.at(-1)!).toFixed(2)} of the plain one`);
  }
  return {
    bytesPerSecond: Math.round(median(ourRates)!),
    baselineBytesPerSecond: Math.round(median(plainRates)!),
    ratio: Number(median(ourRates.map((rate, round) => rate / plainRates[round]!))!.toFixed(3)),
  };
}

/** The product's relay in the place of the plain one. */
function productRelayRate(bytes: number): Promise<number> {
  return rateOf(bytes, (from, to) => void relay(from, to).catch(() => undefined));
}

/** The same bytes over sockets as anybody would use them. */
async function plainRate(bytes: number, connect: () => Promise<SocketPair>): Promise<number> {
  const { near, far } = await connect();
  let arrived = 0;
  const done = new Promise<number>((resolve) => {
    far.on('data', (chunk: Buffer) => {
      arrived += chunk.length;
      if (arrived === bytes) resolve(performance.now());
    });
  });
  const batch = Buffer.alloc(BATCH_BYTES, 0x5a);
  const startMs = performance.now();
  for (let left = bytes; left > 0; left -= BATCH_BYTES) {
    if (!near.write(batch)) await once(near, 'drain');
  }
  const rate = (bytes * 1000) / ((await done) - startMs);
  for (const socket of [near, far]) socket.on('error', () => undefined).destroy();
  return rate;
}

/** A connected pair of plain TLS sockets, with the cipher that the link has with a key. */
async function tlsPair(): Promise<SocketPair> {
  const key = randomBytes(32);
  const common = { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256:PSK' } as const;
  const server = tls.createServer({ ...common, pskCallback: () => key });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = once(server, 'secureConnection');
  const near = tls.connect({
    ...common,
    port: (server.address() as AddressInfo).port,
    pskCallback: () => ({ psk: key, identity: 'bench' }),
    checkServerIdentity: () => undefined,
  });
  const [far] = (await accepted) as [tls.TLSSocket];
  server.close();
  return { near, far };
}

function linkOver(
  road: Road,
  connect: () => Promise<SocketPair>,
): (options: BenchOptions) => Promise<Record<string, unknown>> {
  return async (options) => {
    const bare: number[] = [];
    const row = await compare(
      options,
      (bytes) => linkRate(bytes, road),
      async (bytes) => {
        bare.push(await bareRate(bytes, road));
        return plainRate(bytes, connect);
      },
    );
    return { ...row, bareBytesPerSecond: Math.round(median(bare)!) };
  };
}

/** Both ends' TLS on threads of their own. */
const threadRoad: Road = async (accept) => {
  const credentials = { kind: 'psk', key: randomBytes(32) } as const;
  const far = new SocketThread();
  const near = new SocketThread();
  const { address } = await far.listen({ address: { host: '127.0.0.1', port: 0 }, credentials }, accept);
  const dial = near.dial({ address, credentials });
  return {
    dial: () => dial(0, new AbortController().signal),
    close: () => void Promise.all([near.close(), far.close()]),
  };
};

export const benches: readonly Bench[] = [
  { name: 'relay', needsQemu: false, run: (options) => compare(options, productRelayRate, relayRate) },
  { name: 'link', needsQemu: false, run: linkOver(unixRoad, socketPair) },
  { name: 'link-tls', needsQemu: false, run: linkOver(tlsRoad, tlsPair) },
  { name: 'link-tls-threads', needsQemu: false, run: linkOver(threadRoad, tlsPair) },
];
