/** What a thread takes to write a socket, or to read one, plain and encrypted. The other end is a thread. */

import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import { Worker } from 'node:worker_threads';

/** One write of a sender, and what a read brings at most. */
const CHUNK_BYTES = 512 * 1024;
const KEY = Buffer.alloc(32, 7);
const SECURE = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:PSK',
} as const;

/** Processor time of this thread, per unit of `amount`. */
export async function threadNanoseconds(amount: number, work: () => Promise<void> | void): Promise<number> {
  const before = process.threadCpuUsage();
  await work();
  const { user, system } = process.threadCpuUsage(before);
  return ((user + system) * 1000) / amount;
}

const PEER = `
  const { connect } = require('node:net');
  const tls = require('node:tls');
  const { workerData: { path, isEncrypted, writesBytes, chunkBytes } } = require('node:worker_threads');
  const plain = connect(path);
  const socket = isEncrypted
    ? tls.connect({ socket: plain, minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256:PSK',
        pskCallback: () => ({ psk: Buffer.alloc(32, 7), identity: 'x' }), checkServerIdentity: () => undefined })
    : plain;
  socket.on('error', () => {});
  const chunk = Buffer.alloc(chunkBytes, 0xa5);
  let left = writesBytes;
  const more = () => {
    while (left > 0) {
      left -= chunkBytes;
      if (!socket.write(chunk)) { socket.once('drain', more); return; }
    }
    socket.end();
  };
  socket.once(isEncrypted ? 'secureConnect' : 'connect', () => { if (writesBytes > 0) more(); else socket.resume(); });
`;

export interface SocketQuestion {
  /** A private one. */
  readonly folder: string;
  readonly isEncrypted: boolean;
  readonly isReader: boolean;
  readonly bytes: number;
}

/** Nanoseconds a byte of the thread that reads, or writes, `bytes`. */
export async function socketNanoseconds(question: SocketQuestion): Promise<number> {
  const { isEncrypted, isReader, bytes, folder } = question;
  const path = join(folder, `s-${isEncrypted}-${isReader}`);
  const server: Server = createServer().listen(path);
  await once(server, 'listening');
  const peer = new Worker(PEER, {
    eval: true,
    workerData: { path, isEncrypted, writesBytes: isReader ? bytes : 0, chunkBytes: CHUNK_BYTES },
  });
  try {
    const [plain] = (await once(server, 'connection')) as [Socket];
    const socket = isEncrypted ? await secured(plain) : plain;
    socket.on('error', () => {});
    return await threadNanoseconds(bytes, () => (isReader ? readAll(socket) : writeAll(socket, bytes)));
  } finally {
    server.close();
    await peer.terminate();
  }
}

async function secured(socket: Socket): Promise<tls.TLSSocket> {
  const secure = new tls.TLSSocket(socket, {
    isServer: true,
    secureContext: tls.createSecureContext(SECURE),
    pskCallback: () => KEY,
  } as tls.TLSSocketOptions);
  await once(secure, 'secure');
  return secure;
}

async function readAll(socket: Socket): Promise<void> {
  socket.on('data', () => undefined);
  await once(socket, 'end');
}

async function writeAll(socket: Socket, bytes: number): Promise<void> {
  const chunk = Buffer.alloc(CHUNK_BYTES, 0xa5);
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) {
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
}
