/** Encodes batches on the calling thread: for small machines, tests, and links that one core outruns. */

import { BatchEncoder, type BatchRequest, SLOTS_PER_CHUNK, SlotMemory } from '../../pages/index.ts';
import type { BatchEncoding, TimedBatch } from './types.ts';

export class InThreadEncoding implements BatchEncoding {
  readonly encoders = 1;
  readonly #memory = new SlotMemory(SLOTS_PER_CHUNK);
  readonly #encoder = new BatchEncoder(this.#memory);

  onChunk(chunk: number, memory: SharedArrayBuffer): void {
    this.#memory.set(chunk, memory);
  }

  encode(request: BatchRequest, output: SharedArrayBuffer | null): TimedBatch {
    const startMs = performance.now();
    const batch = this.#encoder.encode(request, output);
    return { ...batch, encodeMs: performance.now() - startMs };
  }

  close(): void {}
}
