/**
 * Writing to TLS in small pieces, one after the other. Node joins the chunks of one write, and OpenSSL
 * encrypts all of it into a chain of buffers; a batch of megabytes would go through memory twice more. A
 * piece stays in the core's cache on its way to the kernel.
 */

import type { Duplex } from 'node:stream';

/** Large enough that a call costs little, small enough for a second-level cache with its ciphertext. */
const PIECE_BYTES = 128 * 1024;

interface Waiting {
  readonly bytes: Uint8Array;
  readonly onTaken: (() => void) | null;
}

export class PieceWriter {
  readonly #stream: Duplex;
  readonly #onEmpty: () => void;
  #queue: Waiting[] = [];
  #at = 0;
  #writing = false;
  #full = false;
  #ending = false;

  /** `onEmpty`: after `write` returned false everything has gone. */
  constructor(stream: Duplex, onEmpty: () => void) {
    this.#stream = stream;
    this.#onEmpty = onEmpty;
  }

  /** False: wait for `onEmpty`. */
  write(chunks: readonly Uint8Array[], onTaken: (() => void) | null): boolean {
    const parts = joined(chunks);
    for (const [index, bytes] of parts.entries()) {
      this.#queue.push({ bytes, onTaken: index === parts.length - 1 ? onTaken : null });
    }
    if (!this.#writing) this.#next();
    this.#full = this.#queue.length > 0;
    return !this.#full;
  }

  /** Ends the stream after what is queued. */
  end(): void {
    this.#ending = true;
    if (!this.#writing) this.#stream.end();
  }

  #next(): void {
    const first = this.#queue[0];
    if (first === undefined) return;
    const { bytes, onTaken } = first;
    const from = this.#at;
    const end = Math.min(bytes.length, from + PIECE_BYTES);
    const isLast = end === bytes.length;
    this.#at = isLast ? 0 : end;
    if (isLast) this.#queue.shift();
    this.#writing = true;
    this.#stream.write(from === 0 && isLast ? bytes : bytes.subarray(from, end), (error) => {
      this.#writing = false;
      if (error) return;
      if (isLast) onTaken?.();
      this.#next();
      if (this.#writing) return;
      if (this.#ending) this.#stream.end();
      else if (this.#full) {
        this.#full = false;
        this.#onEmpty();
      }
    });
  }
}

/** A header and a short payload go as one record. */
function joined(chunks: readonly Uint8Array[]): readonly Uint8Array[] {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return chunks.length > 1 && bytes <= PIECE_BYTES / 8 ? [Buffer.concat(chunks)] : chunks;
}
