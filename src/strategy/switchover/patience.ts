/**
 * What frs and adaptive do before they stop for good: a guest that is busy and quiet in turn is waited for,
 * and a hot set of which the link can keep a good part current is sent once more. Not responsible for the
 * rules that want to stop.
 */

import type { Decision, Outlook } from '../../vm/index.ts';
import { goOn } from '../common.ts';
import { bytesPerPage, downtimeText, formatMs, isQuietNow, lastIteration } from '../measures.ts';
import { keptCurrent } from '../plateau.ts';
import { phasesOf } from './pattern-class.ts';
import { beginTrim, type Trim, trimOn } from './trim.ts';

export interface Patience {
  /** Since when a quiet phase is waited for. */
  readonly waitingSinceMs: number | null;
  /** Not null: held pages are being sent. */
  readonly trim: Trim | null;
}

export const NO_PATIENCE: Patience = { waitingSinceMs: null, trim: null };

/**
 * A stop now is put off while the guest rests, and while it is in the busy half of a known period, for one
 * period at most. null: there is nothing to wait for.
 */
export function troughWait(outlook: Outlook, sinceMs: number, rule: string): Decision | null {
  const predictedMs = outlook.downtimePredictedMs ?? 0;
  if (predictedMs > outlook.limits.downtimeMsMax && isQuietNow(outlook)) {
    return goOn(rule, `quiet now, what waits is sent for good; ${downtimeText(outlook)}`);
  }
  const phase = phasesOf(outlook.history);
  if (phase === null || phase.quiet || predictedMs <= outlook.limits.downtimeMsMax) return null;
  const waitedMs = outlook.nowMs - sinceMs;
  if (waitedMs >= phase.periodMs) return null;
  const text = `busy; the quiet phase is waited for, ${formatMs(waitedMs)} of ${formatMs(phase.periodMs)}`;
  return goOn(rule, `${text}; ${downtimeText(outlook)}`);
}

/** A best that is no better than this share of what a stop now costs is not worth the time. */
const TRIM_WORTH = 0.7;

/** Rates of fewer of the dirty pages tell nothing of the rest. */
const RATED_SHARE = 0.5;

/** Rates say that much of the hot set is written so seldom that the link could keep it current. */
function trimIsWorth(outlook: Outlook): boolean {
  const last = lastIteration(outlook);
  const link = outlook.linkBytesPerSecond;
  const predictedMs = outlook.downtimePredictedMs;
  if (last === null || link === null || predictedMs === null) return false;
  const rated = last.rewriteHistogram.reduce((sum, count) => sum + count, 0);
  if (rated < RATED_SHARE * last.dirtyPages) return false;
  const linkPages = link / bytesPerPage(outlook.snapshot);
  const bestMs = (keptCurrent(last.rewriteHistogram, linkPages).hotterPages * 1000) / linkPages;
  return bestMs < TRIM_WORTH * predictedMs;
}

export interface PatientVerdict {
  readonly decision: Decision;
  readonly patience: Patience;
}

/** `stop`: what the rule decided. `fallMin`: see trim.ts. */
export function patientStop(
  outlook: Outlook,
  before: Patience,
  stop: Decision,
  { rule, fallMin }: { readonly rule: string; readonly fallMin: number },
): PatientVerdict {
  const waitingSinceMs = before.waitingSinceMs ?? outlook.nowMs;
  const wait = troughWait(outlook, waitingSinceMs, `${rule}-trough`);
  if (wait !== null) return { decision: wait, patience: { waitingSinceMs, trim: null } };
  if (before.trim !== null) {
    const { decision, trim } = trimOn(outlook, before.trim, fallMin, downtimeText(outlook), rule);
    return { decision, patience: { waitingSinceMs, trim } };
  }
  const trim = trimIsWorth(outlook) ? beginTrim(outlook) : null;
  if (trim === null) return { decision: stop, patience: { waitingSinceMs, trim: null } };
  const text = `part of the held pages is written seldom and is sent now; ${stop.text}`;
  return { decision: goOn(`${rule}-trim`, text), patience: { waitingSinceMs, trim } };
}
