/**
 * Hands a stream that comes in chunks to a step function, element by element: read in place where a chunk
 * holds the whole element, put together where it was cut. Not responsible for what an element is
 * (decoder.ts).
 */

import { assert } from '../base/index.ts';
import { Carry } from './carry.ts';

/** Returned by a step that needs more bytes than there are. */
export const NEED_MORE = -1;

export interface ElementSteps {
  /**
   * Consumes at least one element from `at` on and returns where the next one begins, or only changes what it
   * expects and returns `at`. NEED_MORE leaves everything as it was. With `single` it takes one element: the
   * rest of the buffer is a copy of bytes that are still to be read in place.
   */
  step(bytes: Uint8Array, at: number, end: number, single: boolean): number;
  /** How large the next element can be; null where only its own bytes tell. */
  elementBytesMax(): number | null;
}

export class ElementReader {
  readonly #steps: ElementSteps;
  readonly #carry: Carry;
  /** Stream offset of index 0 of the buffer that is being stepped through. */
  #base = 0;
  #bytesWritten = 0;

  constructor(carryBytesMax: number, steps: ElementSteps) {
    this.#carry = new Carry(carryBytesMax);
    this.#steps = steps;
  }

  get base(): number {
    return this.#base;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** Without what is kept of an element that was cut. */
  get bytesRead(): number {
    return this.#bytesWritten - this.#carry.sizeBytes;
  }

  /** `chunk` is not kept. */
  write(chunk: Uint8Array): void {
    const chunkBase = this.#bytesWritten;
    this.#bytesWritten += chunk.length;
    let at = this.#completeCarried(chunk, chunkBase);
    this.#base = chunkBase;
    while (at < chunk.length) {
      const next = this.#steps.step(chunk, at, chunk.length, false);
      if (next === NEED_MORE) {
        this.#carry.append(chunk, at, chunk.length);
        return;
      }
      at = next;
    }
  }

  /** Completes an element that began in an earlier chunk; returns where the next one begins. */
  #completeCarried(chunk: Uint8Array, chunkBase: number): number {
    const carry = this.#carry;
    let at = 0;
    while (carry.sizeBytes > 0 && at < chunk.length) {
      const carried = carry.sizeBytes;
      const absorbed = carry.append(chunk, at, this.#steps.elementBytesMax());
      this.#base = chunkBase + at - carried;
      const next = this.#stepCarried();
      if (next === NEED_MORE) at += absorbed;
      else {
        assert(next >= carried, 'a carried element ends in the bytes that completed it');
        at += next - carried;
        carry.clear();
      }
    }
    return at;
  }

  /** Steps until something is consumed. */
  #stepCarried(): number {
    const { bytes, sizeBytes } = this.#carry;
    let next = 0;
    while (next === 0) next = this.#steps.step(bytes, 0, sizeBytes, true);
    return next;
  }
}
