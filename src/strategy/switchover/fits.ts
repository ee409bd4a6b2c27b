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
  zeroPagesMs,
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
  const zeroMs = zeroPagesMs(outlook);
  if (zeroMs > ZERO_MS_MAX) {
    return goOn(
      'fits-zero',
      `${text}; ${outlook.snapshot.backlog.zeroPages} zero pages go first, in ${formatMs(zeroMs)}`,
    );
  }
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

function isLongToHandOver(outlook: Outlook): boolean {
  const pages = Math.max(insideMax(outlook), outlook.passes.at(-1)?.pages ?? 0);
  return (pages * 1000) / outlook.pipeline.handOverPagesPerSecond > LONG_MS;
}

/**
 * Found by the last sync and not handed over; where QEMU does not say, as many as the sync before it found.
 */
function insideMax({ snapshot, passes }: Outlook): number {
  if (snapshot.sourceRemainingPages != null) return snapshot.sourceRemainingPages;
  const [before, running] = passes.slice(-2);
  return running === undefined ? 0 : Math.max(0, before!.pages - running.pages);
}

/**
 * Zero pages that take longer are sent before the stop, while passes are apart as ever: during a hurry the
 * guest would pay for them.
 */
const ZERO_MS_MAX = 75;

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
 * more, as time on the link or of both ends. Part of either may replace copies that wait.
 */
function uncountedMsMax(outlook: Outlook): number {
  const { snapshot, history, linkBytesPerSecond: link, pipeline } = outlook;
  if (link === null || snapshot.sinceSyncMs === null) return 0;
  const seconds = snapshot.sinceSyncMs / 1000;
  const pages = measured(history)
    .slice(-BUSIEST_OF)
    .reduce((most, stats) => Math.max(most, dirtiedWithin(stats, seconds)), insideMax(outlook));
  return Math.max(
    (pages * bytesPerPage(snapshot) * 1000) / link,
    (pages * 1000) / pipeline.endsPagesPerSecond,
  );
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

function isCounted(outlook: Outlook): boolean {
  const { snapshot } = outlook;
  const sinceMs = snapshot.sinceSyncMs ?? 0;
  // A QEMU that is kept waiting for memory hands nothing over.
  if (snapshot.memoryBytes >= MEMORY_FULL * snapshot.memoryBytesMax) return true;
  if (snapshot.sourceRemainingPages != null) {
    return sinceMs > LATE_MS || (sinceMs <= FRESH_MS && snapshot.sourceRemainingPages === 0);
  }
  // A long pass is still handing over what its sync found.
  if (isLongToHandOver(outlook)) return false;
  return sinceMs > LATE_MS || (sinceMs >= HANDED_OVER_MS[0] && sinceMs <= HANDED_OVER_MS[1]);
}
