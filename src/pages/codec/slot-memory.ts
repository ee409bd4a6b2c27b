/**
 * Views of the chunks in which page contents lie as numbered 4 KiB slots. Not responsible for
 * who owns a slot.
 */

import { assert } from '../../base/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';

interface Chunk {
  readonly words: Uint32Array;
  readonly longs: BigInt64Array;
  readonly bytes: Uint8Array;
}

export class SlotMemory {
  readonly slotsPerChunk: number;
  readonly #chunks: (Chunk | null)[] = [];

  constructor(slotsPerChunk: number) {
    this.slotsPerChunk = slotsPerChunk;
  }

  /** Chunk `index` lies in `memory` from now on; null: it was given back. */
  set(index: number, memory: SharedArrayBuffer | ArrayBuffer | null): void {
    while (this.#chunks.length <= index) this.#chunks.push(null);
    this.#chunks[index] =
      memory === null
        ? null
        : {
            words: new Uint32Array(memory),
            longs: new BigInt64Array(memory),
            bytes: new Uint8Array(memory),
          };
  }

  of(slot: number): Chunk {
    const chunk = this.#chunks[Math.floor(slot / this.slotsPerChunk)];
    assert(chunk, `slot ${slot} lies in a chunk that is there`);
    return chunk;
  }

  offset(slot: number): number {
    return (slot % this.slotsPerChunk) * PAGE_SIZE_BYTES;
  }
}
