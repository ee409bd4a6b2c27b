/**
 * Tags, flags and big-endian access of the QEMU migration stream (docs/format/qemu-stream.md).
 * Not responsible for meaning.
 */

export const MAGIC = 0x5145564d;
export const VERSION = 3;

export const TAG = {
  eof: 0x00,
  start: 0x01,
  part: 0x02,
  end: 0x03,
  full: 0x04,
  subsection: 0x05,
  description: 0x06,
  configuration: 0x07,
  command: 0x08,
  footer: 0x7e,
} as const;

export const COMMAND = {
  openReturnPath: 1,
  ping: 2,
  postcopyAdvise: 3,
  postcopyListen: 4,
  postcopyRun: 5,
  postcopyRamDiscard: 6,
  packaged: 7,
  enableColo: 8,
  postcopyResume: 9,
  receivedBitmap: 10,
  switchoverStart: 11,
} as const;

/** Low 12 bits of a RAM record's be64. */
export const FLAG = {
  zero: 0x02,
  memSize: 0x04,
  page: 0x08,
  eos: 0x10,
  continue: 0x20,
  xbzrle: 0x40,
  hook: 0x80,
  compressPage: 0x100,
  multifdFlush: 0x200,
} as const;

/** The longest record: be64, str8 block id, page. */
export const RAM_RECORD_BYTES_MAX = 8 + 1 + 255 + 4096;
export const FOOTER_BYTES = 5;

export function readBe32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Exact up to 2^53; larger values lose low bits, which every caller's range check then refuses anyway. */
export function readBe64(bytes: Uint8Array, at: number): number {
  return readBe32(bytes, at) * 0x1_0000_0000 + readBe32(bytes, at + 4);
}

export function writeBe32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/**
 * Reads forward over bytes that may end too early. Past the end every read gives zero or nothing and `short`
 * stays true: check it once, after reading, and try again when there are at least `needed` bytes.
 */
export class Cursor {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;
  short = false;
  /** Where the first read that did not fit would have ended. */
  needed = 0;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  #take(sizeBytes: number): number {
    const at = this.at;
    if (this.short || at + sizeBytes > this.end) {
      if (!this.short) this.needed = at + sizeBytes;
      this.short = true;
      return -1;
    }
    this.at = at + sizeBytes;
    return at;
  }

  u8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.bytes[at]!;
  }

  be16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  be32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : readBe32(this.bytes, at);
  }

  be64(): number {
    const at = this.#take(8);
    return at < 0 ? 0 : readBe64(this.bytes, at);
  }

  skip(sizeBytes: number): void {
    this.#take(sizeBytes);
  }

  /** The next byte without moving, or -1 when it is not there yet. */
  peek(): number {
    const at = this.#take(1);
    if (at < 0) return -1;
    this.at = at;
    return this.bytes[at]!;
  }

  text(sizeBytes: number): string {
    const at = this.#take(sizeBytes);
    return at < 0 ? '' : latin1(this.bytes, at, at + sizeBytes);
  }

  text8(): string {
    return this.text(this.u8());
  }
}

/** Names are bytes to QEMU: latin1 keeps each byte, so that an encoder writes back what was read. */
export function latin1(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at]!);
  return text;
}

export function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}
