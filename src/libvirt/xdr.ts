/**
 * XDR (RFC 4506), the items that libvirt uses: big-endian, everything a multiple of four bytes. Not
 * responsible for what items mean (codec.ts puts them together). A reader's bytes are hostile: no length is
 * believed before that many bytes are there.
 */

import { protocolError } from './errors.ts';

const SECTION = '2';
const FIRST_BYTES = 256;

export class XdrWriter {
  #bytes = Buffer.alloc(FIRST_BYTES);
  #length = 0;

  /** What was written so far; a view, valid until the next write. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  int(value: number): void {
    const at = this.#grow(4);
    this.#bytes.writeInt32BE(value, at);
  }

  uint(value: number): void {
    const at = this.#grow(4);
    this.#bytes.writeUInt32BE(value, at);
  }

  hyper(value: bigint): void {
    const at = this.#grow(8);
    this.#bytes.writeBigInt64BE(value, at);
  }

  uhyper(value: bigint): void {
    const at = this.#grow(8);
    this.#bytes.writeBigUInt64BE(value, at);
  }

  double(value: number): void {
    const at = this.#grow(8);
    this.#bytes.writeDoubleBE(value, at);
  }

  /** Bytes whose number both sides know. */
  fixed(bytes: Uint8Array): void {
    const at = this.#grow(padded(bytes.length));
    // What follows the bytes is zero already: #grow never hands out used memory.
    this.#bytes.set(bytes, at);
  }

  /** Bytes behind their number. */
  variable(bytes: Uint8Array): void {
    this.uint(bytes.length);
    this.fixed(bytes);
  }

  /** Where the next bytes go; the buffer may be another one from here on. */
  #grow(byBytes: number): number {
    const at = this.#length;
    this.#length += byBytes;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
    }
    return at;
  }
}

export class XdrReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes that nobody has read. */
  get leftBytes(): number {
    return this.#bytes.length - this.#at;
  }

  int(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  uint(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  hyper(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8));
  }

  uhyper(): bigint {
    return this.#bytes.readBigUInt64BE(this.#take(8));
  }

  double(): number {
    return this.#bytes.readDoubleBE(this.#take(8));
  }

  /** A view of the reader's bytes. */
  fixed(sizeBytes: number): Buffer {
    const at = this.#take(padded(sizeBytes));
    for (let pad = at + sizeBytes; pad < this.#at; pad++) {
      if (this.#bytes[pad] !== 0) throw protocolError(SECTION, 'padding is not zero');
    }
    return this.#bytes.subarray(at, at + sizeBytes);
  }

  /** A view of the reader's bytes. */
  variable(sizeBytesMax: number): Buffer {
    return this.fixed(this.count(sizeBytesMax));
  }

  /** The number of things that follow, each at least `bytesEachMin` long. */
  count(max: number, bytesEachMin = 1): number {
    const count = this.uint();
    if (count > max) throw protocolError(SECTION, `${count} are announced, ${max} are allowed`);
    if (count * bytesEachMin > this.leftBytes) {
      throw protocolError(SECTION, `${count} are announced, ${this.leftBytes} bytes are left`);
    }
    return count;
  }

  /** To be called when everything was read. */
  end(): void {
    if (this.leftBytes > 0) throw protocolError(SECTION, `${this.leftBytes} bytes too many`);
  }

  #take(sizeBytes: number): number {
    if (sizeBytes > this.leftBytes) {
      throw protocolError(SECTION, `it ends ${sizeBytes - this.leftBytes} bytes too early`);
    }
    const at = this.#at;
    this.#at += sizeBytes;
    return at;
  }
}

function padded(sizeBytes: number): number {
  return (sizeBytes + 3) & ~3;
}
