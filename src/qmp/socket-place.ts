/**
 * Where this process and a QEMU can meet at a unix socket: a folder that both see, whoever QEMU runs as and
 * whichever mounts it has. Not responsible for the sockets in it (socket-folder.ts).
 */

import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { errorCode } from '../base/index.ts';
import type { HostProcess } from './host.ts';
import { FOLDER_NAME_BYTES_MAX, SYSTEM_FOLDERS } from './private-folder.ts';

/** Whom a socket is given to. */
export interface SocketOwner {
  readonly userId: number;
  readonly groupId: number;
}

export interface SocketPlace {
  readonly role: SocketRole;
  /**
   * A folder that exists, as this process names it and as the QEMU does: they differ where QEMU has
   * mounts of its own.
   */
  readonly here: string;
  readonly there: string;
  /** null: whoever this process runs as. */
  readonly owner: SocketOwner | null;
  /** QEMU may only pass through, and the socket is its group's: this process may not give it away. */
  readonly byGroup: boolean;
}

/** No place, and why. */
export interface NoSocketPlace {
  readonly refusal: string;
}

/** `connects`: this process listens. `listens`: QEMU makes the socket. */
export type SocketRole = 'connects' | 'listens';

export interface PlaceOptions {
  readonly role: SocketRole;
  /** null: it cannot be seen; then the owner of its QMP socket stands for it. */
  readonly qemu: HostProcess | null;
  readonly qmpPath: string | null;
  /** As whom this process runs. Default: as it does. */
  readonly self?: { readonly userId: number; readonly groupIds: readonly number[] };
  /** Where to look first. Default: TMPDIR, then the system's own. */
  readonly folders?: readonly string[];
}

/** Of sun_path in sockaddr_un, without the byte that ends it (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;
/** What is appended to a place: a private folder, and the longest name in it. */
const OWN_NAME = `/${'x'.repeat(FOLDER_NAME_BYTES_MAX)}/incoming.sock`;

export async function findSocketPlace(options: PlaceOptions): Promise<SocketPlace | NoSocketPlace> {
  const { role, qemu, qmpPath } = options;
  const self = options.self ?? { userId: process.geteuid!(), groupIds: process.getgroups!() };
  const runsAs = qemu ?? (await ownerOf(qmpPath));
  const rights = judgeRights(role, self, runsAs);
  if ('refusal' in rights) return rights;
  const near = qmpPath === null ? [] : [dirname(qmpPath)];
  const folders = [...new Set([...(options.folders ?? [tmpdir()]), ...SYSTEM_FOLDERS, ...near])];
  const reasons: string[] = [];
  for (const folder of folders) {
    const place = await placeIn(folder, qemu, runsAs);
    if (typeof place !== 'string') return { role, ...place, ...rights };
    reasons.push(`${folder} ${place}`);
  }
  return { refusal: `no folder for a socket between godwit and QEMU: ${reasons.join(', ')}` };
}

async function ownerOf(qmpPath: string | null): Promise<SocketOwner | null> {
  const facts = qmpPath === null ? null : await stat(qmpPath).catch(() => null);
  return facts === null ? null : { userId: facts.uid, groupId: facts.gid };
}

/** Root gives sockets away; others may only do so within a group, and not for sockets that QEMU makes. */
export function judgeRights(
  role: SocketRole,
  self: { readonly userId: number; readonly groupIds: readonly number[] },
  runsAs: SocketOwner | null,
): Pick<SocketPlace, 'owner' | 'byGroup'> | NoSocketPlace {
  const ours = { owner: null, byGroup: false };
  if (runsAs === null || runsAs.userId === self.userId) return ours;
  const { userId, groupId } = runsAs;
  if (self.userId === 0) return { owner: { userId, groupId }, byGroup: false };
  if (role === 'connects') {
    if (userId === 0) return ours;
    if (self.groupIds.includes(groupId)) return { owner: { userId: self.userId, groupId }, byGroup: true };
  }
  const hint = `run godwit as user ${userId} or as root`;
  return { refusal: `QEMU runs as user ${userId} and godwit as user ${self.userId}: ${hint}` };
}

/** The two names of `folder`, or why not there. */
async function placeIn(
  folder: string,
  qemu: HostProcess | null,
  runsAs: SocketOwner | null,
): Promise<Pick<SocketPlace, 'here' | 'there'> | string> {
  if (!folder.startsWith('/')) return 'is not absolute';
  const seen = qemu === null ? 'unseen' : await howSeen(folder, qemu.pid);
  const here = seen === 'other' ? `/proc/${qemu!.pid}/root${folder}` : folder;
  if (Buffer.byteLength(here + OWN_NAME) > SOCKET_PATH_BYTES_MAX) return 'is too long a name';
  try {
    if (!(await stat(here)).isDirectory()) return 'is no folder';
    await access(here, constants.W_OK | constants.X_OK);
  } catch (error) {
    return `cannot be used (${errorCode(error)})`;
  }
  if (runsAs !== null && !(await mayPass(here, folder, runsAs))) {
    return `cannot be entered by user ${runsAs.userId}`;
  }
  return { here, there: folder };
}

/** Whether `folder` means the same to the process: it may live in a container, or have a /tmp of its own. */
async function howSeen(folder: string, pid: number): Promise<'same' | 'other' | 'unseen'> {
  const root = `/proc/${pid}/root`;
  try {
    await stat(join(root, '/'));
  } catch {
    return 'unseen';
  }
  const facts = (path: string) => stat(path).catch(() => null);
  const [mine, its] = await Promise.all([facts(folder), facts(`${root}${folder}`)]);
  if (mine === null && its === null) return 'same';
  return mine !== null && its !== null && mine.dev === its.dev && mine.ino === its.ino ? 'same' : 'other';
}

/**
 * By the mode of each folder on the way; lists of further rights are not looked at, so some other
 * folder may be taken.
 */
async function mayPass(here: string, folder: string, { userId, groupId }: SocketOwner): Promise<boolean> {
  if (userId === 0) return true;
  const prefix = here.slice(0, here.length - folder.length);
  for (let path = folder; ; path = dirname(path)) {
    const facts = await stat(`${prefix}${path}`).catch(() => null);
    if (facts === null) return false;
    const shift = facts.uid === userId ? 6 : facts.gid === groupId ? 3 : 0;
    if (((facts.mode >> shift) & constants.X_OK) === 0) return false;
    if (path === '/') return true;
  }
}
