/**
 * What pages cost on the link, by arrangement and by what the destination already has. Not responsible for
 * what is sent.
 */

import type { PageCost } from '../trace/index.ts';
import { type Arrangement, PAGE_SIZE_BYTES, ZERO_PAGE_BYTES } from '../vm/index.ts';

/** QEMU's be64 record header; a page record of a batch is about as long. */
const HEADER_BYTES = 8;

export interface Coding {
  readonly zeroBytes: number;
  readonly wholeBytes: number;
  /** Of a page whose older copy both ends keep. */
  readonly againBytes: number;
}

const RAW_PAGE_BYTES = PAGE_SIZE_BYTES + HEADER_BYTES;
/** What XBZRLE has before the changed bytes, beyond a page's header. */
const DELTA_HEADER_BYTES = HEADER_BYTES + 3;
/** A delta in QEMU's stream is no longer: src/pages/codec/format.ts. */
const DELTA_BYTES_MAX = PAGE_SIZE_BYTES / 2;

/** `packs`: whole pages are packed; the chooser sends them raw where packing is slower than the link. */
export function codingOf(cost: PageCost, arrangement: Arrangement, delta: boolean, packs: boolean): Coding {
  if (arrangement === 'single') {
    const againBytes = delta ? unpackedDeltaBytes(cost) : RAW_PAGE_BYTES;
    return { zeroBytes: ZERO_PAGE_BYTES, wholeBytes: RAW_PAGE_BYTES, againBytes };
  }
  const wholeBytes = (packs ? cost.packedBytes : PAGE_SIZE_BYTES) + HEADER_BYTES;
  const againBytes = delta ? Math.min(cost.deltaBytes + HEADER_BYTES, wholeBytes) : wholeBytes;
  return { zeroBytes: ZERO_PAGE_BYTES, wholeBytes, againBytes };
}

/** What changed is taken to pack as well as the page does, and goes unpacked where nobody unpacks it. */
function unpackedDeltaBytes({ packedBytes, deltaBytes }: PageCost): number {
  const changedBytes = Math.min(PAGE_SIZE_BYTES, deltaBytes * (PAGE_SIZE_BYTES / packedBytes));
  return changedBytes > DELTA_BYTES_MAX ? RAW_PAGE_BYTES : changedBytes + DELTA_HEADER_BYTES;
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
