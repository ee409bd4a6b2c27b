/**
 * A thread that owns sockets and does their TLS. Its connections' bytes go through rings to the
 * thread with the link.
 */

import { parentPort } from 'node:worker_threads';
import { defined } from '../../base/index.ts';
import { RING_BYTES, RingReader, RingWriter } from '../transports/ring.ts';
import type { StreamTransport } from '../transports/stream.ts';
import { tcpDial, tcpListen } from '../transports/tcp.ts';
import { tlsDial, tlsListen } from '../transports/tls.ts';
import { type Endpoint, type FromSockets, type Rings, type ToSockets, toFailure } from './socket-messages.ts';

const port = defined(parentPort, 'this file runs as a worker thread');
const connections = new Map<number, Connection>();
const stopping = new AbortController();
const secrets: Uint8Array[] = [];
let nextAccepted = 1;

function tell(message: FromSockets): void {
  port.postMessage(message);
}

class Connection {
  readonly #id: number;
  readonly #transport: StreamTransport;
  readonly #out: RingReader;
  readonly #in: RingWriter;
  /** Read from the socket, not yet in the ring: at most what one turn of the loop read. */
  #waiting: Uint8Array[] = [];
  #fresh = 0;
  #taken = 0;
  #telling = false;
  #closed: { readonly error: Error | null } | null = null;

  constructor(id: number, transport: StreamTransport, rings: Rings) {
    this.#id = id;
    this.#transport = transport;
    this.#out = new RingReader(rings.out);
    this.#in = new RingWriter(rings.in);
  }

  open(): void {
    this.#transport.open({
      onData: (chunk) => this.#onData(chunk),
      onWritable: () => {},
      onClosed: (error) => {
        this.#closed = { error };
        this.#tellSoon();
      },
    });
  }

  /** The ring is the bound of what waits here, so the socket's own opinion of room does not matter. */
  written(bytes: number): void {
    this.#transport.write(this.#out.take(bytes), () => {
      this.#taken += bytes;
      this.#tellSoon();
    });
  }

  consumed(bytes: number): void {
    this.#in.release(bytes);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const chunk of waiting) this.#put(chunk);
    if (this.#waiting.length === 0) this.#transport.setReading(true);
    this.#tellSoon();
  }

  end(): void {
    this.#transport.end();
  }

  destroy(): void {
    this.#transport.destroy();
  }

  #onData(chunk: Uint8Array): void {
    this.#put(chunk);
    if (this.#waiting.length > 0) this.#transport.setReading(false);
    this.#tellSoon();
  }

  #put(chunk: Uint8Array): void {
    const count = this.#waiting.length > 0 ? 0 : this.#in.write(chunk);
    this.#fresh += count;
    // Copied: the chunk is the transport's.
    if (count < chunk.length) this.#waiting.push(Uint8Array.from(chunk.subarray(count)));
  }

  /**
   * Once a turn of the loop: TLS hands out 16 KiB at a time, and a message costs as much as copying those.
   */
  #tellSoon(): void {
    if (this.#telling) return;
    this.#telling = true;
    setImmediate(() => {
      this.#telling = false;
      if (this.#taken > 0) tell({ op: 'taken', id: this.#id, bytes: this.#taken });
      if (this.#fresh > 0) tell({ op: 'data', id: this.#id, bytes: this.#fresh });
      this.#taken = 0;
      this.#fresh = 0;
      if (this.#closed === null || this.#waiting.length > 0) return;
      connections.delete(this.#id);
      const { error } = this.#closed;
      tell({ op: 'closed', id: this.#id, failure: error === null ? null : toFailure(error) });
    });
  }
}

function makeDial({ address, credentials }: Endpoint) {
  return credentials === null ? tcpDial(address) : tlsDial(address, credentials);
}

async function dial(id: number, endpoint: Endpoint, rings: Rings): Promise<void> {
  try {
    const transport = await makeDial(endpoint)(0, stopping.signal);
    connections.set(id, new Connection(id, transport, rings));
    tell({ op: 'dialled', id, description: transport.description });
  } catch (error) {
    tell({ op: 'dial-failed', id, failure: toFailure(error) });
  }
}

async function listen({ address, credentials }: Endpoint): Promise<void> {
  const onTransport = (transport: StreamTransport) => {
    const id = nextAccepted;
    nextAccepted += 2;
    const rings = { out: new SharedArrayBuffer(RING_BYTES), in: new SharedArrayBuffer(RING_BYTES) };
    connections.set(id, new Connection(id, transport, rings));
    tell({ op: 'accepted', id, description: transport.description, rings });
  };
  const onRefused = (error: Error) => tell({ op: 'refused', failure: toFailure(error) });
  try {
    const listener =
      credentials === null
        ? await tcpListen(address, onTransport)
        : await tlsListen(address, credentials, onTransport, onRefused);
    tell({ op: 'listening', address: listener.address });
  } catch (error) {
    tell({ op: 'listen-failed', failure: toFailure(error) });
  }
}

function stop(): void {
  stopping.abort(new Error('the link has ended'));
  for (const connection of connections.values()) connection.destroy();
  for (const secret of secrets) secret.fill(0);
  process.exit();
}

function remember({ credentials }: Endpoint): void {
  if (credentials?.kind === 'psk') secrets.push(credentials.key);
}

port.on('message', (message: ToSockets) => {
  switch (message.op) {
    case 'dial':
      remember(message.endpoint);
      void dial(message.id, message.endpoint, message.rings);
      return;
    case 'listen':
      remember(message.endpoint);
      void listen(message.endpoint);
      return;
    case 'open':
      connections.get(message.id)?.open();
      return;
    case 'end':
      connections.get(message.id)?.end();
      return;
    case 'destroy':
      connections.get(message.id)?.destroy();
      return;
    case 'written':
      connections.get(message.id)?.written(message.bytes);
      return;
    case 'consumed':
      connections.get(message.id)?.consumed(message.bytes);
      return;
    case 'stop':
      stop();
  }
});
