/**
 * A cpio archive as the Linux kernel unpacks it into its first root file system ("newc";
 * Documentation/driver-api/early-userspace/buffer-format.rst). Pure; equal entries give equal bytes. Not
 * responsible for which files there are (image.ts).
 */

import { assert } from '../../base/index.ts';

export type CpioEntry =
  | { readonly kind: 'file'; readonly path: string; readonly bytes: Uint8Array; readonly executable: boolean }
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  | {
      readonly kind: 'character-device';
      readonly path: string;
      readonly major: number;
      readonly minor: number;
    };

const MODE = { file: 0o100644, executable: 0o100755, folder: 0o040755, link: 0o120777, device: 0o020600 };
const ALIGNMENT = 4;

/**
 * `/` separates and paths are relative. Entries are sorted, and the folders that they need are added; owner
 * and times are zero.
 */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const byPath = new Map<string, CpioEntry>();
  for (const entry of entries) {
    assert(/^[^/]/.test(entry.path), `a path inside the archive: ${entry.path}`);
    const parts = entry.path.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const path = parts.slice(0, depth).join('/');
      if (!byPath.has(path)) byPath.set(path, { kind: 'folder', path });
    }
    byPath.set(entry.path, entry);
  }
  const sorted = [...byPath.values()].sort((one, other) => (one.path < other.path ? -1 : 1));
  const pieces = sorted.flatMap((entry, index) => record(entry, index + 1));
  return Buffer.concat([...pieces, ...recordOf('TRAILER!!!', 0, 0, new Uint8Array())]);
}

function record(entry: CpioEntry, inode: number): Uint8Array[] {
  switch (entry.kind) {
    case 'file':
      return recordOf(entry.path, entry.executable ? MODE.executable : MODE.file, inode, entry.bytes);
    case 'folder':
      return recordOf(entry.path, MODE.folder, inode, new Uint8Array());
    case 'link':
      return recordOf(entry.path, MODE.link, inode, Buffer.from(entry.target));
    case 'character-device':
      return recordOf(entry.path, MODE.device, inode, new Uint8Array(), [entry.major, entry.minor]);
  }
}

/**
 * "070701", then inode, mode, uid, gid, links, mtime, size, device (2), rdev (2), name size and checksum, 8
 * hexadecimal digits each; name and content are padded to 4 bytes.
 */
function recordOf(
  path: string,
  mode: number,
  inode: number,
  bytes: Uint8Array,
  device: readonly [number, number] = [0, 0],
): Uint8Array[] {
  const name = Buffer.from(`${path}\0`);
  const fields = [inode, mode, 0, 0, 1, 0, bytes.length, 0, 0, ...device, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  const head = Buffer.concat([Buffer.from(header), name]);
  return [head, padding(head.length), bytes, padding(bytes.length)];
}

function padding(length: number): Uint8Array {
  return new Uint8Array((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);
}
