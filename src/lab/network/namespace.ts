/** A network namespace, held by a process. Not responsible for the devices in it. */

import { type LabProcess, startProcess } from '../machine/processes.ts';

/**
 * A namespace without a name lives as long as the process in it, so nothing is left behind however this one
 * ends.
 */
export async function holdNamespace(): Promise<LabProcess> {
  // `cat` ends with its stdin; the line proves that the namespace exists before anyone enters it.
  const holder = await startProcess(['unshare', '--net', '--', 'sh', '-c', 'echo ready; exec cat']);
  await new Promise<void>((resolve, reject) => {
    holder.child.stdout?.once('data', () => resolve());
    holder.exited.then((ending) =>
      reject(new Error(holder.stderr().trim() || `unshare ended with ${ending}`)),
    );
  });
  return holder;
}
