/**
 * What the host says about a QEMU process: its command line, and which file a disk's name means to it.
 * Not responsible for judging it. Everything is null where this host or this user cannot see it: QEMU may run
 * elsewhere.
 */

import { readFile, readlink, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import type { QmpExecutor } from './client.ts';
import { queryCpusFast } from './commands-vm.ts';

export interface HostProcess {
  readonly pid: number;
  /** As whom it runs now: its sockets may have been made before it gave rights away. */
  readonly userId: number;
  readonly groupId: number;
  readonly argv: readonly string[];
  /** Null without the right to look. */
  readonly workingFolder: string | null;
}

/**
 * The process behind a QMP connection, found by the host thread of its first vCPU; null for `-machine none`
 * or a QEMU elsewhere.
 */
export async function hostProcess(qemu: QmpExecutor): Promise<HostProcess | null> {
  const threadId = (await queryCpusFast(qemu))[0]?.threadId;
  return threadId === undefined ? null : processOfThread(threadId);
}

/** null where there is none that looks like a QEMU, or this host does not show it. */
export async function processOfThread(threadId: number): Promise<HostProcess | null> {
  if (!Number.isInteger(threadId) || threadId <= 0) return null;
  try {
    const status = await readFile(`/proc/${threadId}/status`, 'utf8');
    const number = (field: RegExp) => Number(field.exec(status)?.[1]);
    // What the thread calls itself, in the innermost of its process namespaces: a QEMU in a container names
    // its threads so, and here that number is a stranger's.
    if (number(/^NSpid:.*?(\d+)$/m) !== threadId) return null;
    const pid = number(/^Tgid:\s+(\d+)$/m);
    const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1);
    // A thread number of another host may name anything here.
    if (!/qemu|kvm/.test(argv[0] ?? '')) return null;
    const workingFolder = await readlink(`/proc/${pid}/cwd`).catch(() => null);
    // Real, effective, saved, file system (proc_pid_status(5)): the second acts.
    const userId = number(/^Uid:\s+\d+\s+(\d+)/m);
    const groupId = number(/^Gid:\s+\d+\s+(\d+)/m);
    return { pid, userId, groupId, argv, workingFolder };
  } catch {
    return null;
  }
}

/** Whether a path means to the process what it means here: it may live in a container. */
export async function sharesFiles(pid: number): Promise<boolean> {
  const [its, ours] = await Promise.all(
    [`/proc/${pid}/root/`, '/'].map((path) => stat(path).catch(() => null)),
  );
  return its != null && ours != null && its.dev === ours.dev && its.ino === ours.ino;
}

export async function argumentsOfProcess(qemu: QmpExecutor): Promise<readonly string[] | null> {
  return (await hostProcess(qemu))?.argv ?? null;
}

/**
 * Device and inode (or the device number of a block device) of the file that `name` means to the process;
 * null where that cannot be seen.
 */
export async function fileIdentity(name: string, owner: HostProcess | null): Promise<string | null> {
  if (owner === null) return null;
  if (!isAbsolute(name) && owner.workingFolder === null) return null;
  const path = isAbsolute(name) ? name : join(owner.workingFolder ?? '', name);
  try {
    // Through the process's own root: it may live in a container or another mount namespace.
    const facts = await stat(join(`/proc/${owner.pid}/root`, path));
    // Two device nodes may name one disk.
    return facts.isBlockDevice() ? `device ${facts.rdev}` : `${facts.dev}:${facts.ino}`;
  } catch {
    return null;
  }
}
