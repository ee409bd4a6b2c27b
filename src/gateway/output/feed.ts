/**
 * Feeds a destination QEMU: a plain QEMU stream into its incoming socket, with PINGs between RAM sections.
 * QEMU answers each once everything before it is loaded, so it is known how far it has come. Not responsible
 * for which page goes, nor for where its bytes come from: the single arrangement feeds from the page store,
 * the paired one from the link.
 */

import net from 'node:net';
import { type Clock, freeMemory } from '../../base/index.ts';
import { secureWithKey } from '../../link/index.ts';
import {
  encodePing,
  RAM_RECORD_BYTES_MAX,
  type RamSetup,
  ReturnPathDecoder,
  type ReturnPathMessage,
  SECTION_BYTES_MAX,
  StreamEncoder,
} from '../../stream/index.ts';
import { gatewayErrors } from '../errors.ts';
import { DeliveryMeter } from './delivery.ts';
import type { OutputEvents, StateTail } from './types.ts';

/** Our PINGs' nonces; QEMU's own are small numbers. */
const NONCE_FIRST = 0x6f_00_00_00;
/** The destination must load the device state within this time once it has everything. */
export const LOAD_TIMEOUT_MS = 30_000;
/**
 * Without it a firewall that drops what comes would be waited for as long as the system repeats
 * a SYN: two minutes.
 */
const CONNECT_TIMEOUT_MS = 15_000;
const FEED_BATCH_PAGES_MAX = 1024;
const BATCH_BYTES_MAX = FEED_BATCH_PAGES_MAX * RAM_RECORD_BYTES_MAX + 2 * SECTION_BYTES_MAX;
const WRITE_PENDING_BYTES_MAX = 4 * 1024 * 1024;
/**
 * Shorter ones wait for QEMU as copies of their own size: hundreds of small batches would each keep memory
 * for a large one.
 */
const COPIED_BYTES_MAX = 1024 * 1024;
/** Kept for the next batch; what is written at the same time beyond these goes back. */
const BUFFERS_KEPT_MAX = 2;

export interface FeedOptions {
  /** `unix:/path` or `tcp:host:port`. */
  readonly address: string;
  /** The destination QEMU speaks TLS 1.3 and has this key too; null: in clear. */
  readonly key?: Uint8Array | null;
  readonly clock: Clock;
  readonly prepareTimeoutMs: number;
}

export class QemuFeed {
  readonly meter = new DeliveryMeter();
  readonly #options: FeedOptions;
  readonly #events: OutputEvents;
  readonly #returnPath: ReturnPathDecoder;
  readonly #buffers: Buffer[] = [];
  #socket: net.Socket | null = null;
  #encoder: StreamEncoder | null = null;
  #nonce = NONCE_FIRST;
  #closed = false;
  /** The source QEMU's connection, once everything passes as it is. */
  #passesTo: net.Socket | null = null;
  #awaited: { nonce: number; loaded: boolean; resolve(): void; reject(error: Error): void } | null = null;
  #out: Buffer | null = null;
  #at = 0;

  constructor(options: FeedOptions, events: OutputEvents) {
    this.#options = options;
    this.#events = events;
    this.#returnPath = new ReturnPathDecoder({
      onMessage: (message, raw) => this.#onMessage(message, raw),
      onBitmapBytes: () => undefined,
    });
  }

  /** Connects to the destination QEMU, which must be listening. Errors: DESTINATION_UNREACHABLE. */
  async connect(signal: AbortSignal): Promise<void> {
    const { address, key } = this.#options;
    const late = new AbortController();
    const timer = setTimeout(
      () => late.abort(new Error(`no answer within ${CONNECT_TIMEOUT_MS} ms`)),
      CONNECT_TIMEOUT_MS,
    );
    const patience = AbortSignal.any([signal, late.signal]);
    try {
      const socket = await connected(address, patience);
      this.#attach(key == null ? socket : await secureWithKey(socket, key, patience));
    } catch (cause) {
      throw gatewayErrors.destinationUnreachable(address, cause);
    } finally {
      clearTimeout(timer);
    }
  }

  #attach(socket: net.Socket): void {
    this.#socket = socket;
    socket.setNoDelay(true);
    let failure: Error | undefined;
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('drain', () => this.#events.onRoom());
    socket.on('data', (chunk) => {
      try {
        this.#returnPath.write(chunk);
      } catch (error) {
        this.#fail(error as Error);
      }
    });
    socket.on('close', () => this.#fail(gatewayErrors.destinationClosed(failure)));
  }

  /** Bytes of QEMU's that belong before the pages, untouched and in order. */
  forward(raw: Uint8Array): void {
    this.#write(raw);
  }

  /** RAM's layout is known; batches may follow. */
  open(setup: Pick<RamSetup, 'layout' | 'sectionId' | 'footers'>): void {
    this.#encoder = new StreamEncoder(setup);
    this.#ping();
  }

  get isOpen(): boolean {
    return this.#encoder !== null && !this.#closed;
  }

  /** QEMU does not keep up: wait for `onRoom`. */
  get isFull(): boolean {
    return this.#socket !== null && this.#socket.writableLength > WRITE_PENDING_BYTES_MAX;
  }

  /**
   * A batch of at most FEED_BATCH_PAGES_MAX pages: beginBatch, then page, zero or delta
   * for each, then endBatch.
   */
  beginBatch(): void {
    this.#out = this.#buffers.pop() ?? Buffer.allocUnsafeSlow(BATCH_BYTES_MAX);
    this.#at = this.#encoder!.openSection(this.#out, 0, 'part');
  }

  page(pageIndex: number, source: Buffer, offset: number): void {
    this.#at = this.#encoder!.page(this.#out!, this.#at, pageIndex, source, offset);
  }

  /** See PageSink: QEMU changes its own copy, and the rest of the page moves nowhere. */
  delta(pageIndex: number, source: Uint8Array, from: number, to: number): void {
    this.#at = this.#encoder!.pageDelta(this.#out!, this.#at, pageIndex, source, from, to);
  }

  zero(pageIndex: number): void {
    this.#at = this.#encoder!.zeroPage(this.#out!, this.#at, pageIndex);
  }

  endBatch(): void {
    const out = this.#out!;
    const end = this.#encoder!.closeSection(out, this.#at);
    this.#out = null;
    if (end <= COPIED_BYTES_MAX) {
      this.#write(Buffer.copyBytesFrom(out, 0, end));
      this.#keep(out);
    } else this.#write(out.subarray(0, end), () => this.#keep(out));
    this.#ping();
  }

  #keep(out: Buffer): void {
    if (this.#buffers.length < BUFFERS_KEPT_MAX) this.#buffers.push(out);
    else freeMemory(out);
  }

  /** See PageOutput.complete. */
  complete(tail: StateTail): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timeoutMs = this.#options.prepareTimeoutMs;
    const timer = setTimeout(() => reject(gatewayErrors.prepareTimeout(timeoutMs)), timeoutMs);
    for (const raw of tail.lateCommands) this.#write(raw);
    const close = new Uint8Array(2 * SECTION_BYTES_MAX);
    const encoder = this.#encoder!;
    this.#write(close.subarray(0, encoder.closeSection(close, encoder.openSection(close, 0, 'end'))));
    this.#write(tail.devices);
    this.#awaited = { nonce: this.#ping(), loaded: false, resolve, reject };
    this.#write(tail.end);
    return promise.finally(() => clearTimeout(timer));
  }

  /** See PageOutput.passOn. What breaks now is for the two QEMUs to notice, as without us. */
  passOn(source: net.Socket, first: readonly Uint8Array[]): void {
    for (const raw of first) this.#write(raw);
    this.#passesTo = source;
    source.on('data', (chunk) => this.meter.sent(chunk.length));
    source.pipe(this.#socket!);
  }

  close(): void {
    this.#closed = true;
    this.#socket?.destroy();
  }

  #ping(): number {
    const nonce = this.#nonce++;
    this.#write(encodePing(nonce));
    this.meter.mark(nonce, this.#options.clock.nowMs());
    return nonce;
  }

  #write(bytes: Uint8Array, done?: () => void): void {
    this.meter.sent(bytes.length);
    this.#socket!.write(bytes, () => done?.());
  }

  #onMessage(message: ReturnPathMessage, raw: Uint8Array): void {
    if (message.kind === 'pong' && this.meter.acknowledge(message.nonce, this.#options.clock.nowMs())) {
      if (this.#awaited?.nonce === message.nonce) this.#awaited.loaded = true;
      this.#events.onLoaded?.();
      this.#events.onRoom();
      return;
    }
    if (message.kind === 'shut' && this.#passesTo === null) {
      // Without our PONG before it, SHUT(0) would prove nothing about the devices.
      if (message.status === 0 && this.#awaited?.loaded) {
        // The destination closes its side now; that is no failure any more.
        this.#closed = true;
        this.#awaited.resolve();
      } else this.#fail(gatewayErrors.destinationRefused(message.status));
    }
    this.#events.onReturnPath(message, raw);
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket?.destroy();
    if (this.#passesTo !== null) {
      this.#passesTo.destroy();
      return;
    }
    this.#awaited?.reject(error);
    this.#events.onError(error);
  }
}

function connected(address: string, signal: AbortSignal): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(connectOptions(address));
    const abort = () => socket.destroy(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    const settle = () => signal.removeEventListener('abort', abort);
    const refuse = (cause: unknown) => {
      settle();
      reject(cause);
    };
    socket.once('error', refuse);
    socket.once('connect', () => {
      settle();
      socket.off('error', refuse);
      resolve(socket);
    });
  });
}

/** `unix:/path` | `tcp:host:port` -> what node:net connects to. */
function connectOptions(address: string): net.NetConnectOpts {
  if (address.startsWith('unix:')) return { path: address.slice(5) };
  const match = /^tcp:(.+):(\d+)$/.exec(address);
  if (!match) throw new TypeError(`not an address: ${address}`);
  return { host: match[1]!.replace(/^\[|\]$/g, ''), port: Number(match[2]) };
}
