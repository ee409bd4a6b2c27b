/**
 * Frames to bytes and back (docs/format/link.md, 2). The decoder takes bytes in any cut and
 * checks a header before it takes memory for the payload. Not responsible for what a frame means,
 * nor for sequence rules (lane.ts).
 */

import { crc32 } from 'node:zlib';
import { linkError } from './errors.ts';
import { PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX_UNKNOWN } from './limits.ts';

const FRAME_MAGIC = 0x4757;
export const FRAME_HEADER_BYTES = 24;
const FRAME_FLAG_OPTIONAL = 1;

export const FRAME = {
  HELLO: 0x01,
  WELCOME: 0x02,
  ACK: 0x03,
  PING: 0x04,
  PONG: 0x05,
  ERROR: 0x06,
  GOODBYE: 0x07,
  LAYOUT: 0x10,
  PROLOGUE: 0x11,
  PAGES: 0x12,
  BARRIER: 0x14,
  BARRIER_DONE: 0x15,
  TAIL: 0x16,
  PREPARE: 0x17,
  PREPARED: 0x18,
  COMMIT: 0x19,
  ABORT: 0x1a,
  RETURN_PATH: 0x1b,
  CONTROL: 0x1c,
} as const;

const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(FRAME));

export interface Frame {
  readonly type: number;
  readonly flags: number;
  /** 0 for connection frames. */
  readonly sequence: number;
  readonly payload: Uint8Array;
  /** CRC-32 of the payload, checked. */
  readonly payloadCheck: number;
}

function isKnownType(type: number): boolean {
  return KNOWN_TYPES.has(type);
}

/** Connection frames live and die with a connection; lane frames are numbered and sent until acknowledged. */
export function isConnectionType(type: number): boolean {
  return type < 0x10;
}

export interface FrameFields {
  readonly type: number;
  readonly flags?: number;
  readonly sequence?: number;
  readonly payload?: Uint8Array;
  /** CRC-32 of the payload where a worker computed it already. */
  readonly payloadCheck?: number;
}

const NOTHING = new Uint8Array(0);

export function encodeFrameHeader(fields: FrameFields): Uint8Array {
  const payload = fields.payload ?? NOTHING;
  const sequence = fields.sequence ?? 0;
  const header = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES);
  header.writeUInt16BE(FRAME_MAGIC, 0);
  header.writeUInt8(fields.type, 2);
  header.writeUInt8(fields.flags ?? 0, 3);
  header.writeUInt32BE(payload.length, 4);
  header.writeUInt32BE(Math.floor(sequence / 2 ** 32), 8);
  header.writeUInt32BE(sequence % 2 ** 32, 12);
  header.writeUInt32BE(fields.payloadCheck ?? crc32(payload), 16);
  header.writeUInt32BE(crc32(header.subarray(0, 20)), 20);
  return header;
}

/** Header and payload in one piece, for tests and small frames. */
export function encodeFrame(fields: FrameFields): Uint8Array {
  return Buffer.concat([encodeFrameHeader(fields), fields.payload ?? NOTHING]);
}

export class FrameDecoder {
  /** Raised by the owner once the other end is known. */
  payloadBytesMax = PAYLOAD_BYTES_MAX_UNKNOWN;
  /** Where payloads are put; a session has a pool. */
  takeMemory: (length: number) => Uint8Array = Buffer.allocUnsafeSlow;
  readonly #header = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES);
  #headerFilled = 0;
  #payload: Uint8Array | null = null;
  #payloadFilled = 0;
  /** Of what is filled: summed up as it comes, while it is in a cache. */
  #payloadCheck = 0;
  #chunk: Uint8Array = NOTHING;
  #at = 0;

  /** Whether a frame has begun that is not complete. */
  get midFrame(): boolean {
    return this.#headerFilled > 0;
  }

  /** The next bytes of the stream; call `next` until it returns null before the next `push`. */
  push(chunk: Uint8Array): void {
    if (this.#at < this.#chunk.length) throw new Error('the last chunk was not read to its end');
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** The next complete frame, or null when more bytes are needed. */
  next(): Frame | null {
    if (this.#headerFilled < FRAME_HEADER_BYTES && !this.#fillHeader()) return null;
    const length = this.#header.readUInt32BE(4);
    const payload = this.#fillPayload(length);
    if (payload === null) return null;
    const payloadCheck = this.#header.readUInt32BE(16);
    if (this.#payloadCheck !== payloadCheck) {
      throw linkError('LINK_FRAME_PAYLOAD', `payload checksum of frame type ${this.#header[2]} is wrong`);
    }
    this.#headerFilled = 0;
    this.#payload = null;
    this.#payloadFilled = 0;
    this.#payloadCheck = 0;
    return {
      type: this.#header[2]!,
      flags: this.#header[3]!,
      sequence: this.#header.readUInt32BE(8) * 2 ** 32 + this.#header.readUInt32BE(12),
      payload,
      payloadCheck,
    };
  }

  #fillHeader(): boolean {
    const count = Math.min(FRAME_HEADER_BYTES - this.#headerFilled, this.#chunk.length - this.#at);
    this.#header.set(this.#chunk.subarray(this.#at, this.#at + count), this.#headerFilled);
    this.#headerFilled += count;
    this.#at += count;
    if (this.#headerFilled < FRAME_HEADER_BYTES) return false;
    checkHeader(this.#header, this.payloadBytesMax);
    return true;
  }

  /**
   * Copied always: a transport may use the chunk's memory again, and a small message must not
   * pin a large chunk.
   */
  #fillPayload(length: number): Uint8Array | null {
    this.#payload ??= this.takeMemory(length);
    const count = Math.min(length - this.#payloadFilled, this.#chunk.length - this.#at);
    const piece = this.#chunk.subarray(this.#at, this.#at + count);
    this.#payloadCheck = crc32(piece, this.#payloadCheck);
    this.#payload.set(piece, this.#payloadFilled);
    this.#payloadFilled += count;
    this.#at += count;
    return this.#payloadFilled === length ? this.#payload : null;
  }
}

/** docs/format/link.md, 2, in the order given there. */
function checkHeader(header: Buffer, payloadBytesMax: number): void {
  if (header.readUInt16BE(0) !== FRAME_MAGIC) {
    throw linkError('LINK_FRAME_MAGIC', 'this is no godwit link', {
      hint: 'check that the data address leads to a godwit gateway of this migration',
    });
  }
  if (crc32(header.subarray(0, 20)) !== header.readUInt32BE(20)) {
    throw linkError('LINK_FRAME_HEADER', 'a frame header arrived damaged');
  }
  const type = header[2]!;
  const flags = header[3]!;
  const length = header.readUInt32BE(4);
  if ((flags & ~FRAME_FLAG_OPTIONAL) !== 0) {
    throw linkError('LINK_FRAME_FLAGS', `frame type ${type} has unknown flags ${flags}`, {
      fields: { flags },
    });
  }
  const lengthMax = Math.min(payloadBytesMax, PAYLOAD_BYTES_MAX);
  if (length > lengthMax) {
    throw linkError('LINK_FRAME_LENGTH', `frame type ${type} of ${length} bytes; at most ${lengthMax} here`, {
      fields: { length, lengthMax },
    });
  }
  if (!isKnownType(type) && ((flags & FRAME_FLAG_OPTIONAL) === 0 || isConnectionType(type))) {
    throw linkError('LINK_FRAME_TYPE', `unknown frame type ${type}`, { fields: { type } });
  }
  if (header.readUInt32BE(8) >= 2 ** 21)
    throw linkError('LINK_SEQUENCE', 'a sequence number of 2^53 or more');
  const numbered = header.readUInt32BE(8) !== 0 || header.readUInt32BE(12) !== 0;
  if (numbered === isConnectionType(type)) {
    throw linkError('LINK_SEQUENCE', `frame type ${type} ${numbered ? 'has' : 'lacks'} a sequence number`);
  }
}
