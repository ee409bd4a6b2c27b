/**
 * Whether both ends use the same disks. Pure. Not responsible for finding out which file a name means
 * (host.ts).
 */

import { type Finding, finding } from './findings.ts';
import type { DiskFacts, MachineDescription } from './machine.ts';

export function* compareDisks(
  source: MachineDescription,
  destination: MachineDescription,
): Generator<Finding> {
  for (const disk of source.disks) {
    // Drivers without contents: nothing to share.
    if (disk.driver.startsWith('null-')) continue;
    const twin = twinOf(disk, destination.disks);
    if (twin === null) yield withoutTwin(disk, destination.disks);
    else if (twin.driver !== disk.driver) {
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
