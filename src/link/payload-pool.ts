/**
 * Memory for large payloads, used again: fresh megabytes for each batch cost page faults and
 * garbage collection, half of what receiving costs. Not responsible for small payloads, which may
 * be kept by whoever gets them.
 */

const CLASS_BYTES = 256 * 1024;
/** Smaller payloads get memory of their own. */
const POOLED_BYTES_MIN = 64 * 1024;

export class PayloadPool {
  readonly #freeBytesMax: number;
  #free: Buffer[] = [];
  #freeBytes = 0;

  constructor(freeBytesMax: number) {
    this.#freeBytesMax = freeBytesMax;
  }

  take(length: number): Uint8Array {
    if (length < POOLED_BYTES_MIN) return Buffer.allocUnsafeSlow(length);
    // The last one given back is the likeliest to be in a cache.
    const fit = this.#free.findLastIndex((memory) => memory.length >= length && memory.length <= length * 4);
    const [memory] = fit >= 0 ? this.#free.splice(fit, 1) : [];
    if (memory === undefined) {
      return Buffer.allocUnsafeSlow(Math.ceil(length / CLASS_BYTES) * CLASS_BYTES).subarray(0, length);
    }
    this.#freeBytes -= memory.length;
    return memory.subarray(0, length);
  }

  /**
   * Nobody looks at `payload` any more. Memory that was handed to another thread is empty by
   * now and not taken.
   */
  give(payload: Uint8Array): void {
    const { buffer, byteOffset, length } = payload;
    if (length < POOLED_BYTES_MIN || byteOffset !== 0 || buffer.byteLength % CLASS_BYTES !== 0) return;
    if (this.#freeBytes + buffer.byteLength > this.#freeBytesMax) return;
    this.#free.push(Buffer.from(buffer));
    this.#freeBytes += buffer.byteLength;
  }
}
