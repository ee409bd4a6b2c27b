/**
 * The source's view of the far gateway: starts `godwit receive --stdio` on the far host and passes it the key
 * over its standard input, or begins a migration at one that was started by hand; then dials the link. Not
 * responsible for the channel to it: channel.ts.
 */

import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { GodwitError } from '../base/index.ts';
import {
  type Dial,
  Link,
  type LinkEvent,
  type Message,
  PSK_BYTES,
  type SocketAddress,
  tlsDial,
} from '../link/index.ts';
import { childChannel, type FarChannel, FarEvents, streamChannel } from './channel.ts';
import type { Forward } from './forward.ts';
import { linkTerms } from './link-terms.ts';
import { type ListenerReach, listenerDial, listenerName, openFar } from './listener.ts';
import type { ReceiveHello } from './messages.ts';
import { farCommand, forwardSocket, type ReachSpec, resolvedHost, startFar } from './reach.ts';

export interface FarSideOptions {
  readonly reach: ReachSpec;
  /** How godwit is started there. */
  readonly remoteCommand: readonly string[];
  /** `host` or `host:port` of the far side's data address; null: the host ssh resolves, any port. */
  readonly dataAddress: string | null;
  readonly connections: number;
  readonly linkTimeoutMs: number;
  /** The destination QEMU, as its own host names it. */
  readonly qemu: ReceiveHello['qemu'];
  /** Where it will listen; null: the far side says where. */
  readonly incoming: string | null;
  readonly onEvent: (event: LinkEvent) => void;
  readonly onNote: (text: string) => void;
}

/** For a connection and its handshake: a SYN is repeated after 1 s and 3 s, then ever more rarely. */
const DIAL_TIMEOUT_MS = 4_000;
/** The data address is tried this long before data goes through ssh itself. */
const DIRECT_TIMEOUT_MS = 3_000;

/** ssh's login, as long as a password takes, and godwit's start on a busy host. */
const FAR_TIMEOUT_MS = 90_000;

export class FarSide {
  readonly link: Link;
  /** Where the destination QEMU must listen, on the far host. */
  readonly incoming: string;
  readonly #channel: FarChannel;
  readonly #key: Buffer | null;
  readonly #events: FarEvents;
  readonly #forward: Forward | null;
  #onMessage: (message: Message) => void = () => undefined;

  private constructor(parts: {
    link: Link;
    incoming: string;
    channel: FarChannel;
    key: Buffer | null;
    events: FarEvents;
    forward: Forward | null;
    receiver: { onMessage: (message: Message) => void };
  }) {
    this.link = parts.link;
    this.incoming = parts.incoming;
    this.#channel = parts.channel;
    this.#key = parts.key;
    this.#events = parts.events;
    this.#forward = parts.forward;
    parts.receiver.onMessage = (message) => this.#onMessage(message);
  }

  /** Errors: REACH_FAILED, REACH_TLS, RECEIVE_PROTOCOL, RECEIVE_BUSY, and those of the link. */
  static async start(options: FarSideOptions, signal: AbortSignal): Promise<FarSide> {
    const { listener } = options.reach;
    const key = listener == null ? randomBytes(PSK_BYTES) : null;
    const migrationId = listener == null ? randomBytes(16) : Buffer.from(listener.session, 'hex');
    const channel = await openChannel(options, helloOf(options, migrationId, key), signal);
    const events = new FarEvents(channel);
    const undo: (() => void)[] = [() => channel.kill()];
    try {
      const listening = await events.wait('listening', signal, FAR_TIMEOUT_MS);
      const { dial, forward } =
        listener == null
          ? await keyedDataPath(options, listening.port, key!, signal)
          : listenerDataPath(listener, options);
      undo.push(() => forward?.close());
      const receiver: { onMessage: (message: Message) => void } = { onMessage: () => undefined };
      const link = new Link({
        migrationId,
        laneCount: options.connections,
        ...linkTerms('source', options.linkTimeoutMs),
        onMessage: (message) => receiver.onMessage(message),
        onEvent: options.onEvent,
      });
      undo.push(() => link.abort(new GodwitError('ABORTED', 'the source gave the migration up')));
      link.dial(impatient(dial));
      const { incoming } = listening;
      if (options.incoming !== null && incoming !== `unix:${options.incoming}`) throw olderFarSide();
      const far = new FarSide({ link, incoming, channel, key, events, forward, receiver });
      await Promise.race([link.connected(signal), events.failed]);
      return far;
    } catch (error) {
      for (const step of undo) step();
      key?.fill(0);
      throw error;
    }
  }

  set onMessage(handler: (message: Message) => void) {
    this.#onMessage = handler;
  }

  /** The destination QEMU listens: the far gateway connects to it. */
  async feed(signal: AbortSignal): Promise<void> {
    this.#channel.send({ do: 'feed' });
    await this.#events.wait('feeding', signal, FAR_TIMEOUT_MS);
  }

  /** Rejects when the far gateway reports a failure or its channel ends early. */
  get failed(): Promise<never> {
    return this.#events.failed;
  }

  close(): void {
    this.#key?.fill(0);
    this.#events.close();
    this.#channel.close();
    this.#forward?.close();
  }
}

async function openChannel(
  options: FarSideOptions,
  hello: ReceiveHello,
  signal: AbortSignal,
): Promise<FarChannel> {
  const { listener } = options.reach;
  if (listener != null) {
    return streamChannel(await openFar(listener, { godwit: 1, open: 'control', hello }, null, signal));
  }
  const command = farCommand(options.reach, [...options.remoteCommand, 'receive', '--stdio']);
  const channel = childChannel(startFar(command, 'pipe'), command.join(' '));
  channel.send(hello);
  return channel;
}

/** Data goes where the channel went. */
function listenerDataPath(
  listener: ListenerReach,
  { onNote }: FarSideOptions,
): { dial: Dial; forward: null } {
  if (listener.tls === null)
    onNote(`the guest's memory crosses the network to ${listenerName(listener)} in clear`);
  return { dial: listenerDial(listener), forward: null };
}

/** It does not know the word, and has made a folder of its own. */
function olderFarSide(): GodwitError {
  return new GodwitError(
    'RECEIVE_PROTOCOL',
    'godwit on the far host is older and moves no domains of libvirt',
    {
      safe: 'nothing was touched',
      hint: 'install the same version there, or move without it (--no-far-gateway)',
    },
  );
}

function helloOf(options: FarSideOptions, migrationId: Buffer, key: Buffer | null): ReceiveHello {
  return {
    godwit: 1,
    migrationId: migrationId.toString('hex'),
    key: key?.toString('hex') ?? null,
    lanes: options.connections,
    linkTimeoutMs: options.linkTimeoutMs,
    qemu: options.qemu,
    incoming: options.incoming,
    listen: { host: null, port: parseDataAddress(options.dataAddress)?.port ?? 0 },
  };
}

function impatient(dial: Dial): Dial {
  return (lane, signal) => dial(lane, AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)]));
}

/** Straight to the data address where it answers, else through ssh itself. */
async function keyedDataPath(
  options: FarSideOptions,
  port: number,
  key: Buffer,
  signal: AbortSignal,
): Promise<{ dial: Dial; forward: Forward | null }> {
  const host = parseDataAddress(options.dataAddress)?.host ?? (await resolvedHost(options.reach));
  const address = { host, port };
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
