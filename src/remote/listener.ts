/**
 * A far side that was started by hand: `godwit receive QMP --listen` on the far host, reached by TLS with
 * certificates or, where the operator said --insecure, in clear. Every connection says in its first line what
 * it is for (docs/format/link.md, 8). Not responsible for the migration.
 */

import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { errorCode, errorMessage, GodwitError } from '../base/index.ts';
import { FrameDecoder, type StreamDial, tcpDial, throwRefusal, tlsDial } from '../link/index.ts';
import type { SocketFolder } from '../qmp/index.ts';
import { FORWARD, type Forward, makeForwardFolder } from './forward.ts';
import { joinSocket, LineStream, NoLine } from './line-stream.ts';
import { parseLine, type ReceiveEvent, type ReceiveOpening, receiveEvent } from './messages.ts';
import { loadTls, type TlsFiles } from './tls.ts';

export interface ListenerReach {
  readonly host: string;
  readonly port: number;
  /** null: in clear. */
  readonly tls: TlsFiles | null;
  /** Id of the migration, 16 random bytes in hex: once it has begun, the far side listens to nobody else. */
  readonly session: string;
}

const OPEN_TIMEOUT_MS = 10_000;
const END_TIMEOUT_MS = 3_000;
const PROBE_TIMEOUT_MS = 3_000;
/** Of a frame of the link: the far side refused before it read our line. */
const FRAME_START = 0x47;

export function listenerName({ host, port, tls }: ListenerReach): string {
  return `${tls === null ? 'tcp' : 'tls'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Errors of the dial: LINK_TLS, REACH_TLS, REACH_FAILED. */
export function listenerDial(listener: ListenerReach): StreamDial {
  const address = { host: listener.host, port: listener.port };
  if (listener.tls === null) return tcpDial(address);
  return tlsDial(address, loadTls(listener.tls));
}

/**
 * A connection that has said what it is for, and the answer `wanted`. Errors: REACH_FAILED, REACH_TLS,
 * LINK_TLS, the far side's own.
 */
export async function openFar(
  listener: ListenerReach,
  opening: ReceiveOpening,
  wanted: ReceiveEvent['event'] | null,
  signal: AbortSignal,
): Promise<LineStream> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(OPEN_TIMEOUT_MS)]);
  let stream: LineStream | null = null;
  try {
    stream = new LineStream(await listenerDial(listener)(0, limited));
    stream.writeLine(opening);
    if (wanted !== null) await expectEvent(stream, wanted, limited);
    return stream;
  } catch (error) {
    stream?.destroy();
    signal.throwIfAborted();
    throw await explainRefusal(error, listener);
  }
}

async function expectEvent(
  stream: LineStream,
  wanted: ReceiveEvent['event'],
  signal: AbortSignal,
): Promise<void> {
  const event = parseLine(receiveEvent, await readFarLine(stream, signal));
  if (event.event === 'error') throw farError(event);
  if (event.event !== wanted) {
    throw new GodwitError('RECEIVE_PROTOCOL', `the far side says "${event.event}" instead of "${wanted}"`);
  }
}

export function farError({ code, text }: { readonly code: string; readonly text: string }): GodwitError {
  return new GodwitError(code, `the far gateway: ${text}`, { fields: { fromPeer: true } });
}

/** As `readLine`; a refusal in the link's own language is thrown as such. */
export async function readFarLine(stream: LineStream, signal: AbortSignal): Promise<string> {
  try {
    return await stream.readLine(signal);
  } catch (error) {
    if (error instanceof NoLine && error.firstByte === FRAME_START) await readRefusal(stream, signal);
    throw error;
  }
}

/** In TLS 1.3 a server refuses our certificate only after we believe ourselves connected. */
async function readRefusal(stream: LineStream, signal: AbortSignal): Promise<never> {
  const decoder = new FrameDecoder();
  return await new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    stream.open({
      onData: (chunk) => {
        try {
          decoder.push(chunk);
          const frame = decoder.next();
          if (frame !== null) throwRefusal(frame);
        } catch (error) {
          reject(error);
        }
      },
      onWritable: () => undefined,
      onClosed: (error) => reject(error ?? new GodwitError('CHANNEL_CLOSED', 'it closed the connection')),
    });
  });
}

/** What is wrong with how we came, as far as the far side shows it. */
async function explainRefusal(error: unknown, listener: ListenerReach): Promise<unknown> {
  const name = listenerName(listener);
  const code = errorCode(error);
  if (code === 'LINK_TLS' && error instanceof GodwitError && error.fields['reason'] === WRONG_VERSION) {
    return tlsMismatch(name, 'does not speak TLS', error);
  }
  // Node closes such a connection without a word.
  if (listener.tls === null && code === 'CHANNEL_CLOSED' && (await speaksTls(listener))) {
    return tlsMismatch(name, 'wants TLS, and we came in clear', error);
  }
  if (error instanceof GodwitError && code !== 'CHANNEL_CLOSED') return error;
  return new GodwitError(
    'REACH_FAILED',
    `${name} does not answer as godwit receive: ${errorMessage(error)}`,
    {
      cause: error,
      safe: 'nothing was touched',
      hint: `start "godwit receive qmp:… --listen …" on the far host and see what it says`,
    },
  );
}

async function speaksTls({ host, port }: ListenerReach): Promise<boolean> {
  const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  const socket = tls.connect({ host, port, rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect', { signal });
    return true;
  } catch {
    return false;
  } finally {
    socket.on('error', () => undefined);
    socket.destroy();
  }
}

/** What OpenSSL says to an answer that is not TLS. */
const WRONG_VERSION = 'ERR_SSL_WRONG_VERSION_NUMBER';

function tlsMismatch(name: string, text: string, cause: unknown): GodwitError {
  return new GodwitError('REACH_TLS', `${name} ${text}`, {
    cause,
    safe: 'nothing was touched',
    hint: 'both ends need --tls-cert, --tls-key and --tls-ca (tls://HOST:PORT), or, on a trusted network, both --insecure (tcp://HOST:PORT)',
  });
}

/** The QMP socket behind the listener, as a unix socket here: each connection to it becomes one to there. */
export async function forwardListener(listener: ListenerReach): Promise<Forward> {
  const folder = await makeForwardFolder();
  const forward = new ListenerForward(listener, folder);
  await forward.listen();
  return forward;
}

class ListenerForward implements Forward {
  readonly path: string;
  readonly alive = true;
  readonly #listener: ListenerReach;
  readonly #folder: SocketFolder;
  readonly #server: net.Server;
  readonly #closing = new AbortController();
  #refusals = 0;
  #failure: unknown = null;

  constructor(listener: ListenerReach, folder: SocketFolder) {
    this.#listener = listener;
    this.#folder = folder;
    this.path = folder.here(FORWARD);
    this.#server = net.createServer((socket) => void this.#join(socket));
  }

  get refusals(): number {
    return this.#refusals;
  }

  get failure(): unknown {
    return this.#failure;
  }

  said(): string {
    return this.#failure === null ? '' : errorMessage(this.#failure);
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject).listen(this.path, resolve);
    });
  }

  close(): void {
    this.#closing.abort();
    this.#server.close();
    this.#folder.remove();
  }

  async #join(socket: net.Socket): Promise<void> {
    socket.on('error', () => undefined);
    try {
      const opening = { godwit: 1, open: 'qmp', session: this.#listener.session } as const;
      const stream = await openFar(this.#listener, opening, 'qmp', this.#closing.signal);
      this.#failure = null;
      this.#closing.signal.addEventListener('abort', () => stream.end(), { once: true });
      joinSocket(stream, socket);
    } catch (error) {
      if (errorCode(error) === 'QMP_CONNECT') this.#refusals++;
      this.#failure = error;
      socket.destroy();
    }
  }
}

/**
 * Tells the far side that its migration has ended, so that it ends too. Never rejects: it also
 * ends by itself, later.
 */
export async function sayEnded(
  listener: ListenerReach | null | undefined,
  outcome: 'completed' | 'aborted' | 'in-doubt',
): Promise<void> {
  if (listener == null || outcome === 'in-doubt') return;
  const opening = { godwit: 1, open: 'end', session: listener.session, outcome } as const;
  try {
    const stream = await openFar(listener, opening, 'ended', AbortSignal.timeout(END_TIMEOUT_MS));
    stream.end();
  } catch {
    // Nobody took the message; --linger ends the far side later.
  }
}
