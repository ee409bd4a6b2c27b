/**
 * Worker threads that run tasks of a module given by its address, so that the link needs to know nothing of
 * what it runs (the codec). Not responsible for choosing a worker.
 */

import { Worker } from 'node:worker_threads';
import { GodwitError } from '../../base/index.ts';
import { linkError } from '../errors.ts';

export interface WorkerPoolOptions {
  readonly size: number;
  /** Address of a module that exports createTask(init): (task) => { value, transfer }. */
  readonly module: string;
  readonly init: unknown;
}

/** What a worker answers. */
export type Answer =
  | { readonly id: number; readonly value: unknown; readonly workMs: number }
  | { readonly id: number; readonly failure: { readonly code: string; readonly message: string } };

interface Pending {
  resolve(answer: { value: unknown; workMs: number }): void;
  reject(error: unknown): void;
}

interface Seat {
  readonly worker: Worker;
  readonly pending: Map<number, Pending>;
  dead: GodwitError | null;
}

/** Tasks leave little behind on the heap: what they work on lies outside it. */
const YOUNG_MIB_MAX = 6;

// The published package holds JavaScript: Node does not strip types inside node_modules.
const MAIN = new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url);

export class WorkerPool {
  readonly #seats: Seat[];
  #nextId = 0;

  constructor(options: WorkerPoolOptions) {
    const { module, init } = options;
    this.#seats = Array.from({ length: options.size }, () => {
      const worker = new Worker(MAIN, {
        workerData: { module, init },
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB_MAX },
      });
      const seat: Seat = { worker, pending: new Map(), dead: null };
      worker.on('message', (answer: Answer) => settle(seat, answer));
      worker.on('error', (error) => fail(seat, error));
      worker.on('exit', () => fail(seat, new Error('it exited')));
      // A forgotten pool must not keep the process alive; work in flight does (see run).
      worker.unref();
      return seat;
    });
  }

  get size(): number {
    return this.#seats.length;
  }

  /**
   * Tasks of one worker run in the order given. `transfer`: memory that moves there.
   * Errors: the task's, LINK_WORKER.
   */
  run(
    worker: number,
    task: unknown,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<{ value: unknown; workMs: number }> {
    const seat = this.#seats[worker];
    if (seat === undefined) throw new RangeError(`worker ${worker} of ${this.size}`);
    if (seat.dead !== null) return Promise.reject(seat.dead);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      seat.pending.set(id, { resolve, reject });
      seat.worker.ref();
      seat.worker.postMessage({ id, task }, [...transfer]);
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#seats.map(({ worker }) => worker.terminate()));
  }
}

function settle(seat: Seat, answer: Answer): void {
  const pending = seat.pending.get(answer.id);
  seat.pending.delete(answer.id);
  if (seat.pending.size === 0) seat.worker.unref();
  if ('failure' in answer) pending?.reject(new GodwitError(answer.failure.code, answer.failure.message));
  else pending?.resolve(answer);
}

function fail(seat: Seat, error: Error): void {
  seat.dead ??= linkError('LINK_WORKER', `a worker thread of the link is gone: ${error.message}`, {
    cause: error,
  });
  for (const { reject } of seat.pending.values()) reject(seat.dead);
  seat.pending.clear();
}
