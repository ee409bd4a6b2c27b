/**
 * RAM blocks and page addresses. A page is named by one global index over all blocks, in the stream's block
 * order.
 */

import { GodwitError } from '../base/index.ts';

/** The target page of every machine we move (x86); a stream with another size is passed through. */
export const PAGE_SIZE_BYTES = 4096;
/** A page of zeros on the link: its address, and a byte that says so. */
export const ZERO_PAGE_BYTES = 9;

/** 16 TiB of guest RAM: page indexes stay below 2^32 and every array below has a bound. */
export const PAGE_COUNT_MAX = 2 ** 32;

export interface RamBlock {
  readonly id: string;
  readonly sizeBytes: number;
  /** Global index of the block's first page. */
  readonly firstPage: number;
  readonly pageCount: number;
}

export interface RamLayout {
  readonly blocks: readonly RamBlock[];
  readonly pageCount: number;
  readonly sizeBytes: number;
}

/**
 * Lays the blocks one after the other. Errors: RAM_LAYOUT for a size that is no whole number of pages, a
 * repeated id, or too much RAM.
 */
export function makeRamLayout(blocks: readonly { id: string; sizeBytes: number }[]): RamLayout {
  const ids = new Set<string>();
  const laid: RamBlock[] = [];
  let firstPage = 0;
  for (const { id, sizeBytes } of blocks) {
    const pageCount = sizeBytes / PAGE_SIZE_BYTES;
    if (
      !Number.isInteger(pageCount) ||
      pageCount < 0 ||
      ids.has(id) ||
      firstPage + pageCount > PAGE_COUNT_MAX
    ) {
      throw new GodwitError('RAM_LAYOUT', `RAM block "${id}" of ${sizeBytes} bytes cannot be laid out`, {
        fields: { block: id, sizeBytes },
      });
    }
    ids.add(id);
    laid.push({ id, sizeBytes, firstPage, pageCount });
    firstPage += pageCount;
  }
  return { blocks: laid, pageCount: firstPage, sizeBytes: firstPage * PAGE_SIZE_BYTES };
}
