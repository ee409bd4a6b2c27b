/**
 * Holds the beginning of an element until the chunk with its end arrives. Not responsible
 * for where elements end.
 */

const FIRST_BYTES = 8 * 1024;

export class Carry {
  readonly #sizeBytesMax: number;
  #buffer = Buffer.alloc(FIRST_BYTES);
  #sizeBytes = 0;

  constructor(sizeBytesMax: number) {
    this.#sizeBytesMax = sizeBytesMax;
  }

  get bytes(): Buffer {
    return this.#buffer;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  clear(): void {
    this.#sizeBytes = 0;
  }

  /**
   * Adds bytes of `chunk` from `from` on, up to a total of `upTo`, or as many as are held already (so that
   * an element costs a logarithmic number of attempts, and a large chunk is not copied for a small
   * element). Returns how many.
   */
  append(chunk: Uint8Array, from: number, upTo: number | null): number {
    const wanted = upTo ?? Math.max(FIRST_BYTES, this.#sizeBytes * 2);
    const added = Math.min(chunk.length - from, Math.max(0, wanted - this.#sizeBytes));
    this.#reserve(this.#sizeBytes + added);
    this.#buffer.set(chunk.subarray(from, from + added), this.#sizeBytes);
    this.#sizeBytes += added;
    return added;
  }

  #reserve(sizeBytes: number): void {
    if (sizeBytes <= this.#buffer.length) return;
    const larger = Buffer.alloc(
      Math.min(Math.max(sizeBytes, this.#buffer.length * 2), Math.max(sizeBytes, this.#sizeBytesMax)),
    );
    larger.set(this.#buffer.subarray(0, this.#sizeBytes));
    this.#buffer = larger;
  }
}
