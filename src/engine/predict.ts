/** How long the VM would be down if it were stopped now. Not responsible for deciding whether that is good enough. */

import {
  backlogBytes,
  bytesPerPage,
  dirtiedMost,
  pagesAtSource,
  rewrittenWaiting,
} from '../strategy/index.ts';
import type { IterationStats, Snapshot } from '../vm/index.ts';

export interface Prediction {
  /** null while the link rate is unknown. */
  readonly downtimeMs: number | null;
  /** All that would cross the link with the VM stopped. */
  readonly bytes: number;
  /** The part QEMU would hand over after the stop: dirty pages inside it, and those dirtied since the last sync. */
  readonly burstBytes: number;
}

/** QMP `stop` and the last sync take a moment in which the guest still writes (2 ms answered, events prompt; measured). */
const STOP_LATENCY_MS = 10;

/**
 * Pages a second that newly enter the backlog: what was sent and came back, not what was waiting anyway. In an absorbed hot set nearly every
 * dirtied page replaces a copy that already waits and adds nothing. null before an iteration after the first pass has ended.
 */
export function arrivalPagesPerSecond(history: readonly IterationStats[]): number | null {
  const last = history.at(-1);
  const before = history.at(-2);
  if (last === undefined || before === undefined || last.index === 0 || last.durationMs <= 0) return null;
  const waiting = (stats: IterationStats) => stats.backlog.queuedPages + stats.backlog.heldPages;
  const arrived = waiting(last) - waiting(before) + last.sentPages;
  return (Math.max(0, arrived) * 1000) / last.durationMs;
}

export function predict(
  snapshot: Snapshot,
  history: readonly IterationStats[],
  pageCount: number,
  linkBytesPerSecond: number | null,
  fixedDowntimeMs: number,
): Prediction {
  const pageBytes = bytesPerPage(snapshot);
  const arrival = arrivalPagesPerSecond(history) ?? 0;
  // No more can be new than the guest is known to write and does not wait already: a hot set that waits is not dirtied anew, and a QEMU
  // that stalls must not make the forecast grow for ever.
  const most = Math.max(0, dirtiedMost(history) - rewrittenWaiting(snapshot, pageCount));
  const unknown = Math.min((arrival * ((snapshot.sinceSyncMs ?? 0) + STOP_LATENCY_MS)) / 1000, most);
  const burstBytes = (pagesAtSource(snapshot, pageCount, history) + unknown) * pageBytes;
  const bytes = backlogBytes(snapshot) + (snapshot.underWayBytes ?? 0) + burstBytes;
  const known = linkBytesPerSecond !== null && linkBytesPerSecond > 0;
  return {
    downtimeMs: known ? (bytes * 1000) / linkBytesPerSecond + fixedDowntimeMs : null,
    bytes,
    burstBytes,
  };
}
