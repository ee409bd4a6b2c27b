/**
 * The local socket at which a running migration answers its operator: in the migration's own state folder
 * (mode 0700), mode 0600. Not responsible for the answers (steering.ts).
 */

import { chmodSync, closeSync, openSync, rmSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { errorMessage, GodwitError } from '../../base/index.ts';
import { CONTROL_SOCKET } from '../../recovery/index.ts';
import { type ControlReply, type ControlRequest, controlRequest, REQUEST_BYTES_MAX } from './messages.ts';

const CONNECTIONS_MAX = 8;
/** A connection that says nothing for this long is closed. */
const IDLE_TIMEOUT_MS = 30_000;
const NEWLINE = 0x0a;

/** What requests are put to. */
export interface Responder {
  answer(request: ControlRequest): ControlReply;
}

export interface ControlServer {
  close(): void;
}

/** A migration goes on without it: null, and `onNote` was told why. */
export function tryOpenControl(
  folder: string,
  responder: Responder,
  onNote: (text: string) => void,
): Promise<ControlServer | null> {
  return openControl(folder, responder).catch((error: unknown) => {
    onNote(`other terminals cannot reach this migration: ${errorMessage(error)}`);
    return null;
  });
}

/** Errors: CONTROL_LISTEN. */
export async function openControl(folder: string, responder: Responder): Promise<ControlServer> {
  const answer = (request: ControlRequest) => responder.answer(request);
  const door = new Door(folder);
  const connections = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    if (connections.size >= CONNECTIONS_MAX) {
      socket.destroy();
      return;
    }
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    serve(socket, answer);
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(door.path, resolve);
    });
    // The folder is the lock: nobody else could come before this.
    chmodSync(door.path, 0o600);
  } catch (cause) {
    door.close();
    throw new GodwitError('CONTROL_LISTEN', `no control socket in ${folder}`, { cause });
  }
  server.unref();
  return {
    close() {
      server.close();
      for (const socket of connections) socket.destroySoon();
      door.close();
    },
  };
}

/**
 * A short name for a socket in a folder whose name may be long: a unix socket's path has at most
 * 107 bytes. Linux only.
 */
export class Door {
  readonly path: string;
  readonly #folder: number;

  constructor(folder: string) {
    this.#folder = openSync(folder, 'r');
    this.path = path.join('/proc/self/fd', String(this.#folder), CONTROL_SOCKET);
  }

  /** Takes the socket away. */
  close(): void {
    rmSync(this.path, { force: true });
    this.leave();
  }

  leave(): void {
    closeSync(this.#folder);
  }
}

function serve(socket: net.Socket, answer: (request: ControlRequest) => ControlReply): void {
  let parts: Buffer[] = [];
  let sizeBytes = 0;
  socket.on('error', () => undefined);
  socket.setTimeout(IDLE_TIMEOUT_MS, () => socket.destroy());
  socket.on('data', (chunk) => {
    let rest = chunk;
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      const line = Buffer.concat([...parts, rest.subarray(0, end)]);
      if (line.length > REQUEST_BYTES_MAX) return refuse(socket);
      parts = [];
      sizeBytes = 0;
      rest = rest.subarray(end + 1);
      socket.write(`${JSON.stringify(replyTo(line.toString('utf8'), answer))}\n`);
    }
    sizeBytes += rest.length;
    if (sizeBytes > REQUEST_BYTES_MAX) return refuse(socket);
    if (rest.length > 0) parts.push(rest);
  });
}

function replyTo(line: string, answer: (request: ControlRequest) => ControlReply): ControlReply {
  const request = parsed(line);
  return request === null ? NO_REQUEST : answer(request);
}

function parsed(line: string): ControlRequest | null {
  try {
    return controlRequest.parse(JSON.parse(line));
  } catch {
    return null;
  }
}

const NO_REQUEST: ControlReply = { ok: false, code: 'CONTROL_REQUEST', text: 'that is no request' };

function refuse(socket: net.Socket): void {
  socket.end(`${JSON.stringify(NO_REQUEST)}\n`);
  socket.removeAllListeners('data');
  socket.resume();
}
