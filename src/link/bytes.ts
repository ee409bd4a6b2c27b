/** Big-endian reading and writing of small payloads. Page batches have their own, faster code. */

import { linkError } from './errors.ts';

/** What a Writer makes. A page of the heap of its own, so that a small message never pins a large buffer. */
export class Writer {
  #bytes = Buffer.allocUnsafeSlow(64);
  #length = 0;

  #reserve(count: number): number {
    const at = this.#length;
    if (at + count > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, at + count));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    this.#length = at + count;
    return at;
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#bytes.writeUInt8(value, at);
    return this;
  }

  u16(value: number): this {
    const at = this.#reserve(2);
    this.#bytes.writeUInt16BE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    this.#bytes.writeUInt32BE(value, at);
    return this;
  }

  u64(value: number): this {
    return this.u32(Math.floor(value / 2 ** 32)).u32(value % 2 ** 32);
  }

  bytes(value: Uint8Array): this {
    const at = this.#reserve(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Reads a payload to its last byte; every shortage and every surplus is LINK_MESSAGE. */
export class Reader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#what = what;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  #take(count: number): number {
    if (count > this.left) this.refuse(`ends ${count - this.left} bytes early`);
    const at = this.#at;
    this.#at += count;
    return at;
  }

  refuse(why: string): never {
    throw linkError('LINK_MESSAGE', `${this.#what}: ${why}`, { fields: { message: this.#what } });
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  u64(): number {
    const high = this.u32();
    if (high >= 2 ** 21) this.refuse('a number of 2^53 or more');
    return high * 2 ** 32 + this.u32();
  }

  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  rest(): Uint8Array {
    return this.bytes(this.left);
  }

  utf8(count: number): string {
    const bytes = this.bytes(count);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return this.refuse('text that is not UTF-8');
    }
  }

  end(): void {
    if (this.left > 0) this.refuse(`${this.left} bytes too many`);
  }
}
