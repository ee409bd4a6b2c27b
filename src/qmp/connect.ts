/**
 * Opens a QMP socket and tells apart the ways that this fails.
 * Not responsible for the conversation after the greeting (client.ts).
 */

import { once } from 'node:events';
import { readFile, realpath } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { type Clock, errorCode, sleep, systemClock } from '../base/index.ts';
import { QmpClient, type QmpGreeting } from './client.ts';
import { busyError, closedError, connectError, greetingTimeoutError, protocolError } from './errors.ts';
import { isObject, type JsonObject, LineReader } from './lines.ts';
import { connectUnix } from './long-path.ts';

const CONNECT_TIMEOUT_MS = 3_000;

export interface ConnectOptions {
  readonly path: string;
  /** For the connection and the greeting together. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** For commands without a time-out of their own. Default: COMMAND_TIMEOUT_MS. Longer across a network. */
  readonly commandTimeoutMs?: number;
}

/**
 * A client past the negotiation, with out-of-band execution where QEMU offers it. Errors: QMP_CONNECT,
 * QMP_BUSY, QMP_TIMEOUT, QMP_CLOSED, QMP_PROTOCOL.
 */
export async function connectQmp(options: ConnectOptions): Promise<QmpClient> {
  const { path, signal } = options;
  const timeoutMs = options.timeoutMs ?? CONNECT_TIMEOUT_MS;
  signal?.throwIfAborted();
  const socket = await opened(path, timeoutMs, signal);
  try {
    const client = await greeted(socket, path, timeoutMs, options);
    await client.negotiate({ timeoutMs, ...(signal ? { signal } : {}) });
    return client;
  } catch (error) {
    socket.on('error', () => {}); // a reset after the failure has nobody left to tell
    socket.destroy();
    throw error;
  }
}

const BACKLOG_RETRY_MS = 25;

/**
 * QEMU listens with a backlog of two and takes no second client, so the third in line gets EAGAIN. Clients
 * that gave up keep their places until QEMU is free and has looked at them, so it is worth waiting.
 */
async function opened(path: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<Socket> {
  for (let waitedMs = 0; ; waitedMs += BACKLOG_RETRY_MS) {
    signal?.throwIfAborted();
    let socket: Socket | null = null;
    try {
      socket = connectUnix(path);
      await once(socket, 'connect', signal ? { signal } : {});
      return socket;
    } catch (error) {
      socket?.destroy();
      signal?.throwIfAborted();
      if (errorCode(error) !== 'EAGAIN') throw connectError(path, error);
      if (waitedMs >= timeoutMs) throw await silenceError(path, timeoutMs);
    }
    await sleep(BACKLOG_RETRY_MS, signal);
  }
}

function greeted(
  socket: Socket,
  path: string,
  timeoutMs: number,
  options: ConnectOptions,
): Promise<QmpClient> {
  const { signal, clock = systemClock } = options;
  const lines = new LineReader();
  return new Promise((resolve, reject) => {
    let settled = false;
    const settle = (outcome: () => void) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      socket.off('data', onData).off('close', onClose).off('error', onError);
      outcome();
    };
    const fail = (error: unknown) => settle(() => reject(error));
    const onAbort = () => fail(signal?.reason);
    const onError = (error: unknown) => fail(closedError(path, 'qemu', error));
    const onClose = () => fail(closedError(path, 'qemu'));
    const onData = (chunk: Uint8Array) => {
      try {
        const messages = [...lines.push(chunk)];
        const first = messages[0];
        if (first === undefined) return;
        if (messages.length > 1) throw protocolError('QEMU sent more than a greeting before the negotiation');
        const greeting = greetingOf(first.message);
        settle(() => resolve(new QmpClient(socket, path, greeting, lines, clock, options.commandTimeoutMs)));
      } catch (error) {
        fail(error);
      }
    };
    const timer = setTimeout(() => silenceError(path, timeoutMs).then(fail, fail), timeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.on('data', onData).on('close', onClose).on('error', onError);
  });
}

function greetingOf(message: JsonObject): QmpGreeting {
  const qmp = message.QMP;
  const version = isObject(qmp) ? qmp.version : undefined;
  const qemu = isObject(version) ? version.qemu : undefined;
  if (!isObject(qmp) || !isObject(version) || !isObject(qemu)) {
    throw protocolError('the first line is no QMP greeting');
  }
  const { major, minor, micro } = qemu;
  if (typeof major !== 'number' || typeof minor !== 'number' || typeof micro !== 'number') {
    throw protocolError('the QMP greeting names no version');
  }
  return {
    version: { major, minor, micro },
    package: typeof version.package === 'string' ? version.package : '',
    offersOob: Array.isArray(qmp.capabilities) && qmp.capabilities.includes('oob'),
  };
}

/** Why a socket that accepted us stays silent: the kernel knows whether QEMU serves somebody else. */
async function silenceError(path: string, timeoutMs: number): Promise<Error> {
  const table = await readFile('/proc/net/unix', 'utf8').catch(() => '');
  const realPath = await realpath(path).catch(() => path);
  const peers = countServerSockets(table, path) ?? countServerSockets(table, realPath);
  if (peers === null) return busyError(path, false);
  const otherIsServed = peers.accepted > 1 || (peers.accepted === 1 && peers.waiting > 0);
  return otherIsServed ? busyError(path, true) : greetingTimeoutError(path, timeoutMs);
}

/**
 * The server's ends of the connections to `path`, from the text of /proc/net/unix: state 03 has been
 * accepted, 02 waits in the backlog (measured against QEMU 10.0). Null when the table does not show the
 * listening socket: another network namespace, or a path that QEMU was given in another spelling.
 */
export function countServerSockets(
  table: string,
  path: string,
): { accepted: number; waiting: number } | null {
  let listening = false;
  let accepted = 0;
  let waiting = 0;
  for (const line of table.split('\n')) {
    const [, , , flags, , state, , ...rest] = line.trim().split(/ +/);
    if (rest.join(' ') !== path) continue;
    if (flags === '00010000') listening = true;
    else if (state === '03') accepted++;
    else if (state === '02') waiting++;
  }
  return listening ? { accepted, waiting } : null;
}
