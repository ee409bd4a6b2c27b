/** The oldest rule: stop when what remains fits the allowed downtime. */

import type { Decision, Outlook } from '../../vm/index.ts';
import { goOn, stop } from '../common.ts';
import { formatBytes, formatMs, formatRate, rateText, remainingBytes } from '../measures.ts';

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
  return stop(
    'fits-limit',
    `${formatBytes(remainingBytes(outlook))} remain: ${formatMs(predicted)} down, within the limit of ${formatMs(outlook.limits.downtimeMsMax)}`,
  );
}
