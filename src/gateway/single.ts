/**
 * The single arrangement's output: pages go as a plain QEMU stream straight into the destination QEMU. Nothing is
 * installed on the far side. How far the destination has come is known from PINGs put between RAM sections: QEMU
 * answers each once everything before it is loaded. Not responsible for which page goes: the source gateway asks
 * the store.
 */

import net from 'node:net';
import type { Clock } from '../base/index.ts';
import { chunkOfSlot, offsetOfSlot, type PageStore } from '../pages/index.ts';
import {
  encodePing,
  RAM_RECORD_BYTES_MAX,
  type RamSetup,
  ReturnPathDecoder,
  type ReturnPathMessage,
  SECTION_BYTES_MAX,
  StreamEncoder,
} from '../stream/index.ts';
import { DeliveryMeter } from './delivery.ts';
import { gatewayErrors } from './errors.ts';
import type { OutputEvents, OutputFacts, PageOutput, StateTail } from './types.ts';

/** Our PINGs' nonces; QEMU's own are small numbers. */
const NONCE_FIRST = 0x6f_00_00_00;
const BATCH_PAGES_MAX = 256;
/** Batches are not cut smaller than this for lack of room: each costs a PING and two system calls. */
const BATCH_PAGES_MIN = 32;
const WRITE_PENDING_BYTES_MAX = 4 * 1024 * 1024;
const BATCH_BYTES_MAX = BATCH_PAGES_MAX * RAM_RECORD_BYTES_MAX + 2 * SECTION_BYTES_MAX;

export interface SingleOutputOptions {
  /** `unix:/path` or `tcp:host:port`. */
  readonly address: string;
  readonly clock: Clock;
  readonly prepareTimeoutMs: number;
}

export class SingleOutput implements PageOutput {
  readonly #options: SingleOutputOptions;
  readonly #events: OutputEvents;
  readonly #meter = new DeliveryMeter();
  readonly #returnPath: ReturnPathDecoder;
  #socket: net.Socket | null = null;
  #encoder: StreamEncoder | null = null;
  #nonce = NONCE_FIRST;
  #closed = false;
  #awaited: { nonce: number; loaded: boolean; resolve(): void; reject(error: Error): void } | null = null;
  #buffers: Buffer[] = [];

  constructor(options: SingleOutputOptions, events: OutputEvents) {
    this.#options = options;
    this.#events = events;
    this.#returnPath = new ReturnPathDecoder({
      onMessage: (message, raw) => this.#onMessage(message, raw),
      onBitmapBytes: () => undefined,
    });
  }

  get facts(): OutputFacts {
    return this.#meter;
  }

  /** Connects to the destination QEMU, which must be listening. Errors: DESTINATION_UNREACHABLE. */
  connect(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(connectOptions(this.#options.address));
      const abort = () => socket.destroy(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      const refuse = (cause: unknown) => {
        signal.removeEventListener('abort', abort);
        reject(gatewayErrors.destinationUnreachable(this.#options.address, cause));
      };
      socket.once('error', refuse);
      socket.once('connect', () => {
        signal.removeEventListener('abort', abort);
        socket.off('error', refuse);
        this.#attach(socket);
        resolve();
      });
    });
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

  forward(raw: Uint8Array): void {
    this.#write(raw);
  }

  open(setup: RamSetup): void {
    this.#encoder = new StreamEncoder(setup);
    this.#ping();
  }

  roomPages(): number {
    if (!this.#socket || !this.#encoder || this.#closed) return 0;
    if (this.#socket.writableLength > WRITE_PENDING_BYTES_MAX) return 0;
    const roomBytes = this.#meter.windowBytes - this.#meter.inFlightBytes;
    const roomPages = Math.floor(roomBytes / RAM_RECORD_BYTES_MAX);
    return roomPages < BATCH_PAGES_MIN ? 0 : Math.min(BATCH_PAGES_MAX, roomPages);
  }

  sendPages(pages: Uint32Array, count: number, store: PageStore): void {
    const encoder = this.#encoder!;
    const out = this.#buffers.pop() ?? Buffer.allocUnsafeSlow(BATCH_BYTES_MAX);
    let at = encoder.openSection(out, 0, 'part');
    for (let index = 0; index < count; index++) {
      const page = pages[index]!;
      const slot = store.slotOf(page);
      at =
        slot < 0
          ? encoder.zeroPage(out, at, page)
          : encoder.page(out, at, page, store.chunk(chunkOfSlot(slot)), offsetOfSlot(slot));
    }
    at = encoder.closeSection(out, at);
    this.#write(out.subarray(0, at), () => this.#buffers.push(out));
    this.#ping();
  }

  starved(): void {
    this.#meter.starved();
  }

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

  close(): void {
    this.#closed = true;
    this.#socket?.destroy();
  }

  #ping(): number {
    const nonce = this.#nonce++;
    this.#write(encodePing(nonce));
    this.#meter.mark(nonce, this.#options.clock.nowMs());
    return nonce;
  }

  #write(bytes: Uint8Array, done?: () => void): void {
    this.#meter.sent(bytes.length, this.#options.clock.nowMs());
    this.#socket!.write(bytes, () => done?.());
  }

  #onMessage(message: ReturnPathMessage, raw: Uint8Array): void {
    if (message.kind === 'pong' && this.#meter.acknowledge(message.nonce, this.#options.clock.nowMs())) {
      if (this.#awaited?.nonce === message.nonce) this.#awaited.loaded = true;
      this.#events.onRoom();
      return;
    }
    if (message.kind === 'shut') {
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
    this.#awaited?.reject(error);
    this.#events.onError(error);
  }
}

/** `unix:/path` | `tcp:host:port` -> what node:net connects to. */
export function connectOptions(address: string): net.NetConnectOpts {
  if (address.startsWith('unix:')) return { path: address.slice(5) };
  const match = /^tcp:(.+):(\d+)$/.exec(address);
  if (!match) throw new TypeError(`not an address: ${address}`);
  return { host: match[1]!.replace(/^\[|\]$/g, ''), port: Number(match[2]) };
}
