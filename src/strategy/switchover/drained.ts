/**
 * Is the part of the backlog that sending can still remove gone? A guard that FRS and MP share, and half of which adaptive takes; it decides
 * nothing by itself.
 *
 * Deviation from the rules as they are stated: those speak about D_k alone. With absorb the queue also holds RAM that was never sent;
 * stopping while it waits turns cold pages, which one transmission settles for good while the VM runs, into downtime.
 */

import type { Outlook } from '../../vm/index.ts';
import {
  bytesPerWaitingPage,
  formatBytes,
  formatMs,
  formatPercent,
  lastIteration,
  neverSentPages,
  queuedBytes,
  yieldOf,
} from '../measures.ts';

/** A rest that takes this share of the downtime limit is gone for all purposes. */
const LIMIT_SHARE = 0.25;
/** The coldest go first, so when this share of an iteration's pages had been sent before, no cold ones are left that had not. */
const RESENT_SHARE = 0.25;
/** Half of what is sent lasts: the queue is still being worked off. */
const YIELD_FAST = 0.5;

export interface DrainedOptions {
  /** The rest may take this share of the time the held set takes: below it, the held set alone decides the downtime. */
  readonly heldShare: number;
  /** With less of each sent byte lasting than this, the queue refills as fast as it is sent: it is as drained as it gets. */
  readonly yieldMin: number;
  readonly yieldIterations: number;
}

export interface Drained {
  readonly drained: boolean;
  readonly text: string;
}

/** What may wait besides the held set without counting. */
function negligibleBytes(outlook: Outlook, link: number, heldShare: number): number {
  const limitBytes = (link * outlook.limits.downtimeMsMax) / 1000;
  return Math.max(LIMIT_SHARE * limitBytes, heldShare * outlook.snapshot.backlog.heldBytes);
}

/**
 * Is all sent that was never sent? Until then sending is worth its time, however fast hot pages come back meanwhile. Hot pages that wait
 * behind colder ones may never have their turn: it is also enough that sending has come round to pages sent before. Of the never-sent
 * ones `sparedPages` do not count.
 */
export function allSentOnce(outlook: Outlook, heldShare: number, sparedPages = 0): Drained {
  const { snapshot, linkBytesPerSecond: link } = outlook;
  const last = lastIteration(outlook);
  if (!snapshot.firstPassDone) return { drained: false, text: "QEMU's first pass is not over" };
  if (link === null) return { drained: false, text: 'the link rate is not known yet' };
  const bytes = Math.max(0, neverSentPages(outlook) - sparedPages) * bytesPerWaitingPage(snapshot);
  const time = formatMs((bytes * 1000) / link);
  const resending = last !== null && last.resentPages > RESENT_SHARE * last.sentPages;
  return {
    drained: resending || bytes <= negligibleBytes(outlook, link, heldShare),
    text: `${formatBytes(bytes)} never sent take ${time}`,
  };
}

export function drained(outlook: Outlook, options: DrainedOptions): Drained {
  const once = allSentOnce(outlook, options.heldShare);
  const { limits, linkBytesPerSecond: link } = outlook;
  if (!once.drained || link === null) return once;
  const rest = queuedBytes(outlook);
  const time = formatMs((rest * 1000) / link);
  const newest = yieldOf(outlook.history, 1);
  // What fits the limit but still shrinks fast is worth the moment it takes to be gone.
  const fitsAndStays = rest <= (link * limits.downtimeMsMax) / 1000 && newest !== null && newest < YIELD_FAST;
  if (rest <= negligibleBytes(outlook, link, options.heldShare) || fitsAndStays) {
    return { drained: true, text: `the rest outside the held set takes ${time} (${formatBytes(rest)})` };
  }
  const bought = yieldOf(outlook.history, options.yieldIterations);
  if (bought !== null && bought < options.yieldMin) {
    return {
      drained: true,
      text: `of the bytes sent in ${options.yieldIterations} iterations ${formatPercent(Math.max(0, bought))} lasted, the rest came back (${formatBytes(rest)} queued)`,
    };
  }
  return { drained: false, text: `${formatBytes(rest)} outside the held set take ${time} more` };
}
