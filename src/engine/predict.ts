/** How long the VM would be down if it were stopped now. Not responsible for deciding whether that is good enough. */

import {
  backlogBytes,
  bytesPerPage,
  dirtiedMost,
  dirtiedWithin,
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
 * Pages dirtied since the last sync, which nobody has counted yet, by the rates at which pages are rewritten. Those that wait already are not
 * new: a hot set that waits is not dirtied anew, and a QEMU that stalls must not make the forecast grow for ever.
 */
function unknownPages(
  snapshot: Snapshot,
  history: readonly IterationStats[],
  pageCount: number,
  passesAtIterationStart: number,
): number {
  const last = history.at(-1);
  const most = dirtiedMost(history);
  const seconds = ((snapshot.sinceSyncMs ?? 0) + STOP_LATENCY_MS) / 1000;
  if (last === undefined || last.index === 0 || most === 0) return 0;
  const newShare = Math.max(0, 1 - rewrittenWaiting(snapshot, pageCount) / most);
  // A page cools slowly, a guest may fall quiet at once: no more than the running iteration saw, once it has had a whole pass.
  const hadPass = snapshot.passes > passesAtIterationStart;
  const seen = hadPass ? snapshot.dirtyPages : Math.max(last.dirtyPages, snapshot.dirtyPages);
  const dirty = Math.min(dirtiedWithin(last, seconds), seen);
  return dirty * newShare;
}

export function predict(
  snapshot: Snapshot,
  history: readonly IterationStats[],
  pageCount: number,
  linkBytesPerSecond: number | null,
  fixedDowntimeMs: number,
  passesAtIterationStart: number,
): Prediction {
  const pageBytes = bytesPerPage(snapshot);
  const unknown = unknownPages(snapshot, history, pageCount, passesAtIterationStart);
  const burstBytes = (pagesAtSource(snapshot, pageCount, history) + unknown) * pageBytes;
  const bytes = backlogBytes(snapshot) + (snapshot.underWayBytes ?? 0) + burstBytes;
  const known = linkBytesPerSecond !== null && linkBytesPerSecond > 0;
  return {
    downtimeMs: known ? (bytes * 1000) / linkBytesPerSecond + fixedDowntimeMs : null,
    bytes,
    burstBytes,
  };
}
