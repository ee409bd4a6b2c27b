/** A worker thread's first file: loads the task module it was given and answers one task after the other. */

import { parentPort, workerData } from 'node:worker_threads';
import { defined, errorCode, errorMessage } from '../../base/index.ts';
import type { Answer } from './pool.ts';

interface TaskModule {
  createTask(init: unknown): (task: unknown) => { value: unknown; transfer: readonly ArrayBuffer[] };
}

const port = defined(parentPort, 'this file runs as a worker thread');
const { module, init } = workerData as { module: string; init: unknown };
const perform = ((await import(module)) as TaskModule).createTask(init);

port.on('message', ({ id, task }: { id: number; task: unknown }) => {
  const startMs = performance.now();
  try {
    const { value, transfer } = perform(task);
    const answer: Answer = { id, value, workMs: performance.now() - startMs };
    port.postMessage(answer, [...transfer]);
  } catch (error) {
    const answer: Answer = { id, failure: { code: errorCode(error), message: errorMessage(error) } };
    port.postMessage(answer);
  }
});
