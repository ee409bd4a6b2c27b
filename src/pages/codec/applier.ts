/**
 * One lane's batches, applied in order: records to page contents, and the references that later deltas need.
 * Not responsible for where pages go (the sink), nor for the order of batches (the link).
 */

import { freeMemory } from '../../base/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { type UnpackedBatch, unpackBatch } from './decoder.ts';
import { applyDelta } from './delta.ts';
import { codecError, DELTA_BYTES_MAX, KEEP, KIND, KIND_MASK } from './format.ts';
import { ReferenceCopies } from './references.ts';

export interface PageSink {
  /** `source[offset, offset + 4096)` is the page; valid during the call only. */
  page(pageIndex: number, source: Buffer, offset: number): void;
  zero(pageIndex: number): void;
}

export interface ApplierOptions {
  /** Pages of the RAM layout; an index at or above is refused. */
  readonly pageCount: number;
  /** This lane's share of what HELLO offered. */
  readonly referencePagesMax: number;
  readonly sink: PageSink;
  /** True where `pageIndex` belongs to this applier's lane. */
  readonly owns?: (pageIndex: number) => boolean;
}

export class BatchApplier {
  readonly #options: ApplierOptions;
  readonly #references: ReferenceCopies;
  readonly #scratch = Buffer.alloc(PAGE_SIZE_BYTES);
  /** Where the whole page of each record of this batch lies: its offset, negative - 1 for packed; NaN: not a whole page. */
  readonly #whole = new Float64Array(1024);

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#references = new ReferenceCopies(options.referencePagesMax);
  }

  get referenceCount(): number {
    return this.#references.count;
  }

  get memoryBytes(): number {
    return this.#references.memoryBytes;
  }

  /** The pages of a DROP message. A page without a reference is no error: it may have become zero meanwhile. */
  drop(pages: Uint32Array): void {
    for (const pageIndex of pages) this.#references.drop(pageIndex);
  }

  /** Unpacks and applies one batch; returns its number of pages. Errors: CODEC_*. */
  apply(batch: Uint8Array): number {
    const unpacked = unpackBatch(batch);
    const count = this.applyUnpacked(unpacked);
    // What was not packed lies in the batch itself, which is its owner's.
    for (const part of [unpacked.packed, unpacked.deltas]) if (part.buffer !== batch.buffer) freeMemory(part);
    return count;
  }

  /** Of a batch that a worker has unpacked. An error may leave earlier records applied: the link ends then. */
  applyUnpacked(batch: UnpackedBatch): number {
    const walk: Walk = {
      records: batch.records,
      deltas: batch.deltas,
      packed: asBuffer(batch.packed),
      raw: asBuffer(batch.raw),
      at: 0,
      deltasAt: 0,
      packedAt: 0,
      rawAt: 0,
      pageNext: 0,
    };
    for (let record = 0; record < batch.recordCount; record++) this.#record(walk, record);
    if (
      walk.at !== walk.records.length ||
      walk.deltasAt !== walk.deltas.length ||
      walk.packedAt !== walk.packed.length ||
      walk.rawAt !== walk.raw.length
    ) {
      throw codecError('CODEC_TRAILING', 'the records do not use up the segments');
    }
    return batch.recordCount;
  }

  #record(walk: Walk, record: number): void {
    const kindByte = walk.at < walk.records.length ? walk.records[walk.at++]! : -1;
    if (kindByte < 0 || (kindByte & ~(KIND_MASK | KEEP)) !== 0) {
      throw codecError('CODEC_RECORD', `record ${record} of kind ${kindByte}`, { record });
    }
    const pageIndex = this.#pageIndex(walk);
    const keep = (kindByte & KEEP) !== 0;
    this.#whole[record] = Number.NaN;
    switch (kindByte & KIND_MASK) {
      case KIND.ZERO:
        this.#zero(pageIndex, keep);
        return;
      case KIND.RAW:
        walk.rawAt = this.#next(walk.raw, walk.rawAt);
        this.#whole[record] = walk.rawAt - PAGE_SIZE_BYTES;
        this.#emit(pageIndex, walk.raw, walk.rawAt - PAGE_SIZE_BYTES, keep);
        return;
      case KIND.PACKED:
        walk.packedAt = this.#next(walk.packed, walk.packedAt);
        this.#whole[record] = -(walk.packedAt - PAGE_SIZE_BYTES) - 1;
        this.#emit(pageIndex, walk.packed, walk.packedAt - PAGE_SIZE_BYTES, keep);
        return;
      case KIND.DELTA:
        this.#delta(walk, pageIndex, keep);
        return;
      case KIND.SAME:
        this.#same(walk, record, pageIndex, keep);
        return;
      default:
        throw codecError('CODEC_RECORD', `record ${record} of kind ${kindByte}`, { record });
    }
  }

  #pageIndex(walk: Walk): number {
    const zigzag = varint(walk);
    const step = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    const pageIndex = walk.pageNext + step;
    const { pageCount, owns } = this.#options;
    if (pageIndex < 0 || pageIndex >= pageCount || owns?.(pageIndex) === false) {
      throw codecError('CODEC_PAGE', `page ${pageIndex} is not of this RAM or not of this lane`, {
        pageIndex,
        pageCount,
      });
    }
    walk.pageNext = pageIndex + 1;
    return pageIndex;
  }

  #next(segment: Uint8Array, at: number): number {
    if (at + PAGE_SIZE_BYTES > segment.length) throw codecError('CODEC_TRUNCATED', 'a page');
    return at + PAGE_SIZE_BYTES;
  }

  #emit(pageIndex: number, source: Buffer, offset: number, keep: boolean): void {
    if (keep) {
      const slot = this.#references.slotFor(pageIndex);
      source.copy(
        this.#references.chunk(slot),
        this.#references.offset(slot),
        offset,
        offset + PAGE_SIZE_BYTES,
      );
    } else {
      this.#references.drop(pageIndex);
    }
    this.#options.sink.page(pageIndex, source, offset);
  }

  #zero(pageIndex: number, keep: boolean): void {
    if (keep) {
      const slot = this.#references.slotFor(pageIndex);
      const at = this.#references.offset(slot);
      this.#references.chunk(slot).fill(0, at, at + PAGE_SIZE_BYTES);
    } else {
      this.#references.drop(pageIndex);
    }
    this.#options.sink.zero(pageIndex);
  }

  #delta(walk: Walk, pageIndex: number, keep: boolean): void {
    const length = varint(walk);
    const at = walk.deltasAt;
    if (length > DELTA_BYTES_MAX || at + length > walk.deltas.length) {
      throw codecError('CODEC_DELTA', `a delta of ${length} bytes`, { pageIndex });
    }
    walk.deltasAt = at + length;
    const slot = this.#references.slotOf(pageIndex);
    if (slot < 0) throw codecError('CODEC_REFERENCE', `page ${pageIndex} has no reference`, { pageIndex });
    const chunk = this.#references.chunk(slot);
    const offset = this.#references.offset(slot);
    if (keep) {
      applyDelta(walk.deltas, at, at + length, chunk, offset);
      this.#options.sink.page(pageIndex, chunk, offset);
      return;
    }
    chunk.copy(this.#scratch, 0, offset, offset + PAGE_SIZE_BYTES);
    applyDelta(walk.deltas, at, at + length, this.#scratch, 0);
    this.#references.drop(pageIndex);
    this.#options.sink.page(pageIndex, this.#scratch, 0);
  }

  #same(walk: Walk, record: number, pageIndex: number, keep: boolean): void {
    const distance = varint(walk);
    const whole = distance > 0 && distance <= record ? this.#whole[record - distance]! : Number.NaN;
    if (Number.isNaN(whole)) {
      throw codecError('CODEC_RECORD', `record ${record} repeats what is no whole page`, { record });
    }
    if (whole >= 0) this.#emit(pageIndex, walk.raw, whole, keep);
    else this.#emit(pageIndex, walk.packed, -whole - 1, keep);
  }
}

interface Walk {
  readonly records: Uint8Array;
  readonly deltas: Uint8Array;
  readonly packed: Buffer;
  readonly raw: Buffer;
  at: number;
  deltasAt: number;
  packedAt: number;
  rawAt: number;
  pageNext: number;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** At most five bytes: a zigzag of two page indexes below 2^32 needs 33 bits. */
function varint(walk: Walk): number {
  let value = 0;
  let scale = 1;
  for (let length = 0; length < 5; length++) {
    if (walk.at >= walk.records.length) throw codecError('CODEC_TRUNCATED', 'a record');
    const byte = walk.records[walk.at++]!;
    value += (byte & 0x7f) * scale;
    if (byte < 128) return value;
    scale *= 128;
  }
  throw codecError('CODEC_RECORD', 'a number of more than five bytes');
}
