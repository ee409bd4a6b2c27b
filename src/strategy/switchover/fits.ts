/** The oldest rule: stop when what remains fits the allowed downtime. */

import type { Decision, Outlook } from '../../vm/index.ts';
import { goOn, stop } from '../common.ts';
import {
  bytesPerPage,
  dirtiedWithin,
  formatBytes,
  formatMs,
  formatRate,
  measured,
  rateText,
  remainingBytes,
} from '../measures.ts';

/**
 * QEMU's own test, R < B x limit: device state and round trips are not in it, as they are not in QEMU's.
 * Source: QEMU migration.c, migration_iteration_run and migration_update_counters.
 */
export function fitsBandwidth(outlook: Outlook, downtimeMs: number): Decision {
  const link = outlook.linkBytesPerSecond;
  const remaining = remainingBytes(outlook);
  if (link === null) return goOn('fits', `${formatBytes(remaining)} remain; the link rate is not known yet`);
  const threshold = (link * downtimeMs) / 1000;
  const numbers = `${formatBytes(threshold)} (${formatRate(link)} x ${formatMs(downtimeMs)})`;
  if (remaining < threshold) return stop('fits', `${formatBytes(remaining)} remain, below ${numbers}`);
  return goOn('fits', `${formatBytes(remaining)} remain, above ${numbers}; ${rateText(outlook)}`);
}

/** R <= B x limit with everything we know: predicted downtime includes fixed cost and pages dirtied since the last sync. null: does not fit. */
export function fitsLimit(outlook: Outlook): Decision | null {
  const predicted = outlook.downtimePredictedMs;
  // One iteration after the first pass must be known, else "nothing dirty" only means "not asked yet".
  if (predicted === null || outlook.history.length < 2) return null;
  if (predicted > outlook.limits.downtimeMsMax) return null;
  const text = `${formatBytes(remainingBytes(outlook))} remain: ${formatMs(predicted)} down, within the limit of ${formatMs(outlook.limits.downtimeMsMax)}`;
  const uncountedMs = uncountedMsMax(outlook);
  if (uncountedMs > UNCOUNTED_SHARE * predicted && !isCounted(outlook)) {
    return goOn('fits-sync', `${text}, give or take ${formatMs(uncountedMs)}: the next sync tells`);
  }
  return stop('fits-limit', text);
}

/** A promise is kept within 1.5 x; beyond this share, a guest that falls quiet or wakes up since the last sync breaks it. */
const UNCOUNTED_SHARE = 0.33;
/** Looked back for the guest's busiest, so that one between two phases is not taken at its word. */
const BUSIEST_OF = 8;

/** What the guest writes since the last sync at its busiest, and what that sync found: part of it replaces copies that wait. As time on the link. */
function uncountedMsMax(outlook: Outlook): number {
  const { snapshot, history, linkBytesPerSecond: link } = outlook;
  if (link === null || snapshot.sinceSyncMs === null) return 0;
  const seconds = snapshot.sinceSyncMs / 1000;
  const pages = measured(history)
    .slice(-BUSIEST_OF)
    .reduce(
      (most, stats) => Math.max(most, dirtiedWithin(stats, seconds)),
      snapshot.sourceRemainingPages ?? 0,
    );
  return (pages * bytesPerPage(snapshot) * 1000) / link;
}

/** With a sync this fresh nearly all is counted; without word from QEMU only once it has handed over what that sync found. */
const FRESH_MS = 60;
const HANDED_OVER_MS = [40, 120] as const;
/** A sync that is late is not waited for. */
const LATE_MS = 400;
const MEMORY_FULL = 0.98;

function isCounted({ snapshot }: Outlook): boolean {
  const sinceMs = snapshot.sinceSyncMs ?? 0;
  const isKnown = snapshot.sourceRemainingPages !== undefined && snapshot.sourceRemainingPages !== null;
  // A QEMU that is kept waiting for memory hands nothing over.
  if (sinceMs > LATE_MS || snapshot.memoryBytes >= MEMORY_FULL * snapshot.memoryBytesMax) return true;
  if (isKnown) return sinceMs <= FRESH_MS && snapshot.sourceRemainingPages === 0;
  return sinceMs >= HANDED_OVER_MS[0] && sinceMs <= HANDED_OVER_MS[1];
}
