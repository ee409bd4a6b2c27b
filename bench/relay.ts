/**
 * A plain byte relay, the yardstick of the data plane: bytes out of one unix socket, into a second one. Both
 * far ends live on another thread, so that what is measured has a core to itself. Not a benchmark by itself.
 */

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

export interface SocketPair {
  readonly near: net.Socket;
  readonly far: net.Socket;
}

/** A connected pair of unix sockets, both ends on this thread. */
export async function socketPair(): Promise<SocketPair> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-bench-'));
  const path = join(folder, 's');
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const accepted = once(server, 'connection');
  const near = net.connect(path);
  const [far] = (await accepted) as [net.Socket];
  server.close();
  rmSync(folder, { recursive: true, force: true });
  return { near, far };
}

export type Relay = (from: net.Socket, to: net.Socket) => void;

/** Bytes per second that `relay` carries from the other thread's source to its sink. */
export async function rateOf(bytes: number, relay: Relay): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-bench-'));
  const sourcePath = join(folder, 'source');
  const sinkPath = join(folder, 'sink');
  const ends = new Worker(new URL('./threads/relay-ends.ts', import.meta.url), {
    workerData: { sourcePath, sinkPath },
  });
  await once(ends, 'message');
  const from = net.connect(sourcePath);
  const to = net.connect(sinkPath);
  await Promise.all([once(from, 'connect'), once(to, 'connect')]);
  relay(from, to);
  // A first stretch warms up both threads.
  let rate = 0;
  for (const stretch of [bytes / 8, bytes]) {
    const answer = once(ends, 'message');
    ends.postMessage(stretch);
    [rate] = (await answer) as [number];
  }
  await ends.terminate();
  from.destroy();
  to.destroy();
  rmSync(folder, { recursive: true, force: true });
  return rate;
}

/** The plain relay: what arrives is written on. */
export function relayRate(bytes: number): Promise<number> {
  return rateOf(bytes, (from, to) => {
    from.on('data', (chunk: Buffer) => {
      if (to.write(chunk)) return;
      from.pause();
      to.once('drain', () => from.resume());
    });
    for (const socket of [from, to]) socket.on('error', () => undefined);
  });
}
