/**
 * The source's view of the far gateway: starts `godwit receive --stdio` on the far host, passes it the key over its
 * standard input, and dials the link. The far side ends when this channel does.
 */

import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { errorMessage, GodwitError } from '../base/index.ts';
import {
  type Dial,
  Link,
  type LinkEvent,
  type Message,
  PSK_BYTES,
  type SocketAddress,
  tlsDial,
} from '../link/index.ts';
import { BATCH_FORMAT } from '../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import {
  collect,
  type Forward,
  farCommand,
  forwardSocket,
  type ReachSpec,
  resolvedHost,
  startFar,
} from './reach.ts';
import {
  LineCutter,
  parseLine,
  type ReceiveEvent,
  type ReceiveHello,
  receiveEvent,
} from './receive-messages.ts';

export interface FarSideOptions {
  readonly reach: ReachSpec;
  /** How godwit is started there. */
  readonly remoteCommand: readonly string[];
  /** `host` or `host:port` of the far side's data address; null: the host ssh resolves, any port. */
  readonly dataAddress: string | null;
  readonly connections: number;
  readonly referencePagesMax: number;
  readonly linkTimeoutMs: number;
  readonly onEvent: (event: LinkEvent) => void;
  readonly onNote: (text: string) => void;
}

/**
 * TCP doubles its patience with every packet that is lost, and so is late by as long as the network was broken; a new
 * connection is not. A PING a second makes this silence certain.
 */
export const LINK_SILENCE_MS_MAX = 4_000;
/** For a connection and its handshake: a SYN is repeated after 1 s and 3 s, then ever more rarely. */
const DIAL_TIMEOUT_MS = 4_000;
/** The data address is tried this long before data goes through ssh itself. */
const DIRECT_TIMEOUT_MS = 3_000;

export class FarSide {
  readonly link: Link;
  /** Where the destination QEMU must listen, on the far host. */
  readonly incoming: string;
  readonly #child: ChildProcess;
  readonly #key: Buffer;
  readonly #events: Events;
  readonly #forward: Forward | null;
  #onMessage: (message: Message) => void = () => undefined;

  private constructor(parts: {
    link: Link;
    incoming: string;
    child: ChildProcess;
    key: Buffer;
    events: Events;
    forward: Forward | null;
    receiver: { onMessage: (message: Message) => void };
  }) {
    this.link = parts.link;
    this.incoming = parts.incoming;
    this.#child = parts.child;
    this.#key = parts.key;
    this.#events = parts.events;
    this.#forward = parts.forward;
    parts.receiver.onMessage = (message) => this.#onMessage(message);
  }

  /** Errors: REACH_FAILED, RECEIVE_PROTOCOL, and those of the link. */
  static async start(options: FarSideOptions, signal: AbortSignal): Promise<FarSide> {
    const key = randomBytes(PSK_BYTES);
    const migrationId = randomBytes(16);
    const command = farCommand(options.reach, [...options.remoteCommand, 'receive', '--stdio']);
    const child = startFar(command, 'pipe');
    const events = new Events(child, command.join(' '));
    const undo: (() => void)[] = [() => child.kill()];
    try {
      const direct = parseDataAddress(options.dataAddress);
      child.stdin!.write(`${JSON.stringify(helloOf(options, migrationId, key, direct?.port ?? 0))}\n`);
      const listening = await events.wait('listening', signal);
      const host = direct?.host ?? (await resolvedHost(options.reach));
      const { dial, forward } = await chooseWay(options, { host, port: listening.port }, key, signal);
      undo.push(() => forward?.close());
      const receiver: { onMessage: (message: Message) => void } = { onMessage: () => undefined };
      const link = new Link({
        migrationId,
        laneCount: options.connections,
        capabilities: {
          role: 'source',
          codecMask: 1 << (BATCH_FORMAT - 1),
          pageSizeBytes: PAGE_SIZE_BYTES,
          referencePagesMax: options.referencePagesMax,
        },
        limits: { linkTimeoutMs: options.linkTimeoutMs, silenceMsMax: LINK_SILENCE_MS_MAX },
        onMessage: (message) => receiver.onMessage(message),
        onEvent: options.onEvent,
      });
      undo.push(() => link.abort(new GodwitError('ABORTED', 'the source gave the migration up')));
      link.dial(impatient(dial));
      const far = new FarSide({ link, incoming: listening.incoming, child, key, events, forward, receiver });
      await Promise.race([link.connected(signal), events.failed]);
      return far;
    } catch (error) {
      for (const step of undo) step();
      key.fill(0);
      throw error;
    }
  }

  set onMessage(handler: (message: Message) => void) {
    this.#onMessage = handler;
  }

  /** The destination QEMU listens: the far gateway connects to it. */
  async feed(signal: AbortSignal): Promise<void> {
    this.#child.stdin!.write(`${JSON.stringify({ do: 'feed' })}\n`);
    await this.#events.wait('feeding', signal);
  }

  /** Rejects when the far gateway reports a failure or its channel ends early. */
  get failed(): Promise<never> {
    return this.#events.failed;
  }

  close(): void {
    this.#key.fill(0);
    this.#events.close();
    this.#child.stdin?.end();
    this.#forward?.close();
    // It ends by itself when its channel does; a far shell that hangs must not keep us.
    setTimeout(() => this.#child.kill(), 2_000).unref();
    this.#child.unref();
  }
}

function helloOf(options: FarSideOptions, migrationId: Buffer, key: Buffer, port: number): ReceiveHello {
  return {
    godwit: 1,
    migrationId: migrationId.toString('hex'),
    key: key.toString('hex'),
    lanes: options.connections,
    referencePagesMax: options.referencePagesMax,
    linkTimeoutMs: options.linkTimeoutMs,
    listen: { host: null, port },
  };
}

function impatient(dial: Dial): Dial {
  return (lane, signal) => dial(lane, AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)]));
}

/** Straight to the data address where it answers, else through ssh itself. */
async function chooseWay(
  options: FarSideOptions,
  address: { host: string; port: number },
  key: Buffer,
  signal: AbortSignal,
): Promise<{ dial: Dial; forward: Forward | null }> {
  const credentials = { kind: 'psk', key } as const;
  if (await answers(address, signal)) return { dial: tlsDial(address, credentials), forward: null };
  const where = `${address.host}:${address.port}`;
  if (options.reach.host === null || options.dataAddress !== null) {
    throw new GodwitError('REACH_FAILED', `nothing answers at the data address ${where}`, {
      safe: 'nothing was touched',
      hint: 'open that port on the far host, or name another address with --data-address',
    });
  }
  options.onNote(`the data address ${where} cannot be reached: data goes through ssh, which is slower`);
  const forward = await forwardSocket(options.reach, `127.0.0.1:${address.port}`, signal);
  const local: SocketAddress = { path: forward.path };
  return { dial: tlsDial(local, credentials), forward };
}

async function answers(address: { host: string; port: number }, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ ...address, signal });
    const end = (result: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => end(false), DIRECT_TIMEOUT_MS);
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}

/** "host", "host:4444" or "[fd00::2]:4444". Errors: USAGE_ENDPOINT. */
export function parseDataAddress(text: string | null): { host: string; port: number } | null {
  if (text === null) return null;
  const match = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(text);
  if (!match) throw badDataAddress(text);
  const port = Number(match[2] ?? 0);
  if (port > 65_535) throw badDataAddress(text);
  return { host: match[1]!.replace(/^\[|\]$/g, ''), port };
}

function badDataAddress(text: string): GodwitError {
  return new GodwitError('USAGE_ENDPOINT', `"${text}" is not HOST or HOST:PORT`, {
    hint: 'write it like 10.0.0.2, 10.0.0.2:4444 or [fd00::2]:4444',
  });
}

/** The far side's lines, each awaited once or a failure. */
class Events {
  readonly #waiting = new Map<string, (event: ReceiveEvent) => void>();
  readonly #early = new Map<string, ReceiveEvent>();
  readonly #failed = Promise.withResolvers<never>();
  #closed = false;

  constructor(child: ChildProcess, what: string) {
    this.#failed.promise.catch(() => undefined);
    const said = collect(child);
    const cutter = new LineCutter();
    child.stdin?.on('error', () => undefined);
    child.stdout
      ?.setEncoding('utf8')
      .on('data', (chunk) => this.#guard(() => this.#onChunk(cutter, String(chunk))));
    child.on('error', (cause) => this.#fail(reachError(`cannot run ${what}: ${errorMessage(cause)}`, cause)));
    child.on('close', (code) =>
      this.#fail(reachError(`${what} ended (${code}): ${said().trim().slice(-500)}`)),
    );
  }

  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  async wait<Name extends ReceiveEvent['event']>(name: Name, signal: AbortSignal) {
    const early = this.#early.get(name);
    const arrived = new Promise<ReceiveEvent>((resolve, reject) => {
      if (early) resolve(early);
      this.#waiting.set(name, resolve);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    return (await Promise.race([arrived, this.#failed.promise])) as Extract<ReceiveEvent, { event: Name }>;
  }

  close(): void {
    this.#closed = true;
  }

  #onChunk(cutter: LineCutter, chunk: string): void {
    for (const line of cutter.push(chunk)) {
      const event = parseLine(receiveEvent, line);
      if (event.event === 'error') {
        this.#fail(
          new GodwitError(event.code, `the far gateway: ${event.text}`, { fields: { fromPeer: true } }),
        );
      }
      this.#early.set(event.event, event);
      this.#waiting.get(event.event)?.(event);
    }
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    if (!this.#closed) this.#failed.reject(error);
  }
}

function reachError(text: string, cause?: unknown): GodwitError {
  return new GodwitError('REACH_FAILED', text, {
    cause,
    safe: 'the source VM goes on',
    hint: 'godwit must be installed on the far host; --remote-command says how it is started there',
  });
}
