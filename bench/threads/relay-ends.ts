/**
 * A thread with both ends of a relay: one socket that pours bytes, one that counts
 * them. Started by bench/relay.ts.
 */

import net from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

const { sourcePath, sinkPath } = workerData as { sourcePath: string; sinkPath: string };
const block = Buffer.alloc(1024 * 1024, 0x5a);
let expected = 0;
let arrived = 0;
let startMs = 0;
const source = Promise.withResolvers<net.Socket>();

const sinkServer = net.createServer((socket) => {
  socket.on('data', (chunk: Buffer) => {
    arrived += chunk.length;
    if (arrived === expected) parentPort?.postMessage((expected * 1000) / (performance.now() - startMs));
  });
});
const sourceServer = net.createServer((socket) => source.resolve(socket));

async function pour(socket: net.Socket, bytes: number): Promise<void> {
  for (let left = bytes; left > 0; left -= block.length) {
    if (!socket.write(left < block.length ? block.subarray(0, left) : block)) {
      await new Promise((resolve) => socket.once('drain', resolve));
    }
  }
}

parentPort?.on('message', (bytes: number) => {
  expected = bytes;
  arrived = 0;
  startMs = performance.now();
  void source.promise.then((socket) => pour(socket, bytes));
});

sinkServer.listen(sinkPath, () => sourceServer.listen(sourcePath, () => parentPort?.postMessage('ready')));
