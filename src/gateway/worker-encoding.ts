/** Encodes batches on worker threads that read the store's shared memory. Not responsible for the order of results: the output is. */

import { WorkerPool } from '../link/index.ts';
import { type BatchRequest, codecTaskModule, ParallelCodec, SLOTS_PER_CHUNK } from '../pages/index.ts';
import type { BatchEncoding, TimedBatch } from './paired.ts';

export class WorkerEncoding implements BatchEncoding {
  readonly encoders: number;
  readonly #pool: WorkerPool;
  readonly #codec: ParallelCodec;

  constructor(workers: number) {
    this.encoders = workers;
    this.#pool = new WorkerPool({
      size: workers,
      module: codecTaskModule,
      init: { slotsPerChunk: SLOTS_PER_CHUNK },
    });
    this.#codec = new ParallelCodec(this.#pool);
  }

  onChunk(chunk: number, memory: SharedArrayBuffer | null): void {
    this.#codec.setChunk(chunk, memory);
  }

  encode(request: BatchRequest, output: SharedArrayBuffer | null): Promise<TimedBatch> {
    return this.#codec.encode(request, output);
  }

  close(): void {
    void this.#pool.close();
  }
}
