/**
 * Names a process so that a later one with the same number is told apart. Linux only; null where /proc does
 * not show it.
 */

import { readFile } from 'node:fs/promises';
import type { QmpExecutor } from './client.ts';
import { hostProcess } from './host.ts';

/**
 * "PID@START": its number and its start in clock ticks since boot (proc_pid_stat(5), field 22). null for one
 * that has ended.
 */
export async function processIdentity(processId: number): Promise<string | null> {
  try {
    const text = await readFile(`/proc/${processId}/stat`, 'utf8');
    // The name in field 2 may hold spaces and brackets; fields are counted from behind its last bracket.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const state = fields[0];
    const start = fields[22 - 3];
    // A zombie has given up its files and locks; its parent has only not collected its exit code.
    return start === undefined || state === 'Z' || state === 'X' ? null : `${processId}@${start}`;
  } catch {
    return null;
  }
}

/** The process behind a QMP connection; null where it runs out of sight. */
export async function qemuIdentity(qemu: QmpExecutor): Promise<string | null> {
  const owner = await hostProcess(qemu);
  return owner === null ? null : processIdentity(owner.pid);
}

export async function isAlive(identity: string): Promise<boolean> {
  return (await processIdentity(Number.parseInt(identity, 10))) === identity;
}
