/**
 * How long the VM would be down if it were stopped now. Not responsible for deciding whether that is good
 * enough.
 */

import { backlogBytes, bytesPerPage, dirtiedMost, pagesAtSource } from '../strategy/index.ts';
import type { IterationStats, Snapshot } from '../vm/index.ts';
import { hurryMsMax } from './hurry.ts';
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
  const uncountedWithin = (ms: number) => uncountedPages(snapshot, history, passes, ms / 1000);
  const uncountedPagesNow = uncountedWithin((snapshot.sinceSyncMs ?? 0) + STOP_LATENCY_MS);
  const burstPages = pagesAtSource(snapshot, pageCount, history) + uncountedPagesNow * newShare;
  const burstBytes = burstPages * pageBytes;
  const bytes = backlogBytes(snapshot) + (snapshot.underWayBytes ?? 0) + burstBytes;
  if (linkBytesPerSecond === null || linkBytesPerSecond <= 0) return { downtimeMs: null, bytes, burstBytes };
  const { queuedPages, heldPages, heldBytes } = snapshot.backlog;
  const endsPagesPerSecond = snapshot.slowerEndPagesPerSecond ?? Number.POSITIVE_INFINITY;
  const linkPagesPerSecond = linkBytesPerSecond / pageBytes;
  const restPages = (bytes - heldBytes) / pageBytes;
  // Without the gate QEMU stops the VM by itself, and nothing is hurried before.
  const hurries = snapshot.gateHeld && hurryMsMax(snapshot) > 0;
  const lastPassPages = uncountedWithin(HURRIED_PASS_MS + STOP_LATENCY_MS) * newShare;
  const question = { snapshot, history, newShare, restPages, burstPages, lastPassPages };
  const left = hurries ? afterHurry({ ...question, linkPagesPerSecond, endsPagesPerSecond }) : NOTHING_SENT;
  const known = { snapshot, history, uncountedPagesNow };
  const inVainPages = hurries ? 0 : sentInVain(known, linkPagesPerSecond);
  const leftBytes = left.heldShare * heldBytes + left.restShare * (bytes - heldBytes);
  const linkMs = (leftBytes * 1000) / linkBytesPerSecond + (inVainPages * 1000) / linkPagesPerSecond;
  // Deltas of a few bytes cross any link at once: encoding, applying and loading so many pages takes the time
  // then. Zero pages have a rate of their own.
  const zeroPages = Math.min(queuedPages, snapshot.backlog.zeroPages ?? 0);
  const writtenPages = left.heldShare * heldPages + left.restShare * (queuedPages - zeroPages + burstPages);
  const zeroPagesPerSecond = snapshot.zeroPagesPerSecond ?? endsPagesPerSecond;
  const endsMs = (writtenPages * 1000) / endsPagesPerSecond + (zeroPages * 1000) / zeroPagesPerSecond;
  const insideMs = hurries ? 0 : (insidePages(known) * 1000) / handOverRate(snapshot);
  return { downtimeMs: Math.max(linkMs, endsMs, insideMs) + fixedDowntimeMs, bytes, burstBytes };
}

interface Left {
  /** Of what is held, and of the rest, so much is left when the VM is stopped. */
  readonly heldShare: number;
  readonly restShare: number;
}

const NOTHING_SENT: Left = { heldShare: 1, restShare: 1 };

interface HurriedStop {
  readonly snapshot: Snapshot;
  readonly history: readonly IterationStats[];
  readonly newShare: number;
  readonly restPages: number;
  readonly burstPages: number;
  /** Dirtied while the last hurried pass is read. */
  readonly lastPassPages: number;
  readonly linkPagesPerSecond: number;
  readonly endsPagesPerSecond: number;
}

function afterHurry(stop: HurriedStop): Left {
  const { snapshot, history, newShare, restPages, burstPages, endsPagesPerSecond } = stop;
  // Where both ends tell their rate, `uncountedPages` has said already how much of the burst a hurry leaves.
  const isRateKnown = Number.isFinite(endsPagesPerSecond);
  const sends = hurrySends({
    snapshot,
    history,
    restPages: isRateKnown ? restPages - burstPages : restPages,
    pagesPerSecond: Math.min(stop.linkPagesPerSecond, endsPagesPerSecond),
    newShare,
  });
  const leftPages = restPages - sends.restPages + (isRateKnown ? 0 : stop.lastPassPages);
  return {
    heldShare: 1 - sends.heldShare,
    restShare: restPages > 0 ? Math.min(1, leftPages / restPages) : 1,
  };
}

interface PlainStop {
  readonly snapshot: Snapshot;
  readonly history: readonly IterationStats[];
  readonly uncountedPagesNow: number;
}

function handOverRate(snapshot: Snapshot): number {
  return snapshot.handOverPagesPerSecond ?? Number.POSITIVE_INFINITY;
}

/** QEMU hands over all that is dirty, whether an older copy of it waits already or not. */
function insidePages({ snapshot, uncountedPagesNow }: PlainStop): number {
  return (snapshot.sourceRemainingPages ?? 0) + uncountedPagesNow;
}

/**
 * The rest of the running pass is read and sent before the last sync finds part of it dirty again. What of it
 * waits still is replaced, and what has crossed was sent in vain.
 */
function sentInVain({ snapshot, history, uncountedPagesNow }: PlainStop, linkPagesPerSecond: number): number {
  const restPages = snapshot.sourceRemainingPages ?? 0;
  const writtenPages = dirtiedMost(history);
  if (restPages === 0 || writtenPages === 0) return 0;
  const sentPages = restPages * Math.min(1, linkPagesPerSecond / handOverRate(snapshot));
  return sentPages * Math.min(1, uncountedPagesNow / writtenPages);
}
