/** A thread of a sweep: runs the tasks it is sent, one at a time. Not responsible for which (sweep.ts). */

import { parentPort } from 'node:worker_threads';
import { defined, errorMessage, GodwitError } from '../base/index.ts';
import { traceLoader } from '../trace/index.ts';
import { runTask, type SimulationTask, type TaskResult } from './task.ts';

export type WorkerAnswer =
  | { readonly result: TaskResult }
  | { readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } };

const port = defined(parentPort, 'this file runs in a worker thread');
const load = traceLoader();

port.on('message', (task: SimulationTask) => {
  port.postMessage(answer(task));
});

function answer(task: SimulationTask): WorkerAnswer {
  try {
    return { result: runTask(task, load) };
  } catch (error) {
    const ours = error instanceof GodwitError;
    return {
      error: {
        code: ours ? error.code : 'SIMULATION_FAILED',
        message: errorMessage(error),
        hint: ours ? error.hint : null,
      },
    };
  }
}
