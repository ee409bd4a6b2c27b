/**
 * How long the VM would be down if it were stopped now. Not responsible for deciding whether that is good
 * enough.
 */

import { backlogBytes, bytesPerPage, pagesAtSource } from '../strategy/index.ts';
import type { IterationStats, Snapshot } from '../vm/index.ts';
import { hurrySends } from './hurry-forecast.ts';
import { newShareOf, type PassesSeen, uncountedPages } from './uncounted.ts';

export interface Prediction {
  /** null while the link rate is unknown. */
  readonly downtimeMs: number | null;
  /** All that would cross the link with the VM stopped. */
  readonly bytes: number;
  /**
   * The part that QEMU would hand over after the stop: dirty pages inside it, and those dirtied since the
   * last sync.
   */
  readonly burstBytes: number;
}

/**
 * Between the decision and QMP `stop` plus the last sync the guest still writes (measured: 2 ms until it is
 * answered, events at once).
 */
const STOP_LATENCY_MS = 10;
/** A hurried pass that finds next to nothing dirty takes this long. */
const HURRIED_PASS_MS = 10;

export function predict(
  snapshot: Snapshot,
  history: readonly IterationStats[],
  pageCount: number,
  linkBytesPerSecond: number | null,
  fixedDowntimeMs: number,
  passes: PassesSeen,
): Prediction {
  const pageBytes = bytesPerPage(snapshot);
  const newShare = newShareOf(snapshot, history, pageCount);
  const uncountedWithin = (ms: number) => uncountedPages(snapshot, history, passes, ms / 1000) * newShare;
  const uncounted = uncountedWithin((snapshot.sinceSyncMs ?? 0) + STOP_LATENCY_MS);
  const burstPages = pagesAtSource(snapshot, pageCount, history) + uncounted;
  const burstBytes = burstPages * pageBytes;
  const bytes = backlogBytes(snapshot) + (snapshot.underWayBytes ?? 0) + burstBytes;
  if (linkBytesPerSecond === null || linkBytesPerSecond <= 0) return { downtimeMs: null, bytes, burstBytes };
  const { queuedPages, heldPages, heldBytes } = snapshot.backlog;
  const endsPagesPerSecond = snapshot.slowerEndPagesPerSecond ?? Number.POSITIVE_INFINITY;
  const restPages = (bytes - heldBytes) / pageBytes;
  // Where both ends tell their rate, `uncountedPages` has said already how much of the burst a hurry leaves.
  const isRateKnown = Number.isFinite(endsPagesPerSecond);
  const sends = hurrySends({
    snapshot,
    history,
    restPages: isRateKnown ? restPages - burstPages : restPages,
    pagesPerSecond: Math.min(linkBytesPerSecond / pageBytes, endsPagesPerSecond),
    newShare,
  });
  const lastPassPages = isRateKnown ? 0 : uncountedWithin(HURRIED_PASS_MS + STOP_LATENCY_MS);
  // Without the gate QEMU stops the VM by itself, and nothing is hurried before.
  const leftPages = snapshot.gateHeld ? restPages - sends.restPages + lastPassPages : restPages;
  const leftShare = restPages > 0 ? Math.min(1, leftPages / restPages) : 1;
  const heldShare = 1 - sends.heldShare;
  const linkMs = ((heldShare * heldBytes + leftShare * (bytes - heldBytes)) * 1000) / linkBytesPerSecond;
  // Deltas of a few bytes cross any link at once: encoding, applying and loading so many pages takes the time
  // then.
  const endsMs =
    ((heldShare * heldPages + leftShare * (queuedPages + burstPages)) * 1000) / endsPagesPerSecond;
  return { downtimeMs: Math.max(linkMs, endsMs) + fixedDowntimeMs, bytes, burstBytes };
}
