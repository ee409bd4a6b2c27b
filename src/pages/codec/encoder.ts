/**
 * Pages to batches (docs/format/link.md, 6): per page the cheapest of zero, same, delta, packed and raw.
 * Holds scratch memory and nothing that outlives a batch, so any worker may encode any batch. Not responsible
 * for which copies are references (the caller says), nor for whether packing pays on this link (chooser.ts).
 */

import { constants, crc32, zstdCompressSync } from 'node:zlib';
import { assert } from '../../base/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { encodeDelta } from './delta.ts';
import {
  BATCH_FORMAT,
  BATCH_HEADER_BYTES,
  BATCH_PAGES_MAX,
  CODING_STORED,
  CODING_ZSTD,
  DELTA_BYTES_MAX,
  KIND,
  NO_SLOT,
  RECORD_BYTES_MAX,
  SEGMENT_HEADER_BYTES,
} from './format.ts';
import { fingerprint, isEqual, isZero, looksRandom } from './sample.ts';
import type { SlotMemory } from './slot-memory.ts';

export interface BatchRequest {
  /** At most 1,024, all of one lane, in sending order. */
  readonly pages: Uint32Array;
  /**
   * Where each page's content lies; NO_SLOT: zeros. Nobody writes to these slots until the batch is encoded.
   */
  readonly slots: Int32Array;
  /** The copy the destination has when it reads this batch; NO_SLOT: none. */
  readonly referenceSlots: Int32Array;
  /** False: no zstd, the link is faster than it. */
  readonly pack: boolean;
}

export interface BatchStats {
  readonly zeroPages: number;
  readonly rawPages: number;
  readonly packedPages: number;
  readonly deltaPages: number;
  readonly samePages: number;
  /** Bytes of deltas before zstd. */
  readonly deltaBytes: number;
  /** What zstd made of the packed pages; equals packedPages * 4096 when it did not pay. */
  readonly packedStoredBytes: number;
}

export interface EncodedBatch {
  /** In the memory given for it, or in an ArrayBuffer of its own, which can be handed to another thread. */
  readonly bytes: Uint8Array;
  /** CRC-32 of `bytes`, for the frame header. */
  readonly checksum: number;
  readonly stats: BatchStats;
}

/** A call of zstd costs about 15 us: nothing shorter is worth it. */
const ZSTD_BYTES_MIN = 192;
const ZSTD_GAIN_MAX = 0.97;
const SAME_TABLE_SIZE = 2048;
/** A smaller batch is copied, so that it does not keep megabytes occupied until it has arrived. */
const OUTPUT_BYTES_MIN = 512 * 1024;

export class BatchEncoder {
  readonly #memory: SlotMemory;
  readonly #records = new Uint8Array(BATCH_PAGES_MAX * RECORD_BYTES_MAX);
  #deltas = new Uint8Array(64 * DELTA_BYTES_MAX);
  #packed = new Uint8Array(64 * PAGE_SIZE_BYTES);
  readonly #rawSlots = new Int32Array(BATCH_PAGES_MAX);
  /** Record + 1 of the last whole page with this fingerprint, valid for this batch only. */
  readonly #sameRecords = new Uint16Array(SAME_TABLE_SIZE);
  readonly #samePrints = new Uint32Array(SAME_TABLE_SIZE);
  #recordsEnd = 0;
  #deltasEnd = 0;
  #packedEnd = 0;
  #rawCount = 0;
  #pageNext = 0;
  #zeroPages = 0;
  #deltaPages = 0;
  #samePages = 0;

  constructor(memory: SlotMemory) {
    this.#memory = memory;
  }

  /** `output`: BATCH_BYTES_MAX for the result; a small one does not use it. */
  encode(request: BatchRequest, output: SharedArrayBuffer | null = null): EncodedBatch {
    const count = request.pages.length;
    assert(count > 0 && count <= BATCH_PAGES_MAX, 'a batch has 1 to 1,024 pages');
    assert(
      request.slots.length === count && request.referenceSlots.length === count,
      'slots and references belong to pages',
    );
    this.#begin();
    for (let index = 0; index < count; index++) this.#page(request, index);
    return this.#finish(count, request.pack, output);
  }

  #begin(): void {
    this.#recordsEnd = 0;
    this.#deltasEnd = 0;
    this.#packedEnd = 0;
    this.#rawCount = 0;
    this.#pageNext = 0;
    this.#zeroPages = 0;
    this.#deltaPages = 0;
    this.#samePages = 0;
    this.#sameRecords.fill(0);
  }

  #page(request: BatchRequest, index: number): void {
    const page = request.pages[index]!;
    const slot = request.slots[index]!;
    if (slot === NO_SLOT) {
      this.#zeroPages++;
      this.#record(KIND.ZERO, page);
      return;
    }
    const { words } = this.#memory.of(slot);
    const word = this.#memory.offset(slot) / 4;
    if (isZero(words, word)) {
      this.#zeroPages++;
      this.#record(KIND.ZERO, page);
      return;
    }
    const referenceSlot = request.referenceSlots[index]!;
    if (referenceSlot !== NO_SLOT) {
      const deltaBytes = this.#delta(slot, referenceSlot);
      if (deltaBytes >= 0) {
        this.#deltaPages++;
        this.#record(KIND.DELTA, page);
        this.#varint(deltaBytes);
        return;
      }
    }
    this.#wholePage(request, index, page, slot);
  }

  /**
   * Appends the delta and returns its length, or -1 (and nothing appended) where the page itself is cheaper.
   */
  #delta(slot: number, referenceSlot: number): number {
    const at = this.#deltasEnd;
    if (at + DELTA_BYTES_MAX > this.#deltas.length) this.#deltas = larger(this.#deltas);
    const end = encodeDelta(
      this.#memory.of(slot),
      this.#memory.offset(slot) / 4,
      this.#memory.of(referenceSlot),
      this.#memory.offset(referenceSlot) / 4,
      this.#deltas,
      at,
    );
    if (end < 0) return -1;
    this.#deltasEnd = end;
    return end - at;
  }

  #wholePage(request: BatchRequest, index: number, page: number, slot: number): void {
    const chunk = this.#memory.of(slot);
    const offset = this.#memory.offset(slot);
    const distance = this.#findSame(request, index, chunk, offset);
    if (distance > 0) {
      this.#samePages++;
      this.#record(KIND.SAME, page);
      this.#varint(distance);
    } else if (!request.pack || looksRandom(chunk.words, offset / 4)) {
      this.#rawSlots[this.#rawCount++] = slot;
      this.#record(KIND.RAW, page);
    } else {
      if (this.#packedEnd + PAGE_SIZE_BYTES > this.#packed.length) this.#packed = larger(this.#packed);
      this.#packed.set(chunk.bytes.subarray(offset, offset + PAGE_SIZE_BYTES), this.#packedEnd);
      this.#packedEnd += PAGE_SIZE_BYTES;
      this.#record(KIND.PACKED, page);
    }
  }

  /** How many records before this one a whole page of equal content stands; 0: none known. */
  #findSame(
    request: BatchRequest,
    index: number,
    chunk: { readonly words: Uint32Array; readonly longs: BigInt64Array },
    offset: number,
  ): number {
    const print = fingerprint(chunk.words, offset / 4);
    const cell = print % SAME_TABLE_SIZE;
    const known = this.#sameRecords[cell]! - 1;
    if (known >= 0 && this.#samePrints[cell] === print) {
      const other = request.slots[known]!;
      if (isEqual(chunk.longs, offset / 8, this.#memory.of(other).longs, this.#memory.offset(other) / 8)) {
        return index - known;
      }
    }
    this.#sameRecords[cell] = index + 1;
    this.#samePrints[cell] = print;
    return 0;
  }

  #record(kind: number, page: number): void {
    this.#records[this.#recordsEnd++] = kind;
    const step = page - this.#pageNext;
    this.#varint(step >= 0 ? step * 2 : -step * 2 - 1);
    this.#pageNext = page + 1;
  }

  #varint(value: number): void {
    let left = value;
    while (left >= 128) {
      this.#records[this.#recordsEnd++] = 0x80 | (left % 128);
      left = Math.floor(left / 128);
    }
    this.#records[this.#recordsEnd++] = left;
  }

  #finish(count: number, pack: boolean, output: SharedArrayBuffer | null): EncodedBatch {
    const records = pack ? squeeze(this.#records, this.#recordsEnd) : null;
    const deltas = pack ? squeeze(this.#deltas, this.#deltasEnd) : null;
    const packed = squeeze(this.#packed, this.#packedEnd);
    const recordsStored = records?.length ?? this.#recordsEnd;
    const deltasStored = deltas?.length ?? this.#deltasEnd;
    const packedStored = packed?.length ?? this.#packedEnd;
    const rawBytes = this.#rawCount * PAGE_SIZE_BYTES;
    const sizeBytes =
      BATCH_HEADER_BYTES + 4 * SEGMENT_HEADER_BYTES + recordsStored + deltasStored + packedStored + rawBytes;
    const bytes =
      output !== null && sizeBytes >= OUTPUT_BYTES_MIN
        ? new Uint8Array(output, 0, sizeBytes)
        : new Uint8Array(Buffer.allocUnsafeSlow(sizeBytes).buffer);
    bytes[0] = BATCH_FORMAT;
    bytes[1] = 0;
    bytes[2] = count >>> 8;
    bytes[3] = count & 0xff;
    let at = putSegment(bytes, BATCH_HEADER_BYTES, this.#records, this.#recordsEnd, records);
    at = putSegment(bytes, at, this.#deltas, this.#deltasEnd, deltas);
    at = putSegment(bytes, at, this.#packed, this.#packedEnd, packed);
    at = putSegmentHeader(bytes, at, CODING_STORED, rawBytes, rawBytes);
    for (let index = 0; index < this.#rawCount; index++) {
      const slot = this.#rawSlots[index]!;
      const offset = this.#memory.offset(slot);
      bytes.set(this.#memory.of(slot).bytes.subarray(offset, offset + PAGE_SIZE_BYTES), at);
      at += PAGE_SIZE_BYTES;
    }
    return {
      bytes,
      checksum: crc32(bytes),
      stats: {
        zeroPages: this.#zeroPages,
        rawPages: this.#rawCount,
        packedPages: this.#packedEnd / PAGE_SIZE_BYTES,
        deltaPages: this.#deltaPages,
        samePages: this.#samePages,
        deltaBytes: this.#deltasEnd,
        packedStoredBytes: packedStored,
      },
    };
  }
}

function larger(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const grown = new Uint8Array(bytes.length * 2);
  grown.set(bytes);
  return grown;
}

/** zstd of `bytes[0, end)`, or null where storing is as good. */
function squeeze(bytes: Uint8Array, end: number): Uint8Array | null {
  if (end < ZSTD_BYTES_MIN) return null;
  const squeezed = zstdCompressSync(bytes.subarray(0, end), {
    params: { [constants.ZSTD_c_compressionLevel]: 1 },
    // One output buffer of the right size instead of a chain of small ones.
    chunkSize: end + (end >>> 8) + 64,
  });
  return squeezed.length < end * ZSTD_GAIN_MAX ? squeezed : null;
}

function putSegmentHeader(
  out: Uint8Array,
  at: number,
  coding: number,
  plain: number,
  stored: number,
): number {
  out[at] = coding;
  out[at + 1] = plain >>> 16;
  out[at + 2] = plain >>> 8;
  out[at + 3] = plain;
  out[at + 4] = stored >>> 16;
  out[at + 5] = stored >>> 8;
  out[at + 6] = stored;
  return at + SEGMENT_HEADER_BYTES;
}

function putSegment(
  out: Uint8Array,
  at: number,
  plain: Uint8Array,
  plainBytes: number,
  squeezed: Uint8Array | null,
): number {
  const stored = squeezed ?? plain.subarray(0, plainBytes);
  const coding = squeezed === null ? CODING_STORED : CODING_ZSTD;
  const dataAt = putSegmentHeader(out, at, coding, plainBytes, stored.length);
  out.set(stored, dataAt);
  return dataAt + stored.length;
}
