/**
 * Encodes batches on worker threads that read the store's shared memory, or here where that costs less. Not responsible
 * for the order of results: the output is.
 */

import { availableParallelism } from 'node:os';
import { WorkerPool } from '../link/index.ts';
import {
  type BatchRequest,
  type BatchStats,
  codecTaskModule,
  ParallelCodec,
  SLOTS_PER_CHUNK,
} from '../pages/index.ts';
import { InThreadEncoding } from './encoding.ts';
import type { BatchEncoding, TimedBatch } from './paired.ts';

/** With no more cores than this the machine's QEMU has one, and a worker has none to itself. */
const CORES_FEW = 2;
/** A batch of which so much is sent as it is takes a copy and a checksum: handing it to another core costs as much again. */
const CHEAP_SHARE_MIN = 0.95;
const WEIGHT = 0.3;

export class WorkerEncoding implements BatchEncoding {
  readonly encoders: number;
  readonly #pool: WorkerPool;
  readonly #codec: ParallelCodec;
  readonly #here: InThreadEncoding | null;
  /** Of the latest batches' pages, those sent as they are or as zeros. */
  #cheapShare = 0;

  constructor(workers: number, cores = availableParallelism()) {
    this.encoders = workers;
    this.#pool = new WorkerPool({
      size: workers,
      module: codecTaskModule,
      init: { slotsPerChunk: SLOTS_PER_CHUNK },
    });
    this.#codec = new ParallelCodec(this.#pool);
    this.#here = cores <= CORES_FEW ? new InThreadEncoding() : null;
  }

  onChunk(chunk: number, memory: SharedArrayBuffer | null): void {
    this.#codec.setChunk(chunk, memory);
    this.#here?.onChunk(chunk, memory);
  }

  encode(request: BatchRequest, output: SharedArrayBuffer | null): Promise<TimedBatch> | TimedBatch {
    if (this.#here !== null && this.#cheapShare > CHEAP_SHARE_MIN) {
      return this.#seen(this.#here.encode(request, output), request);
    }
    return this.#codec.encode(request, output).then((batch) => this.#seen(batch, request));
  }

  #seen(batch: TimedBatch, { pages }: BatchRequest): TimedBatch {
    const { rawPages, zeroPages }: BatchStats = batch.stats;
    this.#cheapShare += WEIGHT * ((rawPages + zeroPages) / pages.length - this.#cheapShare);
    return batch;
  }

  close(): void {
    void this.#pool.close();
  }
}
