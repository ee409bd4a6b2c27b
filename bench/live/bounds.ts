/**
 * What nobody can beat in a live benchmark's row, with compression and deltas allowed. Where page bodies are
 * random and pages are rewritten whole it is the lab's bound; else pages are counted as what the product's
 * codec makes of them at best.
 */

import { constants, zstdCompressSync } from 'node:zlib';
import {
  boundsOf,
  expectedPage,
  GUEST_DEFAULTS,
  pageContentOf,
  type RunRecord,
} from '../../src/lab/index.ts';
import { PAGE_SIZE_BYTES } from '../../src/vm/index.ts';
import type { Course } from './contestants.ts';

export interface RowBounds {
  readonly transferredBytes: number;
  readonly totalMs: number;
  /** Null where a write changes more of a page than a word and less than all of it. */
  readonly downtimeMs: number | null;
  /** What the figures are made of. */
  readonly note: string;
}

const SAMPLE_PAGES = 256;
/** The guest's header of a page: write counter and tag. */
const CHANGED_WORD_BYTES = 8;
/** The guest's own default. */
const ZIPF_EXPONENT = GUEST_DEFAULTS.zipfExponent;

/** `cleanDowntimeMs`: what stopping costs plain QEMU with nothing left to send, measured in the same run. */
export function rowBounds(course: Course, record: RunRecord, cleanDowntimeMs: number): RowBounds {
  const { linkBytesPerSecond, guest } = course;
  const hotPages = Math.floor((guest.hotBytes ?? 0) / PAGE_SIZE_BYTES);
  const filledPages = Math.floor((guest.fillBytes ?? course.memoryBytes) / PAGE_SIZE_BYTES);
  const { workload, body } = pageContentOf({ body: null, ...guest });
  const linkMs = (bytes: number) => (bytes * 1000) / linkBytesPerSecond;
  const transferredBytes = filledPages * wholePageBytes(course);
  if (workload === 'uniform' || workload === 'zipf') {
    const known = boundsOf(
      { workload, body, filledPages, hotPages, zipfExponent: guest.zipfExponent ?? ZIPF_EXPONENT },
      record.writtenBytesPerSecond ?? 0,
      linkBytesPerSecond,
    );
    return {
      transferredBytes,
      totalMs: linkMs(transferredBytes),
      downtimeMs: known.downtimeMs,
      note: 'each filled page once; stale when stopped: the hot pages that the link cannot refresh as fast as they are rewritten',
    };
  }
  return {
    transferredBytes,
    totalMs: linkMs(transferredBytes),
    downtimeMs: workload === 'stress' ? linkMs(hotPages * CHANGED_WORD_BYTES) + cleanDowntimeMs : null,
    note:
      `each filled page once, ${wholePageBytes(course).toFixed(0)} bytes compressed` +
      (workload === 'stress'
        ? '; the changed word of each hot page, and what plain QEMU stands still with nothing to send'
        : ''),
  };
}

/** The guest's own pages in one piece at zstd's level 1; never more than a page. */
function wholePageBytes({ guest }: Course): number {
  const content = pageContentOf({ body: null, ...guest });
  const pages = Array.from({ length: SAMPLE_PAGES }, (_, index) =>
    Buffer.from(expectedPage(content, index, 1).buffer),
  );
  const options = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
  return Math.min(PAGE_SIZE_BYTES, zstdCompressSync(Buffer.concat(pages), options).length / SAMPLE_PAGES);
}
