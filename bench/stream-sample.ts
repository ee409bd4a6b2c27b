/**
 * The beginning of a QEMU stream for benchmarks, of a guest with one RAM block. Not a benchmark by itself.
 */

import { makeRamLayout, PAGE_SIZE_BYTES, type RamLayout } from '../src/vm/index.ts';

export const SAMPLE_SECTION_ID = 2;

/** Header and RAM's START section. */
export function ramStart(pageCount: number): { bytes: Buffer; layout: RamLayout } {
  const layout = makeRamLayout([{ id: 'pc.ram', sizeBytes: pageCount * PAGE_SIZE_BYTES }]);
  const bytes = Buffer.alloc(8 + 1 + 4 + 4 + 8 + 8 + 7 + 8 + 8 + 5);
  let at = bytes.write('QEVM', 'latin1');
  at = bytes.writeUInt32BE(3, at);
  at = bytes.writeUInt8(1, at);
  at = bytes.writeUInt32BE(SAMPLE_SECTION_ID, at);
  at += bytes.write('\u0003ram', at, 'latin1');
  at = bytes.writeUInt32BE(0, at);
  at = bytes.writeUInt32BE(4, at);
  at = bytes.writeBigUInt64BE(BigInt(layout.sizeBytes + 4), at);
  at += bytes.write('\u0006pc.ram', at, 'latin1');
  at = bytes.writeBigUInt64BE(BigInt(layout.sizeBytes), at);
  at = bytes.writeBigUInt64BE(0x10n, at);
  at = bytes.writeUInt8(0x7e, at);
  bytes.writeUInt32BE(SAMPLE_SECTION_ID, at);
  return { bytes, layout };
}
