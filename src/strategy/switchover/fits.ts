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

/**
 * R <= B x limit with all that is known: the predicted downtime includes fixed costs and pages dirtied since
 * the last sync. null: it does not fit.
 */
export function fitsLimit(outlook: Outlook): Decision | null {
  const predicted = outlook.downtimePredictedMs;
  if (predicted === null || !isKnown(outlook)) return null;
  if (predicted > outlook.limits.downtimeMsMax) return null;
  const text = `${formatBytes(remainingBytes(outlook))} remain: ${formatMs(predicted)} down, within the limit of ${formatMs(outlook.limits.downtimeMsMax)}`;
  const uncountedMs = uncountedMsMax(outlook);
  const mayBeMore = uncountedMs > UNCOUNTED_SHARE * predicted && !isCounted(outlook);
  // Where handing over takes longer than counts as fresh, no sync ever tells; what fits all the same
  // is agreed to.
  const fitsAllTheSame = isLongToHandOver(outlook) && predicted + uncountedMs <= outlook.limits.downtimeMsMax;
  if (mayBeMore && !fitsAllTheSame) {
    return goOn('fits-sync', `${text}, give or take ${formatMs(uncountedMs)}: the next sync tells`);
  }
  return stop('fits-limit', text);
}

/** Before an iteration after the first pass has ended, a fresh sync of which QEMU says what it found. */
function isKnown(outlook: Outlook): boolean {
  const { snapshot, history } = outlook;
  if (history.length >= 2) return true;
  if (!snapshot.firstPassDone || snapshot.sourceRemainingPages == null) return false;
  return isLongToHandOver(outlook) && (snapshot.sinceSyncMs ?? FRESH_MS) < FRESH_MS;
}

function isLongToHandOver({ snapshot, passes, pipeline }: Outlook): boolean {
  const pages = Math.max(snapshot.sourceRemainingPages ?? 0, passes.at(-1)?.pages ?? 0);
  return (pages * 1000) / pipeline.handOverPagesPerSecond > LONG_MS;
}

/**
 * A prediction is kept up to 1.5 x. When more than this share of it is uncounted, a guest that has woken up
 * since the last sync may break it.
 */
const UNCOUNTED_SHARE = 0.33;
/**
 * The guest's busiest of so many iterations counts: one that rests between two phases may be about to wake
 * up.
 */
const BUSIEST_OF = 8;

/**
 * What the guest has written since the last sync if it is at its busiest, or what that sync found if that is
 * more, as time on the link. Part of either may replace copies that wait.
 */
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

/** So soon after a sync nearly all that is dirty is counted, if QEMU has handed over what the sync found. */
const FRESH_MS = 60;
/**
 * Where QEMU does not say what remains: by then it has handed over what the sync found, and little is new
 * yet.
 */
const HANDED_OVER_MS = [40, 120] as const;
/** Ticks are 50 ms apart: what takes longer than half of one may never be seen both fresh and handed over. */
const LONG_MS = 25;
/** When the next sync has not come by then, it is not waited for. */
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
