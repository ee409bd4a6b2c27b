/**
 * The log that the guest writes to its disk, judged from the raw image: no gap, no duplicate, no damaged
 * record. Not responsible for image formats: convert a qcow2 to raw first (`qemu-img convert -O raw`).
 */

import { fillRandom, mix32 } from './content.ts';
import { GUEST_DEFAULTS } from './options.ts';

const SECTOR_BYTES = 512;
const SECTOR_WORDS = 64;
const MAGIC = 0x31474f4c57444f47n;
const U64 = (1n << 64n) - 1n;

export interface DiskLogExpectation {
  readonly seed: number;
  readonly diskLogBytes?: number;
  /** Every record that the guest reported as complete must be in the log. */
  readonly completedSequence?: number | null;
}

export interface DiskLogCheck {
  readonly sound: boolean;
  readonly records: number;
  /** Null when the log is empty. */
  readonly lastSequence: number | null;
  /** Sequences that should be in the log and are not; at most 16 are named. */
  readonly gaps: readonly number[];
  readonly gapCount: number;
  /** Sectors that hold a record which belongs to another place. */
  readonly duplicates: number;
  /** Sectors that hold neither zeros nor a whole record of this seed. */
  readonly damaged: number;
}

export function checkDiskLog(image: Uint8Array, expected: DiskLogExpectation): DiskLogCheck {
  const places = Math.floor((expected.diskLogBytes ?? GUEST_DEFAULTS.diskLogBytes) / SECTOR_BYTES);
  const found = new Set<number>();
  let duplicates = 0;
  let damaged = Math.max(0, places - Math.floor(image.length / SECTOR_BYTES));
  for (let place = 0; place < places - damaged; place++) {
    const sector = image.subarray(place * SECTOR_BYTES, (place + 1) * SECTOR_BYTES);
    if (sector.every((byte) => byte === 0)) continue;
    const sequence = readRecord(sector, expected.seed, places);
    if (sequence === null) damaged++;
    else if ((sequence - 1) % places !== place) duplicates++;
    else found.add(sequence);
  }
  const lastFound = found.size === 0 ? 0 : [...found].reduce((most, sequence) => Math.max(most, sequence), 0);
  const last = Math.max(lastFound, expected.completedSequence ?? 0);
  const gaps: number[] = [];
  for (let sequence = Math.max(1, last - places + 1); sequence <= last; sequence++) {
    if (!found.has(sequence)) gaps.push(sequence);
  }
  return {
    sound: gaps.length === 0 && duplicates === 0 && damaged === 0,
    records: found.size,
    lastSequence: lastFound || null,
    gaps: gaps.slice(0, 16),
    gapCount: gaps.length,
    duplicates,
    damaged,
  };
}

/** A record as the guest writes it; `guestMs` is free. */
export function diskRecord(seed: number, sequence: number, places: number, guestMs: number): Uint8Array {
  const words = new Uint32Array(SECTOR_WORDS * 2);
  const low = mix32(seed ^ mix32(sequence + 0x9e3779b9));
  const high = mix32((low + 0x7f4a7c15) ^ mix32(sequence ^ 0x2545f491));
  fillRandom(words, 0, SECTOR_WORDS, mix32(low ^ mix32(0)) | 1, mix32(high + mix32(0x68e31da4)));
  const record = new Uint8Array(words.buffer);
  const view = new DataView(record.buffer);
  [MAGIC, BigInt(sequence), BigInt(seed), BigInt(places), BigInt(guestMs)].forEach((value, index) => {
    view.setBigUint64(index * 8, value, true);
  });
  let sum = MAGIC;
  for (let word = 0; word < SECTOR_WORDS - 1; word++) {
    sum = (((sum << 7n) & U64) | (sum >> 57n)) ^ view.getBigUint64(word * 8, true);
  }
  view.setBigUint64((SECTOR_WORDS - 1) * 8, sum, true);
  return record;
}

// The record is rebuilt from its own sequence and time; anything but an exact copy is damage.
function readRecord(sector: Uint8Array, seed: number, places: number): number | null {
  const view = new DataView(sector.buffer, sector.byteOffset, SECTOR_BYTES);
  const sequence = view.getBigUint64(8, true);
  const guestMs = view.getBigUint64(32, true);
  if (sequence === 0n || sequence > 0xffffffffn || guestMs > BigInt(Number.MAX_SAFE_INTEGER)) return null;
  const expected = diskRecord(seed, Number(sequence), places, Number(guestMs));
  return Buffer.compare(sector, expected) === 0 ? Number(sequence) : null;
}
