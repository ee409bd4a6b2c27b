/**
 * The codec on several worker threads: any worker takes any batch, results come in the order of each
 * lane. Not responsible for threads (a Runner is given) nor for owning slots: they stay untouched
 * until the promise settles.
 */

import type { UnpackedBatch } from './decoder.ts';
import type { BatchRequest, EncodedBatch } from './encoder.ts';
import type { CodecTask } from './task.ts';

/** Worker threads that run src/pages/codec/task.ts; src/link/workers has one. */
export interface Runner {
  readonly size: number;
  /** Resolves with the task's value. Tasks of one worker run in the order given. `workMs`: its time there. */
  run(
    worker: number,
    task: unknown,
    transfer: readonly ArrayBuffer[],
  ): Promise<{ value: unknown; workMs: number }>;
}

export interface ParallelBatch extends EncodedBatch {
  /** Time in the worker, for PackChooser. */
  readonly encodeMs: number;
}

export class ParallelCodec {
  readonly #runner: Runner;
  readonly #waitingPages: Float64Array;
  /** The last promise of each lane: the next one settles after it. */
  readonly #lanes = new Map<number, Promise<unknown>>();

  constructor(runner: Runner) {
    this.#runner = runner;
    this.#waitingPages = new Float64Array(runner.size);
  }

  /** PageStore's onChunk: every worker sees chunk `index` in `memory` (or no more) before any later batch. */
  setChunk(index: number, memory: SharedArrayBuffer | null): void {
    const task: CodecTask = { kind: 'chunk', index, memory };
    // A dead worker is reported by the next batch it should have done.
    for (let worker = 0; worker < this.#runner.size; worker++) {
      this.#runner.run(worker, task, []).catch(() => undefined);
    }
  }

  /** Resolves when it is done, in any order. Errors: LINK_WORKER. */
  async encode(request: BatchRequest, output: SharedArrayBuffer | null = null): Promise<ParallelBatch> {
    const task: CodecTask = { kind: 'encode', request, output };
    const { value, workMs } = await this.#dispatch(task, request.pages.length, []);
    return { ...(value as EncodedBatch), encodeMs: workMs };
  }

  /** Resolves in the order of calls for `lane`. Errors: LINK_WORKER. */
  encodeBatch(lane: number, request: BatchRequest): Promise<ParallelBatch> {
    return this.#inOrder(lane, this.encode(request));
  }

  /**
   * Of a batch whose memory is given away: it arrived in a frame of its own. Errors: CODEC_*, LINK_WORKER.
   */
  unpackBatch(batch: Uint8Array): Promise<UnpackedBatch> {
    const whole = batch.buffer instanceof ArrayBuffer && batch.byteLength === batch.buffer.byteLength;
    const transfer = whole ? [batch.buffer as ArrayBuffer] : [];
    const task: CodecTask = { kind: 'unpack', batch };
    return this.#dispatch(task, 1 + batch.length / 4096, transfer).then(
      ({ value }) => value as UnpackedBatch,
    );
  }

  async #dispatch(task: CodecTask, pages: number, transfer: readonly ArrayBuffer[]) {
    const worker = this.#leastBusy();
    this.#waitingPages[worker]! += pages;
    try {
      return await this.#runner.run(worker, task, transfer);
    } finally {
      this.#waitingPages[worker]! -= pages;
    }
  }

  #leastBusy(): number {
    let best = 0;
    for (let worker = 1; worker < this.#waitingPages.length; worker++) {
      if (this.#waitingPages[worker]! < this.#waitingPages[best]!) best = worker;
    }
    return best;
  }

  #inOrder<T>(lane: number, done: Promise<T>): Promise<T> {
    const before = this.#lanes.get(lane) ?? Promise.resolve();
    const after = before.then(
      () => done,
      () => done,
    );
    this.#lanes.set(
      lane,
      after.catch(() => undefined),
    );
    // Both are awaited through `after`; a failure of `done` alone must not count as unhandled.
    done.catch(() => undefined);
    return after;
  }
}
