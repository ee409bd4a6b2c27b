/**
 * Guest memory that lies in a file which another process may map too (`share=on`): loading a stream into such
 * memory writes into whoever else maps the file. Which files a QEMU maps, and whether two QEMUs map one. Not
 * responsible for any other memory (compare-hardware.ts).
 */

import { readFile, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { QmpExecutor } from './client.ts';
import { qomGet, qomList } from './commands-vm.ts';
import { isRefusal } from './errors.ts';
import { type Finding, finding } from './findings.ts';
import { type HostProcess, hostProcess } from './host.ts';
import type { RamBlockFacts } from './monitor-text.ts';

export interface SharedFile {
  /** Device and inode as the kernel shows them for a mapping; only compared with another mapping's. */
  readonly identity: string;
  readonly path: string;
  readonly fromAddress: bigint;
  readonly toAddress: bigint;
}

/** A memory backend with `share=on` and a file of that name, as QEMU itself says. */
export interface SharedBackend {
  readonly id: string;
  readonly path: string;
  /** On a file system that other hosts may have mounted; null: cannot be seen from here. */
  readonly isOnNetwork: boolean | null;
}

export interface SharedMemory {
  /**
   * The process of this host with the QEMU's threads. Of a QEMU that is said to run elsewhere it
   * may be a stranger.
   */
  readonly pid: number | null;
  /** Files that the process maps shared and writable; null: this host does not show them to this user. */
  readonly mapped: readonly SharedFile[] | null;
  readonly backends: readonly SharedBackend[];
}

export const NO_SHARED_MEMORY: SharedMemory = { pid: null, mapped: [], backends: [] };

/**
 * Magic numbers of statfs(2) (linux/magic.h and the file systems' own) whose files other hosts may have open.
 */
const NETWORK_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0xff534d42, // CIFS
  0xfe534d42, // SMB2
  0x517b, // SMB
  0x65735546, // FUSE: GlusterFS, sshfs, virtiofs
  0x00c36400, // Ceph
  0x01161970, // GFS2
  0x7461636f, // OCFS2
  0x01021997, // 9p
  0x0bd00bd0, // Lustre
  0x47504653, // GPFS
  0x5346414f, // AFS
]);

const FILE_BACKEND = 'child<memory-backend-file>';

/**
 * `isElsewhere`: said to run on another host. That may be this one all the same (ssh to itself), so the
 * process with its threads is looked at; only what it maps counts then, because it may be a stranger
 * with the same numbers.
 */
export async function gatherSharedMemory(qemu: QmpExecutor, isElsewhere: boolean): Promise<SharedMemory> {
  const owner = await hostProcess(qemu);
  return {
    pid: owner?.pid ?? null,
    mapped: await mappedFiles(owner),
    backends: await sharedBackends(qemu, isElsewhere ? null : owner),
  };
}

async function sharedBackends(qemu: QmpExecutor, owner: HostProcess | null): Promise<SharedBackend[]> {
  const backends: SharedBackend[] = [];
  for (const { name, type } of await qomList(qemu, '/objects')) {
    if (type !== FILE_BACKEND) continue;
    const path = `/objects/${name}`;
    try {
      if ((await qomGet(qemu, path, 'share')) !== true) continue;
      const file = String(await qomGet(qemu, path, 'mem-path'));
      const seen = await seenFile(file, owner);
      // In a folder QEMU makes a nameless file of its own.
      if (seen !== 'folder') backends.push({ id: name, path: file, isOnNetwork: seen });
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
  }
  return backends;
}

/** 'folder' for a folder; else whether it is on a network file system, null where that cannot be seen. */
async function seenFile(file: string, owner: HostProcess | null): Promise<'folder' | boolean | null> {
  if (owner === null) return null;
  try {
    const path = join(`/proc/${owner.pid}/root`, file);
    if ((await stat(path)).isDirectory()) return 'folder';
    return NETWORK_FILE_SYSTEMS.has((await statfs(path)).type);
  } catch {
    return null;
  }
}

async function mappedFiles(owner: HostProcess | null): Promise<readonly SharedFile[] | null> {
  if (owner === null) return null;
  try {
    const files = parseSharedMappings(await readFile(`/proc/${owner.pid}/maps`, 'utf8'));
    const isMemory = await Promise.all(files.map(({ path }) => holdsMemory(path, owner)));
    return files.filter((_, index) => isMemory[index]);
  } catch {
    return null;
  }
}

/**
 * Of device nodes only /dev/dax* are memory: a graphics card's or vfio's node is mapped by many, at
 * offsets of their own.
 */
async function holdsMemory(path: string, { pid }: HostProcess): Promise<boolean> {
  if (path.startsWith('/dev/dax')) return true;
  const facts = await stat(join(`/proc/${pid}/root`, path)).catch(() => null);
  return facts === null || facts.isFile();
}

const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) .(.).(.) [0-9a-f]+ ([0-9a-f]+:[0-9a-f]+) (\d+) +(\/.*)$/;

/** Shared, writable mappings of files, of the text of /proc/PID/maps (proc_pid_maps(5)). */
export function parseSharedMappings(text: string): readonly SharedFile[] {
  const files: SharedFile[] = [];
  for (const line of text.split('\n')) {
    const [, from, to, write, shared, device, inode, path = ''] = MAPPING.exec(line) ?? [];
    if (write !== 'w' || shared !== 's' || inode === '0') continue;
    files.push({
      identity: `${device}:${inode}`,
      path,
      fromAddress: BigInt(`0x${from}`),
      toAddress: BigInt(`0x${to}`),
    });
  }
  return files;
}

export interface SharedMemoryEnd {
  readonly sharedMemory: SharedMemory;
  readonly ramBlocks: readonly RamBlockFacts[] | null;
  /** Null for a QEMU of another host. */
  readonly pid: number | null;
}

/** Pure. One finding a file. */
export function* compareSharedMemory(
  source: SharedMemoryEnd,
  destination: SharedMemoryEnd,
): Generator<Finding> {
  const here = memoryFiles(source);
  const there = memoryFiles(destination);
  // Across hosts one number may name two processes.
  const isStranger = destination.pid === null && source.sharedMemory.pid === destination.sharedMemory.pid;
  const shared = here === null || there === null || isStranger ? null : [...sameFiles(here, there)];
  yield* shared ?? [];
  const isSeen = shared !== null && source.pid !== null && destination.pid !== null;
  if (!isSeen && (shared ?? []).length === 0) yield* sameNames(source, destination);
}

/** What of the mapped files is RAM, where QEMU tells its blocks' addresses (8.1+); else all of them. */
function memoryFiles({ sharedMemory: { mapped }, ramBlocks }: SharedMemoryEnd): readonly SharedFile[] | null {
  const blocks = ramBlocks?.map(({ hostAddress, totalBytes }) => ({ hostAddress, totalBytes })) ?? [];
  if (mapped === null || blocks.length === 0 || blocks.some(({ hostAddress }) => hostAddress === null))
    return mapped;
  return mapped.filter(({ fromAddress, toAddress }) =>
    blocks.some(
      ({ hostAddress, totalBytes }) =>
        fromAddress < hostAddress! + BigInt(totalBytes) && hostAddress! < toAddress,
    ),
  );
}

function* sameFiles(here: readonly SharedFile[], there: readonly SharedFile[]): Generator<Finding> {
  const byIdentity = new Map(there.map((file) => [file.identity, file]));
  for (const { identity, path } of here) {
    const twin = byIdentity.get(identity);
    if (twin === undefined) continue;
    byIdentity.delete(identity);
    yield finding('refuse', 'RAM_SHARED', SHARED_TEXT, path, twin.path);
  }
}

const SHARED_TEXT =
  'both QEMUs have their RAM in one file: loading the VM would write into the VM that runs; give the destination a file of its own';

/** Where the mappings of one end cannot be seen: by the names that QEMU was given. */
function* sameNames(source: SharedMemoryEnd, destination: SharedMemoryEnd): Generator<Finding> {
  const there = new Set(destination.sharedMemory.backends.map(({ path }) => path));
  const isOneHost = source.pid !== null && destination.pid !== null;
  for (const { path, isOnNetwork } of source.sharedMemory.backends) {
    if (!there.has(path)) continue;
    if (isOneHost || isOnNetwork === true) {
      yield finding('refuse', 'RAM_SHARED', SHARED_TEXT, path, path);
    } else if (isOnNetwork === null) {
      const text =
        'both QEMUs have their RAM in a shared file of one name, and whether that is one file cannot be seen from here';
      yield finding('warn', 'RAM_SHARED', text, path, path);
    }
  }
}
