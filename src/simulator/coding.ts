/**
 * What pages cost on the link, by arrangement and by what the destination already has. Not responsible for
 * what is sent.
 */

import { ZERO_PAGE_BYTES } from '../pages/index.ts';
import type { PageCost } from '../trace/index.ts';
import { type Arrangement, PAGE_SIZE_BYTES } from '../vm/index.ts';

/** QEMU's be64 record header; a page record of a batch is about as long. */
const HEADER_BYTES = 8;

export interface Coding {
  readonly zeroBytes: number;
  readonly wholeBytes: number;
  /** Of a page whose older copy both ends keep. */
  readonly againBytes: number;
}

const RAW_PAGE_BYTES = PAGE_SIZE_BYTES + HEADER_BYTES;

/** `packs`: whole pages are packed; the chooser sends them raw where packing is slower than the link. */
export function codingOf(cost: PageCost, arrangement: Arrangement, delta: boolean, packs: boolean): Coding {
  if (arrangement === 'single') {
    return { zeroBytes: ZERO_PAGE_BYTES, wholeBytes: RAW_PAGE_BYTES, againBytes: RAW_PAGE_BYTES };
  }
  const wholeBytes = (packs ? cost.packedBytes : PAGE_SIZE_BYTES) + HEADER_BYTES;
  const againBytes = delta ? Math.min(cost.deltaBytes + HEADER_BYTES, wholeBytes) : wholeBytes;
  return { zeroBytes: ZERO_PAGE_BYTES, wholeBytes, againBytes };
}

/** Pages by what they are to the destination. */
export interface StalePages {
  readonly stalePages: number;
  readonly staleZeroPages: number;
  readonly staleAgainPages: number;
}

export function bytesOfStale(coding: Coding, stale: StalePages): number {
  const { stalePages, staleZeroPages, staleAgainPages } = stale;
  const first = stalePages - staleZeroPages - staleAgainPages;
  return first * coding.wholeBytes + staleZeroPages * coding.zeroBytes + staleAgainPages * coding.againBytes;
}
