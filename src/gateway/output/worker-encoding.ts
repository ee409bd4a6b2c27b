/**
 * Encodes batches on worker threads that read the store's shared memory, or here where that costs less. Not
 * responsible for the order of results: the output is.
 */

import { availableParallelism } from 'node:os';
import { smoothed } from '../../base/index.ts';
import { WorkerPool } from '../../link/index.ts';
import {
  type BatchRequest,
  type BatchStats,
  codecTaskModule,
  NO_SLOT,
  ParallelCodec,
  SLOTS_PER_CHUNK,
} from '../../pages/index.ts';
import { InThreadEncoding } from './encoding.ts';
import type { BatchEncoding, TimedBatch } from './types.ts';

/** With no more cores than this the machine's QEMU has one, and a worker has none to itself. */
const CORES_FEW = 2;
/**
 * A batch of which so much is deltas, zeros, or sent as it is: handing it to another core
 * costs as much again.
 */
const CHEAP_SHARE_MIN = 0.95;
const WEIGHT = 0.3;

export class WorkerEncoding implements BatchEncoding {
  readonly encoders: number;
  readonly #pool: WorkerPool;
  readonly #codec: ParallelCodec;
  readonly #here: InThreadEncoding | null;
  /** Of the latest batches' whole pages, those sent as they are; null before the first. */
  #rawShare: number | null = null;

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

  onChunk(chunk: number, memory: SharedArrayBuffer): void {
    this.#codec.setChunk(chunk, memory);
    this.#here?.onChunk(chunk, memory);
  }

  encode(request: BatchRequest, output: SharedArrayBuffer | null): Promise<TimedBatch> | TimedBatch {
    if (this.#here !== null && this.#isCheap(request)) {
      return this.#seen(this.#here.encode(request, output));
    }
    return this.#codec.encode(request, output).then((batch) => this.#seen(batch));
  }

  #isCheap({ pages, slots, referenceSlots }: BatchRequest): boolean {
    let whole = 0;
    for (let at = 0; at < pages.length; at++) {
      if (slots[at] !== NO_SLOT && referenceSlots[at] === NO_SLOT) whole++;
    }
    return pages.length - whole * (1 - (this.#rawShare ?? 0)) > pages.length * CHEAP_SHARE_MIN;
  }

  #seen(batch: TimedBatch): TimedBatch {
    const { rawPages, packedPages }: BatchStats = batch.stats;
    const whole = rawPages + packedPages;
    if (whole > 0) this.#rawShare = smoothed(this.#rawShare, rawPages / whole, WEIGHT);
    return batch;
  }

  close(): void {
    void this.#pool.close();
  }
}
