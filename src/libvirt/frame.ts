/**
 * libvirt's RPC frames: a length, a header of six words, a payload (docs/format/libvirt-rpc.md, 1). Pure: no
 * sockets. Not responsible for what a payload means.
 */

import { assert } from '../base/index.ts';
import { protocolError } from './errors.ts';

/** VIR_NET_MESSAGE_MAX, and the length field that it leaves out. */
export const FRAME_BYTES_MAX = 16_777_216 + 4;
const HEADER_BYTES = 28;
const SECTION = '1';

export const REMOTE_PROGRAM = 0x2000_8086;
export const KEEPALIVE_PROGRAM = 0x6b65_6570;
/** Of both programs, since ever. */
export const PROGRAM_VERSION = 1;

const TYPES = ['call', 'reply', 'message', 'stream', 'call-with-fds', 'reply-with-fds'] as const;
const STATUSES = ['ok', 'error', 'continue'] as const;
export type FrameType = (typeof TYPES)[number];
export type FrameStatus = (typeof STATUSES)[number];

export interface Frame {
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
  readonly type: FrameType;
  /** Counts calls; 0 in a message. */
  readonly serial: number;
  readonly status: FrameStatus;
  readonly payload: Uint8Array;
}

export function encodeFrame(frame: Frame): Buffer {
  const sizeBytes = HEADER_BYTES + frame.payload.length;
  assert(sizeBytes <= FRAME_BYTES_MAX, 'a frame fits what a daemon reads');
  const bytes = Buffer.alloc(sizeBytes);
  const header = [
    sizeBytes,
    frame.program,
    frame.version,
    frame.procedure,
    TYPES.indexOf(frame.type),
    frame.serial,
    STATUSES.indexOf(frame.status),
  ];
  for (const [index, word] of header.entries()) bytes.writeUInt32BE(word, index * 4);
  bytes.set(frame.payload, HEADER_BYTES);
  return bytes;
}

/** Collects chunks until a frame is whole; memory is bounded by the largest frame plus one chunk. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #haveBytes = 0;
  #needBytes = 4;

  /** True while the bytes so far end inside a frame. */
  get midFrame(): boolean {
    return this.#haveBytes > 0;
  }

  /** The frames that `chunk` completes. Errors: LIBVIRT_PROTOCOL. */
  *push(chunk: Uint8Array): Generator<Frame> {
    this.#chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    this.#haveBytes += chunk.byteLength;
    while (this.#haveBytes >= this.#needBytes) {
      const bytes = this.#joined();
      const sizeBytes = bytes.readUInt32BE(0);
      if (sizeBytes < HEADER_BYTES || sizeBytes > FRAME_BYTES_MAX) {
        throw protocolError(SECTION, `a frame of ${sizeBytes} bytes`);
      }
      this.#needBytes = sizeBytes;
      if (bytes.length < sizeBytes) return;
      this.#chunks = bytes.length === sizeBytes ? [] : [bytes.subarray(sizeBytes)];
      this.#haveBytes = bytes.length - sizeBytes;
      this.#needBytes = 4;
      yield decode(bytes.subarray(0, sizeBytes));
    }
  }

  #joined(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks, this.#haveBytes)];
    return this.#chunks[0]!;
  }
}

function decode(bytes: Buffer): Frame {
  const type = TYPES[bytes.readUInt32BE(16)];
  const status = STATUSES[bytes.readUInt32BE(24)];
  if (type === undefined) throw protocolError(SECTION, `a frame of type ${bytes.readUInt32BE(16)}`);
  if (status === undefined) throw protocolError(SECTION, `a frame of status ${bytes.readUInt32BE(24)}`);
  return {
    program: bytes.readUInt32BE(4),
    version: bytes.readUInt32BE(8),
    procedure: bytes.readUInt32BE(12),
    type,
    serial: bytes.readUInt32BE(20),
    status,
    payload: Uint8Array.from(bytes.subarray(HEADER_BYTES)),
  };
}
