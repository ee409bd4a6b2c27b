/**
 * Batches to records (docs/format/link.md, 6). `unpackBatch` checks and decompresses and needs no state, so
 * any worker may do it; `BatchApplier` (applier.ts) walks the result in the lane's order. Hostile-safe: every
 * length has its cap before memory.
 */

import { constants, zstdDecompressSync } from 'node:zlib';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import {
  BATCH_FORMAT,
  BATCH_HEADER_BYTES,
  BATCH_PAGES_MAX,
  CODING_STORED,
  CODING_ZSTD,
  codecError,
  DELTA_BYTES_MAX,
  RECORD_BYTES_MAX,
  SEGMENT_HEADER_BYTES,
} from './format.ts';

export interface UnpackedBatch {
  readonly recordCount: number;
  readonly records: Uint8Array;
  readonly deltas: Uint8Array;
  readonly packed: Uint8Array;
  readonly raw: Uint8Array;
}

interface Segment {
  readonly bytes: Uint8Array;
  readonly end: number;
}

/** Errors: CODEC_FORMAT, CODEC_LIMIT, CODEC_TRUNCATED, CODEC_TRAILING, CODEC_ZSTD. */
export function unpackBatch(batch: Uint8Array): UnpackedBatch {
  if (batch.length < BATCH_HEADER_BYTES) throw codecError('CODEC_TRUNCATED', `${batch.length} bytes`);
  if (batch[0] !== BATCH_FORMAT || batch[1] !== 0) {
    throw codecError('CODEC_FORMAT', `format ${batch[0]}.${batch[1]}`);
  }
  const recordCount = (batch[2]! << 8) | batch[3]!;
  if (recordCount === 0 || recordCount > BATCH_PAGES_MAX) {
    throw codecError('CODEC_LIMIT', `${recordCount} pages`, { recordCount });
  }
  const records = segment(batch, BATCH_HEADER_BYTES, recordCount * RECORD_BYTES_MAX, true);
  const deltas = segment(batch, records.end, recordCount * DELTA_BYTES_MAX, true);
  const packed = segment(batch, deltas.end, recordCount * PAGE_SIZE_BYTES, true);
  const raw = segment(batch, packed.end, recordCount * PAGE_SIZE_BYTES, false);
  if (raw.end !== batch.length) {
    throw codecError('CODEC_TRAILING', `${batch.length - raw.end} bytes after the last segment`);
  }
  return {
    recordCount,
    records: records.bytes,
    deltas: deltas.bytes,
    packed: packed.bytes,
    raw: raw.bytes,
  };
}

function segment(batch: Uint8Array, at: number, plainBytesMax: number, mayPack: boolean): Segment {
  const dataAt = at + SEGMENT_HEADER_BYTES;
  if (dataAt > batch.length) throw codecError('CODEC_TRUNCATED', 'a segment header');
  const coding = batch[at]!;
  const plainBytes = (batch[at + 1]! << 16) | (batch[at + 2]! << 8) | batch[at + 3]!;
  const storedBytes = (batch[at + 4]! << 16) | (batch[at + 5]! << 8) | batch[at + 6]!;
  if (plainBytes > plainBytesMax) {
    throw codecError('CODEC_LIMIT', `a segment of ${plainBytes} bytes`, { plainBytes, plainBytesMax });
  }
  const end = dataAt + storedBytes;
  if (end > batch.length) throw codecError('CODEC_TRUNCATED', 'a segment');
  const stored = batch.subarray(dataAt, end);
  if (coding === CODING_STORED && storedBytes === plainBytes) return { bytes: stored, end };
  if (coding !== CODING_ZSTD || !mayPack) {
    throw codecError('CODEC_FORMAT', `coding ${coding} of ${storedBytes} as ${plainBytes} bytes`);
  }
  return { bytes: decompress(stored, plainBytes), end };
}

/** 4 MiB: no segment is longer than 1,024 deltas of 4,100 bytes, and zstd level 1 looks back 512 KiB. */
const WINDOW_LOG_MAX = 22;

function decompress(stored: Uint8Array, plainBytes: number): Uint8Array {
  const { buffer, engine } = inflate(stored, plainBytes);
  if (buffer.length !== plainBytes || engine.bytesWritten !== stored.length) {
    throw codecError('CODEC_ZSTD', `${buffer.length} bytes instead of ${plainBytes}`, { plainBytes });
  }
  return buffer;
}

/** With `info` Node returns what it consumed, too: without it bytes behind the frame would go unnoticed. */
interface Inflated {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

function inflate(stored: Uint8Array, plainBytes: number): Inflated {
  try {
    return zstdDecompressSync(stored, {
      info: true,
      params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX },
      maxOutputLength: Math.max(1, plainBytes),
      chunkSize: Math.max(64, plainBytes),
    }) as unknown as Inflated;
  } catch (error) {
    throw codecError('CODEC_ZSTD', error instanceof Error ? error.message : 'unreadable');
  }
}
