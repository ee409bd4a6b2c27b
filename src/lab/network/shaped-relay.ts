/**
 * A relay between two TCP ports that carries a fixed number of bytes a second each way (token bucket), over
 * all its connections together. The link of machines where network namespaces cannot be made. Not responsible
 * for headers: it counts payload only.
 */

import { createServer, type Server, Socket } from 'node:net';
import { sleep, TokenBucket } from '../../base/index.ts';
import type { Endpoint } from './endpoint.ts';

const CHUNK_BYTES_MAX = 64 * 1024;
/** Timers are whole milliseconds: the burst makes up for what they lose. */
const BURST_MS = 4;
const LOOPBACK = '127.0.0.1';

export interface ShapedRelay {
  /** Clients connect here. */
  readonly entry: Endpoint;
  /** The relay connects there. */
  readonly target: Endpoint;
  forwardBytes(): number;
  backwardBytes(): number;
  close(): Promise<void>;
}

/** Opens the relay on a free port, towards another free port that nobody listens on yet. */
export async function openShapedRelay(linkBytesPerSecond: number): Promise<ShapedRelay> {
  const target = { host: LOOPBACK, port: await freePort() };
  const forward = new TokenBucket(linkBytesPerSecond, BURST_MS);
  const backward = new TokenBucket(linkBytesPerSecond, BURST_MS);
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    const far = new Socket({ allowHalfOpen: true });
    far.connect(target.port, target.host);
    for (const [socket, other] of [
      [client, far],
      [far, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      // A broken half breaks the other, because a link does not hide a reset.
      socket.on('error', () => other.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
    void pump(client, far, forward);
    void pump(far, client, backward);
  });
  const port = await listen(server);
  return {
    entry: { host: LOOPBACK, port },
    target,
    forwardBytes: () => forward.takenBytes,
    backwardBytes: () => backward.takenBytes,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function pump(from: Socket, to: Socket, bucket: TokenBucket): Promise<void> {
  try {
    for await (const piece of from) {
      const data = piece as Buffer;
      for (let start = 0; start < data.length; start += CHUNK_BYTES_MAX) {
        const chunk = data.subarray(start, start + CHUNK_BYTES_MAX);
        const waitMs = bucket.take(chunk.length, performance.now());
        if (waitMs >= 1) await sleep(waitMs);
        if (!to.write(chunk)) await drained(to);
      }
    }
    to.end();
  } catch {
    to.destroy();
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('drain', resolve);
    socket.once('close', () => reject(new Error('closed')));
  });
}

async function freePort(): Promise<number> {
  const probe = createServer();
  const port = await listen(probe);
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return port;
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, LOOPBACK, () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('no TCP address'));
      else resolve(address.port);
    });
  });
}
