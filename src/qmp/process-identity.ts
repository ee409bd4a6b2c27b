/**
 * Names a process so that a later one with the same number is told apart. Linux only; null where /proc does
 * not show it. Not responsible for what its end means.
 */

import { readFile, readlink } from 'node:fs/promises';
import { errorCode } from '../base/index.ts';
import type { QmpExecutor } from './client.ts';
import { hostProcess } from './host.ts';

let bootId: string | null = null;

/** Differs after every start of this host: process numbers and clock ticks begin anew then. */
async function bootIdOfHost(): Promise<string> {
  bootId ??= (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  return bootId;
}

/**
 * "PID@START@BOOT": its number, its start in clock ticks since boot (proc_pid_stat(5), field 22), and the
 * boot id of its host. null for one that has ended, or that nobody can see from here.
 */
export async function processIdentity(processId: number): Promise<string | null> {
  return seen(processId).catch(() => null);
}

/** null: it has ended. Errors: the system's, where it cannot be seen. */
async function seen(processId: number): Promise<string | null> {
  const text = await readFile(`/proc/${processId}/stat`, 'utf8');
  // The name in field 2 may hold spaces and brackets; fields are counted from behind its last bracket.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const start = fields[22 - 3];
  // A zombie has let go of its files and locks; only its parent has not looked yet.
  const hasEnded = start === undefined || state === 'Z' || state === 'X';
  return hasEnded ? null : `${processId}@${start}@${await bootIdOfHost()}`;
}

/** Numbers of processes mean something only within one of these; null where the system has none. */
export async function processNamespace(): Promise<string | null> {
  return readlink('/proc/self/ns/pid').catch(() => null);
}

/** The process behind a QMP connection; null where it runs out of sight. */
export async function qemuIdentity(qemu: QmpExecutor): Promise<string | null> {
  const owner = await hostProcess(qemu);
  return owner === null ? null : processIdentity(owner.pid);
}

/**
 * Only what is proved to have ended is not alive: /proc may hide a process, and reading it may fail (hidepid,
 * no descriptors). A signal that is never sent is refused for a number that nobody has, and needs neither.
 */
export async function isAlive(identity: string): Promise<boolean> {
  const processId = Number.parseInt(identity, 10);
  try {
    const found = await seen(processId);
    // Of a process that could not see itself only the number is known.
    return found === identity || (found !== null && identity === `${processId}`);
  } catch {
    return hasNumber(processId) && (bootId === null || identity.endsWith(`@${bootId}`));
  }
}

function hasNumber(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}
