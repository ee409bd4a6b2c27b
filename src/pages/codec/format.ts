/** The batch format's constants and errors (docs/format/link.md, 6). */

import { GodwitError } from '../../base/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';

export const BATCH_FORMAT = 1;
export const BATCH_HEADER_BYTES = 4;
export const SEGMENT_HEADER_BYTES = 7;
export const BATCH_PAGES_MAX = 1024;

export const KIND = { ZERO: 0, RAW: 1, PACKED: 2, DELTA: 3, SAME: 4 } as const;

export const CODING_STORED = 0;
export const CODING_ZSTD = 1;

/** Kind, five bytes of page, two of length, rounded up. */
export const RECORD_BYTES_MAX = 12;
/** Half a page: a page of which more has changed is packed as well as a whole one. */
export const DELTA_BYTES_MAX = 2048;
/** No batch is longer: each page is at most its record and all of its bytes. */
export const BATCH_BYTES_MAX =
  BATCH_HEADER_BYTES + 4 * SEGMENT_HEADER_BYTES + BATCH_PAGES_MAX * (RECORD_BYTES_MAX + PAGE_SIZE_BYTES);

/** No content (a page of zeros) or no reference. */
export const NO_SLOT = -1;

export const PAGE_WORDS = PAGE_SIZE_BYTES / 4;

export type CodecErrorCode =
  | 'CODEC_FORMAT'
  /** A count or length above its cap. */
  | 'CODEC_LIMIT'
  | 'CODEC_TRUNCATED'
  | 'CODEC_TRAILING'
  | 'CODEC_ZSTD'
  | 'CODEC_RECORD'
  | 'CODEC_PAGE'
  | 'CODEC_DELTA';

export function codecError(
  code: CodecErrorCode,
  message: string,
  fields: Record<string, string | number | boolean | null> = {},
): GodwitError {
  return new GodwitError(code, `page batch: ${message}`, { fields });
}
