/**
 * A ring of bytes in memory that two threads share. Each side knows only its own end; how far the other one
 * is comes in messages, which also order the memory accesses. Not responsible for sending those messages.
 */

export const RING_BYTES = 1024 * 1024;

export class RingWriter {
  readonly #bytes: Uint8Array;
  #at = 0;
  #free: number;

  constructor(memory: SharedArrayBuffer) {
    this.#bytes = new Uint8Array(memory);
    this.#free = memory.byteLength;
  }

  /** Copies as much of `chunk` as fits; returns how much that was. */
  write(chunk: Uint8Array): number {
    const count = Math.min(chunk.length, this.#free);
    const first = Math.min(count, this.#bytes.length - this.#at);
    this.#bytes.set(chunk.subarray(0, first), this.#at);
    this.#bytes.set(chunk.subarray(first, count), 0);
    this.#at = (this.#at + count) % this.#bytes.length;
    this.#free -= count;
    return count;
  }

  /** The reader is done with `count` bytes. */
  release(count: number): void {
    this.#free += count;
  }
}

export class RingReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#bytes = Buffer.from(memory);
  }

  /** The next `count` bytes in one or two pieces, valid until the writer is told of them. */
  take(count: number): Buffer[] {
    const end = this.#at + count;
    const pieces =
      end <= this.#bytes.length
        ? [this.#bytes.subarray(this.#at, end)]
        : [this.#bytes.subarray(this.#at), this.#bytes.subarray(0, end - this.#bytes.length)];
    this.#at = end % this.#bytes.length;
    return pieces;
  }
}
