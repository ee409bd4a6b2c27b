/**
 * Pairs of links over each transport, for the contract suite. Not responsible for the checks: link.test.ts.
 */

import { randomBytes } from 'node:crypto';
import {
  type Capabilities,
  type Dial,
  Link,
  type LinkEvent,
  type LinkOptions,
  type LinkRole,
  type Listener,
  type Message,
  memoryPair,
  SocketThread,
  type Transport,
  tcpDial,
  tcpListen,
  tlsDial,
  tlsListen,
} from '../../src/link/index.ts';

function capabilities(role: LinkRole): Capabilities {
  return { role, codecMask: 1, pageSizeBytes: 4096 };
}

/** Opens connections to whatever accepts on the other side. */
export interface Road {
  readonly dial: Dial;
  close(): Promise<void>;
}

export type RoadMaker = (accept: (transport: Transport) => void) => Promise<Road>;

const LOCAL = { host: '127.0.0.1', port: 0 } as const;

function listening(listener: Listener, dial: Dial): Road {
  return { dial, close: () => listener.close() };
}

export const ROADS: Readonly<Record<string, RoadMaker>> = {
  memory: async (accept) => ({
    dial: async () => {
      const [near, far] = memoryPair();
      accept(far);
      return near;
    },
    close: async () => {},
  }),
  tcp: async (accept) => {
    const listener = await tcpListen(LOCAL, accept);
    return listening(listener, tcpDial(listener.address));
  },
  tls: async (accept) => {
    const credentials = { kind: 'psk', key: randomBytes(32) } as const;
    const listener = await tlsListen(LOCAL, credentials, accept);
    return listening(listener, tlsDial(listener.address, credentials));
  },
  'tls on threads': async (accept) => {
    const credentials = { kind: 'psk', key: randomBytes(32) } as const;
    const far = new SocketThread();
    const near = new SocketThread();
    const { address } = await far.listen({ address: LOCAL, credentials }, accept);
    return {
      dial: near.dial({ address, credentials }),
      close: async () => {
        await Promise.all([near.close(), far.close()]);
      },
    };
  },
};

export interface Received {
  readonly lane: number;
  readonly message: Message;
}

export interface Pair {
  readonly source: Link;
  readonly destination: Link;
  readonly received: Received[];
  readonly events: LinkEvent[];
  /** Transports the source opened, newest last. */
  readonly transports: Transport[];
  close(): Promise<void>;
}

export interface PairOptions {
  readonly laneCount?: number;
  readonly source?: Partial<LinkOptions>;
  readonly destination?: Partial<LinkOptions>;
  /** Wraps what the source dials, for conditions. */
  readonly wrap?: (transport: Transport, lane: number) => Transport;
}

export async function makePair(makeRoad: RoadMaker, options: PairOptions = {}): Promise<Pair> {
  const migrationId = randomBytes(16);
  const laneCount = options.laneCount ?? 2;
  const received: Received[] = [];
  const events: LinkEvent[] = [];
  const transports: Transport[] = [];
  const destination = new Link({
    migrationId,
    laneCount,
    capabilities: capabilities('destination'),
    onMessage: (message, lane) => {
      const kept = message.kind === 'pages' ? { ...message, batch: Uint8Array.from(message.batch) } : message;
      received.push({ lane, message: kept });
    },
    onEvent: (event) => events.push(event),
    ...options.destination,
  });
  const source = new Link({
    migrationId,
    laneCount,
    capabilities: capabilities('source'),
    onMessage: () => {},
    ...options.source,
  });
  const road = await makeRoad((transport) => destination.accept(transport));
  source.dial(async (lane, signal) => {
    const bare = await road.dial(lane, signal);
    const transport = options.wrap?.(bare, lane) ?? bare;
    transports[lane] = transport;
    return transport;
  });
  return {
    source,
    destination,
    received,
    events,
    transports,
    async close() {
      source.abort(new Error('the test is over'));
      destination.abort(new Error('the test is over'));
      await road.close();
    },
  };
}

/** A payload that names itself, so that the receiver can tell order and content. */
export function stampedPayload(sizeBytes: number, stamp: number): Uint8Array {
  const bytes = Buffer.alloc(sizeBytes, stamp & 0xff);
  bytes.writeUInt32BE(stamp, 0);
  return bytes;
}

export function stampOf(message: Message): number {
  if (message.kind !== 'pages') return -1;
  return Buffer.from(message.batch.buffer, message.batch.byteOffset, 4).readUInt32BE(0);
}
