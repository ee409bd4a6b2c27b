/**
 * Dirty bitmaps of disks, kept until the VM has stopped: QEMU loads them at any point of the stream, and no
 * page depends on them, so they go with the machine's state. Pure.
 */

import { GodwitError, MIB } from '../../base/index.ts';

/**
 * With the machine's state they are one message of at most 64 MiB: a bitmap of 64 KiB clusters takes 2 MiB
 * a TiB of disk.
 */
const BYTES_MAX = 32 * MIB;
/** docs/format/qemu-stream.md, sections 3 and 5. */
const SECTION_PART = 0x02;
const CHUNKS_AT = 5;
const CHUNK_EOS = 0x01;

export class KeptBitmaps {
  readonly #sections: Uint8Array[] = [];
  #bytes = 0;

  /** `raw`, a whole section, is copied. Errors: GATEWAY_MEMORY. */
  keep(raw: Uint8Array): void {
    // While the VM runs QEMU sends one that says nothing beside each of RAM's: thousands an hour.
    if (raw[0] === SECTION_PART && raw[CHUNKS_AT] === CHUNK_EOS) return;
    this.#bytes += raw.length;
    if (this.#bytes > BYTES_MAX) {
      throw new GodwitError('GATEWAY_MEMORY', `more than ${BYTES_MAX} bytes of dirty bitmaps`, {
        safe: 'the source VM goes on; nothing was lost',
        hint: 'switch the capability dirty-bitmaps off, or remove bitmaps (block-dirty-bitmap-remove)',
      });
    }
    this.#sections.push(Uint8Array.from(raw));
  }

  /** All of them in order, then `devices`. */
  before(devices: Uint8Array): Uint8Array {
    return this.#bytes === 0 ? devices : Buffer.concat([...this.#sections, devices]);
  }
}
