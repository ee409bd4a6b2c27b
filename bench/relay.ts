/**
 * A plain byte relay, the yardstick of the data plane: bytes into a unix socket, out of it, into a second one, and
 * counted at its end, all in one process. Not a benchmark by itself.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defined } from '../src/base/index.ts';

export interface SocketPair {
  readonly near: net.Socket;
  readonly far: net.Socket;
}

/** A connected pair of unix sockets. */
export async function socketPair(): Promise<SocketPair> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-bench-'));
  const path = join(folder, 's');
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  const near = net.connect(path);
  const far = await accepted;
  server.close();
  rmSync(folder, { recursive: true, force: true });
  return { near, far };
}

/** Writes `bytes` to the socket, a megabyte at a time, as fast as it takes them. */
export async function pour(socket: net.Socket, bytes: number): Promise<void> {
  const block = Buffer.alloc(1024 * 1024, 0x5a);
  for (let left = bytes; left > 0; left -= block.length) {
    const chunk = left < block.length ? block.subarray(0, left) : block;
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
  }
}

/** Bytes per second from source to sink, given what carries them from the first pair's end to the sink. */
export async function rateOf(
  bytes: number,
  carry: (from: net.Socket, onBytes: (count: number) => void) => Promise<() => void>,
): Promise<number> {
  const source = await socketPair();
  let arrived = 0;
  let startMs: number | null = null;
  let finish = (_rate: number) => {};
  const done = new Promise<number>((resolve) => {
    finish = resolve;
  });
  const close = await carry(source.far, (count) => {
    arrived += count;
    if (arrived >= bytes) finish((bytes * 1000) / (performance.now() - defined(startMs, 'it has begun')));
  });
  startMs = performance.now();
  await pour(source.near, bytes);
  const rate = await done;
  close();
  source.near.destroy();
  source.far.destroy();
  return rate;
}

/** The plain relay: what arrives is written on. */
export function relayRate(bytes: number): Promise<number> {
  return rateOf(bytes, async (from, onBytes) => {
    const { near, far } = await socketPair();
    far.on('data', (chunk: Buffer) => onBytes(chunk.length));
    from.on('data', (chunk: Buffer) => {
      if (near.write(chunk)) return;
      from.pause();
      near.once('drain', () => from.resume());
    });
    return () => {
      near.destroy();
      far.destroy();
    };
  });
}
