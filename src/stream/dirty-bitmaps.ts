/**
 * QEMU's dirty bitmaps of disks (section "dirty-bitmap"), which iterate beside RAM: how far each of their
 * sections goes (docs/format/qemu-stream.md, section 5). Not responsible for what the bitmaps say.
 */

import { Unreadable } from './setup.ts';
import type { Cursor } from './wire.ts';

export const DIRTY_BITMAPS = 'dirty-bitmap';

const VERSION = 1;
const FLAG = {
  eos: 0x01,
  zeroes: 0x02,
  bitmapName: 0x04,
  nodeName: 0x08,
  start: 0x10,
  complete: 0x20,
  bits: 0x40,
  /** Another byte of flags follows, after it two more. */
  more: 0x80,
} as const;

/** Moves behind the chunk with EOS; leaves `short` set where bytes are missing. */
export function skipDirtyBitmaps(cursor: Cursor, version: number): Unreadable | null {
  if (version !== VERSION) return new Unreadable('iterable', `${DIRTY_BITMAPS}, version ${version}`);
  for (;;) {
    const flags = cursor.u8();
    if (cursor.short) return null;
    // No QEMU sets any flag that would need them.
    if ((flags & FLAG.more) !== 0) return new Unreadable('iterable', `${DIRTY_BITMAPS}, more flags`);
    if ((flags & FLAG.nodeName) !== 0) cursor.text8();
    if ((flags & FLAG.bitmapName) !== 0) cursor.text8();
    if ((flags & FLAG.start) !== 0) {
      cursor.be32();
      cursor.u8();
    } else if ((flags & FLAG.complete) === 0 && (flags & FLAG.bits) !== 0) {
      cursor.be64();
      cursor.be32();
      if ((flags & FLAG.zeroes) === 0) cursor.skip(cursor.be64());
    }
    if (cursor.short || (flags & FLAG.eos) !== 0) return null;
  }
}
