/**
 * The return path, destination to source (docs/format/qemu-stream.md, section 10): incremental decoder and
 * encoder. Not responsible for which message is owed when.
 */

import { assert } from '../base/index.ts';
import { streamError } from './errors.ts';
import { latin1, readBe32, readBe64, writeBe32 } from './wire.ts';

export type ReturnPathMessage =
  /** 0 = everything is loaded. */
  | { readonly kind: 'shut'; readonly status: number }
  | { readonly kind: 'pong'; readonly nonce: number }
  /** `block` null: the block of the request before. */
  | {
      readonly kind: 'request-pages';
      readonly block: string | null;
      readonly offset: number;
      readonly sizeBytes: number;
    }
  | { readonly kind: 'received-bitmap'; readonly block: string }
  | { readonly kind: 'resume-ack'; readonly value: number }
  | { readonly kind: 'switchover-ack' };

const TYPE = {
  shut: 1,
  pong: 2,
  requestPagesId: 3,
  requestPages: 4,
  receivedBitmap: 5,
  resumeAck: 6,
  switchoverAck: 7,
} as const;
const TYPE_MAX = 7;
const HEADER_BYTES = 4;
/** QEMU's own buffer; nothing longer is legal. */
const PAYLOAD_BYTES_MAX = 512;
const BITMAP_BYTES_MAX = 128 * 1024 * 1024;
/** Payload lengths by type; null where the length depends on a name. */
const LENGTHS: readonly (number | null)[] = [null, 4, 4, null, 12, null, 4, 0];

/** `raw` belongs to the receiver and is the message to forward; bitmap bytes follow through onBitmapBytes. */
export interface ReturnPathSink {
  onMessage(message: ReturnPathMessage, raw: Uint8Array): void;
  /** Bytes of a RECV_BITMAP's bitmap, size and end mark included; valid only during the call. */
  onBitmapBytes(bytes: Uint8Array): void;
}

export class ReturnPathDecoder {
  readonly #sink: ReturnPathSink;
  readonly #carry = new Uint8Array(HEADER_BYTES + PAYLOAD_BYTES_MAX);
  #carried = 0;
  #streamOffset = 0;
  /** Bitmap bytes still to come; -1 while its size is read into the carry. */
  #bitmapLeft = 0;

  constructor(sink: ReturnPathSink) {
    this.#sink = sink;
  }

  write(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#bitmapLeft > 0) {
        const taken = Math.min(this.#bitmapLeft, chunk.length - at);
        this.#sink.onBitmapBytes(chunk.subarray(at, at + taken));
        this.#bitmapLeft -= taken;
        at += taken;
        continue;
      }
      const taken = Math.min(this.#needed() - this.#carried, chunk.length - at);
      this.#carry.set(chunk.subarray(at, at + taken), this.#carried);
      this.#carried += taken;
      at += taken;
      if (this.#carried === this.#needed()) this.#complete();
    }
  }

  /** Whether the input may end here. */
  get isBetweenMessages(): boolean {
    return this.#carried === 0 && this.#bitmapLeft === 0;
  }

  /** Bytes that the element in the carry has in all, as far as it is known. */
  #needed(): number {
    if (this.#bitmapLeft < 0) return 8;
    if (this.#carried < HEADER_BYTES) return HEADER_BYTES;
    const length = (this.#carry[2]! << 8) | this.#carry[3]!;
    return HEADER_BYTES + this.#checkedLength((this.#carry[0]! << 8) | this.#carry[1]!, length);
  }

  #checkedLength(type: number, length: number): number {
    if (type === 0 || type > TYPE_MAX) {
      throw streamError('RETURN_PATH_TYPE', `return path message of type ${type}`, this.#streamOffset, 10, {
        type,
      });
    }
    if (length > PAYLOAD_BYTES_MAX || length !== (LENGTHS[type] ?? length)) this.#refuseLength(type, length);
    return length;
  }

  #refuseLength(type: number, length: number): never {
    throw streamError('RETURN_PATH_LENGTH', `type ${type} with ${length} bytes`, this.#streamOffset, 10, {
      type,
      length,
    });
  }

  #complete(): void {
    const raw = this.#carry.slice(0, this.#carried);
    this.#carried = 0;
    if (this.#bitmapLeft < 0) {
      const sizeBytes = readBe64(raw, 0);
      if (sizeBytes > BITMAP_BYTES_MAX) this.#refuseLength(TYPE.receivedBitmap, sizeBytes);
      this.#sink.onBitmapBytes(raw);
      this.#bitmapLeft = sizeBytes + 8;
    } else {
      const message = this.#message(raw);
      if (message.kind === 'received-bitmap') this.#bitmapLeft = -1;
      this.#sink.onMessage(message, raw);
    }
    this.#streamOffset += raw.length;
  }

  #message(raw: Uint8Array): ReturnPathMessage {
    const type = (raw[0]! << 8) | raw[1]!;
    switch (type) {
      case TYPE.shut:
        return { kind: 'shut', status: readBe32(raw, 4) };
      case TYPE.pong:
        return { kind: 'pong', nonce: readBe32(raw, 4) };
      case TYPE.requestPages:
      case TYPE.requestPagesId: {
        const block = type === TYPE.requestPages ? null : this.#name(raw, HEADER_BYTES + 12);
        return { kind: 'request-pages', block, offset: readBe64(raw, 4), sizeBytes: readBe32(raw, 12) };
      }
      case TYPE.receivedBitmap:
        return { kind: 'received-bitmap', block: this.#name(raw, HEADER_BYTES) };
      case TYPE.resumeAck:
        return { kind: 'resume-ack', value: readBe32(raw, 4) };
      default:
        return { kind: 'switchover-ack' };
    }
  }

  /** A str8 that must end with the message. */
  #name(raw: Uint8Array, at: number): string {
    const length = raw[at];
    if (length === undefined || at + 1 + length !== raw.length)
      this.#refuseLength(raw[1]!, raw.length - HEADER_BYTES);
    return latin1(raw, at + 1, raw.length);
  }
}

export function encodeShut(status: number): Uint8Array {
  return message32(TYPE.shut, status);
}

/**
 * The PONG by which a QEMU of 10.2 or newer learns that the destination has loaded the package; older ones
 * make nothing of it (QEMU: QEMU_VM_PING_PACKAGED_LOADED).
 */
export const PACKAGE_LOADED = 0x42;

export function encodePong(nonce: number): Uint8Array {
  return message32(TYPE.pong, nonce);
}

export function encodeResumeAck(value: number): Uint8Array {
  return message32(TYPE.resumeAck, value);
}

export function encodeSwitchoverAck(): Uint8Array {
  return Uint8Array.of(0, TYPE.switchoverAck, 0, 0);
}

function message32(type: number, value: number): Uint8Array {
  assert(Number.isInteger(value), 'a be32');
  const bytes = Uint8Array.of(0, type, 0, 4, 0, 0, 0, 0);
  writeBe32(bytes, 4, value);
  return bytes;
}
