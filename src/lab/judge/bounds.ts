/**
 * What no strategy can beat for a guest whose writes are known. Every filled page crosses the link once; of
 * the pages that the guest writes, only as many can be current at the destination as the link can refresh.
 * Pure. The bounds count whole pages, so a contestant that sends deltas or compresses may go below them. Not
 * responsible for device state or latency.
 */

import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import type { GuestReady } from '../guest/index.ts';

export interface Bounds {
  /** Null where page bodies compress: then pages are no measure of bytes. */
  readonly transferredBytes: number | null;
  readonly totalMigrationTimeMs: number | null;
  /** Null for workloads that write differently from moment to moment. */
  readonly downtimeMs: number | null;
}

export type KnownGuest = Pick<GuestReady, 'workload' | 'body' | 'filledPages' | 'hotPages' | 'zipfExponent'>;

export function boundsOf(
  guest: KnownGuest,
  writtenBytesPerSecond: number,
  linkBytesPerSecond: number,
): Bounds {
  if (guest.body !== 'random') {
    return { transferredBytes: null, totalMigrationTimeMs: null, downtimeMs: null };
  }
  const transferredBytes = guest.filledPages * PAGE_SIZE_BYTES;
  const linkMs = (bytes: number) => (bytes * 1000) / linkBytesPerSecond;
  const stalePages = stalePagesMin(
    guest,
    writtenBytesPerSecond / PAGE_SIZE_BYTES,
    linkBytesPerSecond / PAGE_SIZE_BYTES,
  );
  return {
    transferredBytes,
    totalMigrationTimeMs: linkMs(transferredBytes),
    downtimeMs: stalePages === null ? null : linkMs(stalePages * PAGE_SIZE_BYTES),
  };
}

/**
 * To keep current a page that is rewritten r times a second, the link must send it r times a second. It keeps
 * the coldest pages current, up to the rates that it can carry; all hotter pages are stale whenever the VM
 * stops.
 */
function stalePagesMin(guest: KnownGuest, writesPerSecond: number, sendsPerSecond: number): number | null {
  switch (guest.workload) {
    case 'idle':
      return 0;
    case 'stress':
    case 'uniform':
    case 'sweep':
      if (writesPerSecond <= 0) return 0;
      return guest.hotPages * Math.max(0, 1 - sendsPerSecond / writesPerSecond);
    case 'zipf':
      return staleByZipf(guest.hotPages, guest.zipfExponent, writesPerSecond, sendsPerSecond);
    default:
      return null;
  }
}

/** Rank k of n has the share of x^-s between k and k + 1, as the guest draws it. */
function staleByZipf(
  pages: number,
  exponent: number,
  writesPerSecond: number,
  sendsPerSecond: number,
): number {
  const below = (rank: number) =>
    exponent === 1 ? Math.log(rank) : (rank ** (1 - exponent) - 1) / (1 - exponent);
  const all = below(pages + 1);
  let left = sendsPerSecond;
  for (let rank = pages; rank >= 1; rank--) {
    const rate = (writesPerSecond * (below(rank + 1) - below(rank))) / all;
    if (rate > left) return rank - left / rate;
    left -= rate;
  }
  return 0;
}
