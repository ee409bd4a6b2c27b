/**
 * Whether both ends use the same disks. Pure. Not responsible for finding out which file a name means
 * (host.ts).
 */

import { type Finding, finding, shorten } from './findings.ts';
import type { DiskFacts, MachineDescription } from './machine.ts';

/**
 * Nodes that a block job puts above a disk for as long as it works (QEMU:
 * block/{mirror,commit,copy-before-write}.c).
 */
const JOB_FILTERS: ReadonlySet<string> = new Set(['copy-before-write', 'mirror_top', 'commit_top']);

export function* compareDisks(
  source: MachineDescription,
  destination: MachineDescription,
): Generator<Finding> {
  yield* jobs(source);
  yield* bitmaps(source);
  yield* drives(source, destination);
  for (const disk of source.disks) {
    // Drivers without contents: nothing to share.
    if (disk.driver.startsWith('null-')) continue;
    // Told as an empty drive.
    if (destination.emptyDrives.includes(disk.id)) continue;
    const twin = twinOf(disk, destination.disks);
    if (twin === null) yield withoutTwin(disk, destination.disks);
    else if (twin.driver !== disk.driver && !JOB_FILTERS.has(disk.driver)) {
      const text = `disk ${disk.file} is opened in another format`;
      yield finding('refuse', 'DISK_FORMAT', text, disk.driver, twin.driver);
    } else if (twin.readOnly && !disk.readOnly) {
      const text = `disk ${disk.file} is read-only at the destination`;
      yield finding('refuse', 'DISK_FORMAT', text, 'writable', 'read-only');
    } else if (disk.identity === null || twin.identity === null) {
      const text = `disk ${disk.file} has the same name at both ends; whether it is the same file cannot be seen from here`;
      yield finding(disk.readOnly ? 'info' : 'warn', 'DISK_UNSEEN', text, disk.file, twin.file);
    }
  }
}

/** What a job has not done when QEMU lets go of its disks is not done at all. */
function* jobs({ blockJobs }: MachineDescription): Generator<Finding> {
  for (const { id, type, isReady } of blockJobs) {
    const state = isReady ? 'is ready to be completed' : 'is under way';
    const text = `block job ${id} (${type}) ${state}, and does not move with the VM: complete it (block-job-complete) or cancel it first`;
    yield finding('refuse', 'BLOCK_JOB', text, `${type} ${id}`);
  }
}

function* bitmaps({ disks, capabilities }: MachineDescription): Generator<Finding> {
  if (capabilities.get('dirty-bitmaps') === true) return;
  for (const { file, volatileBitmaps } of disks) {
    if (volatileBitmaps.length === 0) continue;
    const text = `dirty bitmaps of disk ${file} live in QEMU's memory only and will be gone, and with them incremental backups; the capability dirty-bitmaps takes them along`;
    yield finding('warn', 'DISK_BITMAPS', text, shorten(volatileBitmaps));
  }
}

/** A medium in a drive at one end only: the guest would find it gone, or one that it never saw. */
function* drives(source: MachineDescription, destination: MachineDescription): Generator<Finding> {
  for (const { id, file } of source.disks) {
    if (!destination.emptyDrives.includes(id)) continue;
    const text = `drive ${id} is empty at the destination: insert the same medium there (blockdev-change-medium), or eject it here`;
    yield finding('refuse', 'DISK_NOT_SHARED', text, file, 'empty');
  }
  for (const { id, file } of destination.disks) {
    if (!source.emptyDrives.includes(id)) continue;
    const text = `drive ${id} is empty at the source: eject the medium at the destination, which the guest never saw`;
    yield finding('warn', 'DISK_NOT_SHARED', text, 'empty', file);
  }
}

/** The same file, else (where that cannot be seen) the same name. */
function twinOf(disk: DiskFacts, others: readonly DiskFacts[]): DiskFacts | null {
  const same = others.find((other) => disk.identity !== null && other.identity === disk.identity);
  if (same) return same;
  const named = others.find((other) => other.file === disk.file);
  return named && (named.identity === null || disk.identity === null) ? named : null;
}

function withoutTwin(disk: DiskFacts, others: readonly DiskFacts[]): Finding {
  const there = others.map(({ file }) => file).join(' ') || null;
  if (disk.readOnly) {
    const text = `the destination does not use the read-only disk ${disk.file}; its contents must be the same`;
    return finding('warn', 'DISK_NOT_SHARED', text, disk.file, there);
  }
  // A name that cannot be followed here (another host, a network disk) may still mean the same contents.
  const isSeen =
    others.length === 0 || (disk.identity !== null && others.every(({ identity }) => identity !== null));
  const text = `disk ${disk.file} is not shared with the destination, and godwit does not copy disks`;
  return isSeen
    ? finding('refuse', 'DISK_NOT_SHARED', text, disk.file, there)
    : finding('warn', 'DISK_UNSEEN', `${text}; from here it cannot be seen for sure`, disk.file, there);
}
