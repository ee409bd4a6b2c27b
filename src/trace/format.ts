/** Constants and header of the trace format (docs/format/trace.md). */

import { PAGE_COUNT_MAX, PAGE_SIZE_BYTES } from '../vm/index.ts';

export const MAGIC = 'GWTRACE1';
export const HEADER_BYTES_MAX = 64 * 1024;
export const PAYLOAD_BYTES_MAX = 1024 * 1024;
const ABOUT_LENGTH_MAX = 1024;
export const CHECK_BYTES = 4;

export const RECORD_SET = 1;
export const RECORD_MORE = 2;
export const RECORD_END = 3;
export const RECORD_OPTIONAL_MIN = 128;
export const RECORD_CONTENT = 128;
export const RECORD_COST = 129;

export interface TraceHeader {
  readonly pageCount: number;
  readonly pageSizeBytes: number;
  readonly about: string;
  readonly source: 'recorded' | 'synthetic';
}

/** null: section 2 is broken. */
export function headerOf(value: unknown): TraceHeader | null {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return null;
  const { pageCount, pageSizeBytes, about, source } = value as Readonly<Record<string, unknown>>;
  if (typeof pageCount !== 'number' || !Number.isInteger(pageCount)) return null;
  if (pageCount < 1 || pageCount > PAGE_COUNT_MAX || pageSizeBytes !== PAGE_SIZE_BYTES) return null;
  if (typeof about !== 'string' || about.length > ABOUT_LENGTH_MAX) return null;
  if (source !== 'recorded' && source !== 'synthetic') return null;
  return { pageCount, pageSizeBytes, about, source };
}
