/**
 * Many tasks on all cores. Each result goes to the caller as soon as it is there, in the order in which tasks
 * finish, so that an interrupted sweep loses nothing. Not responsible for files (results.ts), nor for what a
 * plan says (the caller's tasks).
 */

import { Worker } from 'node:worker_threads';
import { GodwitError } from '../base/index.ts';
import type { WorkerAnswer } from './sweep-worker.ts';
import type { SimulationTask, TaskResult } from './task.ts';

/** Published, the worker is JavaScript like everything else. */
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './sweep-worker.ts' : './sweep-worker.js',
  import.meta.url,
);

export interface SweepOptions {
  readonly tasks: readonly SimulationTask[];
  readonly workers: number;
  readonly signal: AbortSignal;
  readonly onResult: (result: TaskResult, done: number) => void;
}

/**
 * Resolves when all tasks are done. Errors: SIMULATION_INVARIANT of the first task that broke one; the
 * signal's reason.
 */
export async function sweep(options: SweepOptions): Promise<void> {
  const { tasks, signal } = options;
  const queue = [...tasks].reverse();
  let done = 0;
  const threads = Math.max(1, Math.min(options.workers, tasks.length));
  const workers = Array.from({ length: threads }, () => new Worker(WORKER));
  const run = async (worker: Worker) => {
    for (let task = queue.pop(); task !== undefined; task = queue.pop()) {
      signal.throwIfAborted();
      const result = await ask(worker, task, signal);
      done++;
      options.onResult(result, done);
    }
  };
  try {
    await Promise.all(workers.map(run));
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function ask(worker: Worker, task: SimulationTask, signal: AbortSignal): Promise<TaskResult> {
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void) => {
      worker.off('message', onAnswer);
      worker.off('error', onError);
      signal.removeEventListener('abort', onAbort);
      finish();
    };
    const onAnswer = (answer: WorkerAnswer) =>
      settle(() => ('result' in answer ? resolve(answer.result) : reject(errorOf(answer.error))));
    const onError = (error: unknown) => settle(() => reject(error));
    const onAbort = () => settle(() => reject(signal.reason));
    worker.on('message', onAnswer);
    worker.on('error', onError);
    signal.addEventListener('abort', onAbort, { once: true });
    worker.postMessage(task);
  });
}

function errorOf(error: { code: string; message: string; hint: string | null }): GodwitError {
  return new GodwitError(error.code, error.message, error.hint === null ? {} : { hint: error.hint });
}
