/**
 * One lane's batches, applied in order: records to page contents and deltas. Not responsible for where pages
 * go (the sink), nor for the order of batches (the link).
 */

import { freeMemory } from '../../base/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { type UnpackedBatch, unpackBatch } from './decoder.ts';
import { checkDelta } from './delta.ts';
import { BATCH_PAGES_MAX, codecError, DELTA_BYTES_MAX, KIND } from './format.ts';

export interface PageSink {
  /** `source[offset, offset + 4096)` is the page; valid during the call only. */
  page(pageIndex: number, source: Buffer, offset: number): void;
  zero(pageIndex: number): void;
  /**
   * `source[from, to)` is a delta (delta.ts) to what the sink was given last for this page; valid
   * during the call only.
   */
  delta(pageIndex: number, source: Uint8Array, from: number, to: number): void;
}

export interface ApplierOptions {
  /** Pages of the RAM layout; an index at or above is refused. */
  readonly pageCount: number;
  readonly sink: PageSink;
  /** True where `pageIndex` belongs to this applier's lane. */
  readonly owns?: (pageIndex: number) => boolean;
}

export class BatchApplier {
  readonly #options: ApplierOptions;
  /**
   * Where the whole page of each record of this batch lies: its offset, negative - 1 for packed; NaN:
   * not a whole page.
   */
  readonly #whole = new Float64Array(BATCH_PAGES_MAX);

  constructor(options: ApplierOptions) {
    this.#options = options;
  }

  /** Unpacks and applies one batch; returns its number of pages. Errors: CODEC_*. */
  apply(batch: Uint8Array): number {
    const unpacked = unpackBatch(batch);
    const count = this.applyUnpacked(unpacked);
    // What was not packed lies in the batch itself, which is its owner's.
    for (const part of [unpacked.packed, unpacked.deltas]) if (part.buffer !== batch.buffer) freeMemory(part);
    return count;
  }

  /**
   * Of a batch that a worker has unpacked. An error may leave earlier records applied: the link ends then.
   */
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
    const kind = walk.at < walk.records.length ? walk.records[walk.at++]! : -1;
    const pageIndex = this.#pageIndex(walk);
    const { sink } = this.#options;
    this.#whole[record] = Number.NaN;
    switch (kind) {
      case KIND.ZERO:
        sink.zero(pageIndex);
        return;
      case KIND.RAW:
        walk.rawAt = this.#next(walk.raw, walk.rawAt);
        this.#whole[record] = walk.rawAt - PAGE_SIZE_BYTES;
        sink.page(pageIndex, walk.raw, walk.rawAt - PAGE_SIZE_BYTES);
        return;
      case KIND.PACKED:
        walk.packedAt = this.#next(walk.packed, walk.packedAt);
        this.#whole[record] = -(walk.packedAt - PAGE_SIZE_BYTES) - 1;
        sink.page(pageIndex, walk.packed, walk.packedAt - PAGE_SIZE_BYTES);
        return;
      case KIND.DELTA:
        this.#delta(walk, pageIndex);
        return;
      case KIND.SAME:
        this.#same(walk, record, pageIndex);
        return;
      default:
        throw codecError('CODEC_RECORD', `record ${record} of kind ${kind}`, { record });
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

  #delta(walk: Walk, pageIndex: number): void {
    const length = varint(walk);
    const at = walk.deltasAt;
    if (length > DELTA_BYTES_MAX || at + length > walk.deltas.length) {
      throw codecError('CODEC_DELTA', `a delta of ${length} bytes`, { pageIndex });
    }
    walk.deltasAt = at + length;
    checkDelta(walk.deltas, at, at + length);
    this.#options.sink.delta(pageIndex, walk.deltas, at, at + length);
  }

  #same(walk: Walk, record: number, pageIndex: number): void {
    const distance = varint(walk);
    const whole = distance > 0 && distance <= record ? this.#whole[record - distance]! : Number.NaN;
    if (Number.isNaN(whole)) {
      throw codecError('CODEC_RECORD', `record ${record} repeats what is no whole page`, { record });
    }
    if (whole >= 0) this.#options.sink.page(pageIndex, walk.raw, whole);
    else this.#options.sink.page(pageIndex, walk.packed, -whole - 1);
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
