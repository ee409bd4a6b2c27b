/**
 * A lock file of this machine, taken for one run at a time (flock(2), through util-linux' `flock`, since Node has none):
 * measurements that share a machine do not disturb each other. Not responsible for who else takes it.
 */

import { labError } from '../errors.ts';
import { type LabProcess, startProcess } from './processes.ts';

export interface MachineLockOptions {
  readonly path: string;
  /** Someone else has it. */
  readonly onWait?: () => void;
  readonly signal?: AbortSignal;
}

/** Shorter waits are not worth telling. */
const PATIENCE_MS = 500;
const HELD = 'held';

/** Waits for the lock, runs `work`, and lets it go however that ends. Errors: LAB_TOOL_MISSING, LAB_COMMAND_FAILED, the signal's reason. */
export async function withMachineLock<Result>(
  options: MachineLockOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  const { path, onWait, signal } = options;
  signal?.throwIfAborted();
  // -o: only `flock` itself has the lock, so that killing it is enough; `cat` keeps it alive as long as we are.
  const holder = await startProcess(['flock', '-o', path, 'sh', '-c', `echo ${HELD}; exec cat`]);
  const patience = setTimeout(() => onWait?.(), PATIENCE_MS);
  try {
    await isHeld(holder, path, signal);
    clearTimeout(patience);
    return await work();
  } finally {
    clearTimeout(patience);
    await holder.kill();
  }
}

function isHeld(holder: LabProcess, path: string, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    holder.child.stdout?.once('data', () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    void holder.exited.then((ending) => {
      const why = holder.stderr().trim() || ending;
      reject(labError('LAB_COMMAND_FAILED', `the lock ${path} cannot be taken: ${why}`));
    });
  });
}
