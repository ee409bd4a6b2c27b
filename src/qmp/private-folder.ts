/**
 * A private folder for this process's sockets, in the system's temporary folder. Its name says whose it is,
 * so that whoever comes later takes away those of processes that were killed, and no others. Linux. Not
 * responsible for folders of state.
 */

import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/**
 * "godwit-NAMESPACE-PROCESS-START-RANDOM", numbers in base 36: a unix socket's path has at most 107 bytes.
 */
const NAME = /^godwit-([0-9a-z]+)-([0-9a-z]+)-([0-9a-z]+)-\w{6}$/;
/**
 * "godwit-", the namespace's number, a process id, ticks since boot (each at most 7 digits of base 36), a
 * random part of 6, and what separates them.
 */
export const FOLDER_NAME_BYTES_MAX = 37;
/** Where the folders of a host's processes may lie besides TMPDIR. */
export const SYSTEM_FOLDERS = ['/tmp', '/run', '/dev/shm'] as const;
/** Of a process that no /proc shows: its folder is never taken away by others. */
const UNKNOWN = 'x';

/** Mode 0700. Errors: the system's. */
export function makePrivateFolder(parent = os.tmpdir()): string {
  const processId = process.pid.toString(36);
  const name = ['godwit', namespace() ?? UNKNOWN, processId, startOf(process.pid) ?? UNKNOWN, ''].join('-');
  return mkdtempSync(path.join(parent, name));
}

/** Best effort: what is left over tells nothing about a VM. */
export function removePrivateFolder(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch {
    // No descriptors, a disk that went away: whoever sweeps next takes it.
  }
}

/** Takes away the folders of processes that have ended without. Best effort. */
export function sweepPrivateFolders(): void {
  for (const parent of new Set([os.tmpdir(), ...SYSTEM_FOLDERS])) {
    for (const name of namesIn(parent)) {
      if (hasEnded(name)) empty(path.join(parent, name));
    }
  }
}

/**
 * Another process namespace shows other processes under the same numbers: what cannot be
 * seen counts as alive.
 */
function hasEnded(name: string): boolean {
  const [, owners, processId, start] = NAME.exec(name) ?? [];
  if (owners === undefined || start === undefined || start === UNKNOWN || owners !== namespace())
    return false;
  return startOf(Number.parseInt(processId!, 36)) !== start;
}

/**
 * Only sockets, and only of a folder that is ours: somebody else may make one of such a name, or put a link
 * in its place at any moment.
 */
function empty(folder: string): void {
  try {
    const open = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      const own = process.getuid?.();
      if (own !== 0 && fstatSync(open).uid !== own) return;
      const inside = `/proc/self/fd/${open}`;
      for (const name of readdirSync(inside)) {
        if (lstatSync(path.join(inside, name)).isSocket()) rmSync(path.join(inside, name), { force: true });
      }
    } finally {
      closeSync(open);
    }
    rmdirSync(folder);
  } catch {
    // Gone meanwhile, or not to be emptied by us.
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** null where the system has none. */
function namespace(): string | null {
  try {
    const number = /\d+/.exec(readlinkSync('/proc/self/ns/pid'));
    return number === null ? null : Number(number[0]).toString(36);
  } catch {
    return null;
  }
}

/** When the process started, in clock ticks since boot; null: it has ended, or nobody can see it. */
function startOf(processId: number): string | null {
  try {
    const text = readFileSync(`/proc/${processId}/stat`, 'utf8');
    // Field 22 of proc_pid_stat(5); the name in field 2 may hold spaces and brackets.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : Number(fields[22 - 3]).toString(36);
  } catch {
    return null;
  }
}
