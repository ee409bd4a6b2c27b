/**
 * A lock file of this machine, which one run at a time holds, so that measurements do not disturb each other.
 * Node has no flock(2); util-linux' `flock` takes it. Not responsible for who else takes it.
 */

import { labError } from '../errors.ts';
import { type LabProcess, startProcess } from './processes.ts';

export interface MachineLockOptions {
  readonly path: string;
  /** Someone else has it. */
  readonly onWait?: () => void;
  readonly signal?: AbortSignal;
}

/** Shorter waits are not reported. */
const PATIENCE_MS = 500;
const HELD = 'held';

/**
 * Waits for the lock, runs `work`, and releases the lock however that ends. Errors: LAB_TOOL_MISSING,
 * LAB_COMMAND_FAILED, the signal's reason.
 */
export async function withMachineLock<Result>(
  options: MachineLockOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  const { path, onWait, signal } = options;
  signal?.throwIfAborted();
  // With -o only `flock` itself holds the lock, so killing it is enough. `cat` keeps it alive as long as this
  // process.
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
