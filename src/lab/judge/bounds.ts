/**
 * What no strategy can beat for a guest whose writes are known: every filled page crosses the link once, and of the
 * pages that are written only as many can be current at the destination as the link refreshes. Pure.
 * Whole pages: a contestant that sends deltas or compresses may go below. Not responsible for device state or latency.
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
 * A page that is rewritten r times a second costs r sends a second to be kept current: the link keeps the pages
 * whose rates, coldest first, add up to what it carries, and the hotter ones are stale whenever the VM stops.
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
