/**
 * Which shared libraries a program says that it needs (ELF64, little endian: the DT_NEEDED entries and the
 * interpreter). Pure. Not responsible for finding them (image.ts).
 */

const ELF_MAGIC = 0x464c457f;
const PROGRAM_HEADER_BYTES = 56;
const [LOAD, DYNAMIC, INTERPRETER] = [1, 2, 3];
const [DT_NULL, DT_NEEDED, DT_STRTAB] = [0, 1, 5];

export interface ElfNeeds {
  /** Absolute path of the loader; null for a static program or a library. */
  readonly interpreter: string | null;
  /** File names such as libc.so.6. */
  readonly libraries: readonly string[];
}

/** Null for a file that is no ELF64 file; a damaged one throws a RangeError. */
export function elfNeeds(bytes: Uint8Array): ElfNeeds | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 64 || view.getUint32(0, true) !== ELF_MAGIC || bytes[4] !== 2) return null;
  const u64 = (at: number) => Number(view.getBigUint64(at, true));
  const text = (at: number) => {
    const end = bytes.indexOf(0, at);
    return Buffer.from(bytes.subarray(at, end < 0 ? bytes.length : end)).toString('latin1');
  };
  const headers = Array.from({ length: view.getUint16(56, true) }, (_, index) => {
    const at = u64(32) + index * PROGRAM_HEADER_BYTES;
    return {
      type: view.getUint32(at, true),
      offset: u64(at + 8),
      address: u64(at + 16),
      sizeBytes: u64(at + 32),
    };
  });
  const interpreter = headers.find(({ type }) => type === INTERPRETER);
  const dynamic = headers.find(({ type }) => type === DYNAMIC);
  const entries: { tag: number; value: number }[] = [];
  for (let at = dynamic?.offset ?? 0; dynamic && at < dynamic.offset + dynamic.sizeBytes; at += 16) {
    const tag = u64(at);
    if (tag === DT_NULL) break;
    entries.push({ tag, value: u64(at + 8) });
  }
  const table = entries.find(({ tag }) => tag === DT_STRTAB)?.value ?? 0;
  // The table is named by its address in memory; the segment that is loaded there says where it is in the
  // file.
  const segment = headers.find(
    ({ type, address, sizeBytes }) => type === LOAD && table >= address && table < address + sizeBytes,
  );
  const strings = segment ? table - segment.address + segment.offset : 0;
  return {
    interpreter: interpreter ? text(interpreter.offset) : null,
    libraries: entries.filter(({ tag }) => tag === DT_NEEDED).map(({ value }) => text(strings + value)),
  };
}
