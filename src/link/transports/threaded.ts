/**
 * Transports whose sockets and TLS live on another thread, so that encrypting does not stop
 * parsing. The bytes cross in rings of shared memory, 2 MiB a connection. Not responsible for
 * what sockets do: workers/sockets.ts.
 */

import { Worker } from 'node:worker_threads';
import { linkError } from '../errors.ts';
import type { Dial, Transport, TransportHandlers } from '../transport.ts';
import {
  type Endpoint,
  type FromSockets,
  fromFailure,
  type Rings,
  type ToSockets,
} from '../workers/socket-messages.ts';
import { RING_BYTES, RingReader, RingWriter } from './ring.ts';
import type { Listener } from './tcp.ts';

// The published package holds JavaScript: Node does not strip types inside node_modules.
const SOCKETS = new URL(
  import.meta.url.endsWith('.ts') ? '../workers/sockets.ts' : '../workers/sockets.js',
  import.meta.url,
);

interface PendingChunk {
  readonly bytes: Uint8Array;
  readonly onTaken: (() => void) | null;
}

class ThreadedTransport implements Transport {
  readonly description: string;
  readonly #id: number;
  readonly #tell: (message: ToSockets) => void;
  readonly #out: RingWriter;
  readonly #in: RingReader;
  #pending: PendingChunk[] = [];
  #pendingAt = 0;
  #handlers: TransportHandlers | null = null;
  #ending = false;
  #closed = false;

  constructor(id: number, description: string, rings: Rings, tell: (message: ToSockets) => void) {
    this.#id = id;
    this.description = description;
    this.#tell = tell;
    this.#out = new RingWriter(rings.out);
    this.#in = new RingReader(rings.in);
  }

  open(handlers: TransportHandlers): void {
    this.#handlers = handlers;
    this.#tell({ op: 'open', id: this.#id });
  }

  write(chunks: readonly Uint8Array[], onTaken?: () => void): boolean {
    if (this.#ending || this.#closed) return false;
    for (const [index, bytes] of chunks.entries()) {
      this.#pending.push({ bytes, onTaken: index === chunks.length - 1 ? (onTaken ?? null) : null });
    }
    return this.#fill();
  }

  /** Copies what fits into the ring; true when nothing is left over. */
  #fill(): boolean {
    let written = 0;
    while (this.#pending.length > 0) {
      const { bytes, onTaken } = this.#pending[0]!;
      const count = this.#out.write(bytes.subarray(this.#pendingAt));
      written += count;
      this.#pendingAt += count;
      if (this.#pendingAt < bytes.length) break;
      this.#pending.shift();
      this.#pendingAt = 0;
      onTaken?.();
    }
    if (written > 0) this.#tell({ op: 'written', id: this.#id, bytes: written });
    return this.#pending.length === 0;
  }

  end(): void {
    if (this.#ending || this.#closed) return;
    this.#ending = true;
    if (this.#pending.length === 0) this.#tell({ op: 'end', id: this.#id });
  }

  destroy(): void {
    this.#ending = true;
    this.#pending = [];
    this.#tell({ op: 'destroy', id: this.#id });
  }

  /** The other thread has news of this connection. */
  hear(message: FromSockets & { readonly id: number }): void {
    if (message.op === 'taken') {
      this.#out.release(message.bytes);
      const waited = this.#pending.length > 0;
      if (!waited || !this.#fill()) return;
      if (this.#ending) this.#tell({ op: 'end', id: this.#id });
      else this.#handlers?.onWritable();
    } else if (message.op === 'data') {
      for (const piece of this.#in.take(message.bytes)) this.#handlers?.onData(piece);
      this.#tell({ op: 'consumed', id: this.#id, bytes: message.bytes });
    } else if (message.op === 'closed') {
      this.close(message.failure === null ? null : fromFailure(message.failure));
    }
  }

  close(error: Error | null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pending = [];
    this.#handlers?.onClosed(error);
  }
}

export class SocketThread {
  readonly #worker: Worker;
  readonly #transports = new Map<number, ThreadedTransport>();
  readonly #dialling = new Map<number, PromiseWithResolvers<Transport> & { readonly rings: Rings }>();
  readonly #listening: PromiseWithResolvers<Listener> = Promise.withResolvers();
  #onTransport: (transport: Transport) => void = () => {};
  #onRefused: (error: Error) => void = () => {};
  #nextId = 0;
  #gone: Error | null = null;

  constructor() {
    this.#worker = new Worker(SOCKETS);
    this.#worker.on('message', (message: FromSockets) => this.#hear(message));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('it exited')));
    // Whoever waits for connections handles the failure.
    this.#listening.promise.catch(() => undefined);
  }

  /** As tcpDial (null credentials) or tlsDial, over there. */
  dial(endpoint: Endpoint): Dial {
    return (_lane, signal) => {
      signal.throwIfAborted();
      if (this.#gone !== null) return Promise.reject(this.#gone);
      const id = this.#nextId;
      this.#nextId += 2;
      const rings = { out: new SharedArrayBuffer(RING_BYTES), in: new SharedArrayBuffer(RING_BYTES) };
      const waiting = { ...Promise.withResolvers<Transport>(), rings };
      this.#dialling.set(id, waiting);
      this.#tell({ op: 'dial', id, endpoint, rings });
      return waiting.promise;
    };
  }

  /** As tcpListen or tlsListen, over there. One listener a thread; it closes with the thread. */
  listen(
    endpoint: Endpoint,
    onTransport: (transport: Transport) => void,
    onRefused: (error: Error) => void = () => {},
  ): Promise<Listener> {
    this.#onTransport = onTransport;
    this.#onRefused = onRefused;
    this.#tell({ op: 'listen', endpoint });
    return this.#listening.promise;
  }

  /** Breaks what is still connected, wipes the keys over there, ends the thread. */
  async close(): Promise<void> {
    if (this.#gone !== null) return;
    const exited = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()));
    this.#tell({ op: 'stop' });
    await exited;
  }

  #tell(message: ToSockets): void {
    if (this.#gone === null) this.#worker.postMessage(message);
  }

  #hear(message: FromSockets): void {
    switch (message.op) {
      case 'dialled': {
        const waiting = this.#dialling.get(message.id);
        this.#dialling.delete(message.id);
        if (waiting) waiting.resolve(this.#add(message.id, message.description, waiting.rings));
        return;
      }
      case 'dial-failed':
        this.#dialling.get(message.id)?.reject(fromFailure(message.failure));
        this.#dialling.delete(message.id);
        return;
      case 'listening':
        this.#listening.resolve({ address: message.address, close: () => this.close() });
        return;
      case 'listen-failed':
        this.#listening.reject(fromFailure(message.failure));
        return;
      case 'refused':
        this.#onRefused(fromFailure(message.failure));
        return;
      case 'accepted':
        this.#onTransport(this.#add(message.id, message.description, message.rings));
        return;
      default:
        this.#transports.get(message.id)?.hear(message);
        if (message.op === 'closed') this.#transports.delete(message.id);
    }
  }

  #add(id: number, description: string, rings: Rings): Transport {
    const transport = new ThreadedTransport(id, description, rings, (message) => this.#tell(message));
    this.#transports.set(id, transport);
    return transport;
  }

  #fail(error: Error): void {
    if (this.#gone !== null) return;
    this.#gone = linkError('LINK_WORKER', `the thread with the link's sockets is gone: ${error.message}`, {
      cause: error,
    });
    for (const { reject } of this.#dialling.values()) reject(this.#gone);
    for (const transport of this.#transports.values()) transport.close(this.#gone);
    this.#transports.clear();
    this.#listening.reject(this.#gone);
  }
}
