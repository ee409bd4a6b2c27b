/**
 * Has sending done what it can? A guard that FRS and MP share, and of which adaptive takes the first half: is
 * what can be sent for good sent, so that only pages that come back are left. It decides nothing by itself.
 *
 * Deviation from the rules as they are published: those speak about D_k alone. A gateway that absorbs also
 * queues RAM that was never sent. One transmission settles a cold page for good while the VM runs; a stop
 * while it waits turns it into downtime.
 */

import type { Outlook, ParameterSpec } from '../../vm/index.ts';
import { OUR_DEFINITION, parameter } from '../common.ts';
import {
  bytesPerWaitingPage,
  formatBytes,
  formatMs,
  formatPercent,
  lastIteration,
  neverSentPages,
  nextPassIsInVain,
  queuedBytes,
  yieldOf,
  zeroPagesMs,
} from '../measures.ts';

/** A rest that the link carries within this share of the downtime limit does not count. */
const LIMIT_SHARE = 0.25;
/**
 * The coldest pages go first. When this share of an iteration's pages had been sent before, no cold page is
 * left that had not.
 */
const RESENT_SHARE = 0.25;
/** Above this yield the queue is still being worked off: half of what is sent lasts. */
const YIELD_FAST = 0.5;

export function heldShareParameter(source: string): ParameterSpec {
  const meaning = "the rest may take this share of the held set's time";
  return parameter('heldShare', 0.05, [0, 1], 'share', meaning, source);
}

export const DRAINED_PARAMETERS: readonly ParameterSpec[] = [
  heldShareParameter(OUR_DEFINITION),
  parameter(
    'yieldMin',
    0.1,
    [0, 1],
    'share',
    'less of the sent bytes lasting than this counts as drained',
    OUR_DEFINITION,
  ),
];

export interface DrainedOptions {
  /**
   * The rest may take this share of the time that the held set takes: below it, the held set alone decides
   * the downtime.
   */
  readonly heldShare: number;
  /**
   * When less of each sent byte lasts than this, the queue refills as fast as it is sent and does not get any
   * shorter.
   */
  readonly yieldMin: number;
  readonly yieldIterations: number;
}

export interface Drained {
  readonly drained: boolean;
  readonly text: string;
}

/** A rest outside the held set of at most this many bytes does not count. */
function negligibleBytes(outlook: Outlook, linkBytesPerSecond: number, heldShare: number): number {
  const limitBytes = (linkBytesPerSecond * outlook.limits.downtimeMsMax) / 1000;
  return Math.max(LIMIT_SHARE * limitBytes, heldShare * outlook.snapshot.backlog.heldBytes);
}

/**
 * Has every page been sent once? Until then sending is worth its time, however fast hot pages come back
 * meanwhile. A hot page that waits behind colder ones may never have its turn, so it is also enough that the
 * link has begun to send pages a second time. `sparedPages` of the pages that were never sent do not count.
 */
export function allSentOnce(outlook: Outlook, heldShare: number, sparedPages = 0): Drained {
  const { snapshot, linkBytesPerSecond: link } = outlook;
  const last = lastIteration(outlook);
  if (!snapshot.firstPassDone) return { drained: false, text: "QEMU's first pass is not over" };
  if (link === null) return { drained: false, text: 'the link rate is not known yet' };
  const pages = nextPassIsInVain(outlook) ? coldWaitingPages(outlook) : neverSentPages(outlook) - sparedPages;
  const bytes = Math.max(0, pages) * bytesPerWaitingPage(snapshot);
  const time = formatMs((bytes * 1000) / link);
  const zeroMs = zeroPagesMs(outlook);
  if (zeroMs > LIMIT_SHARE * outlook.limits.downtimeMsMax) {
    const count = snapshot.backlog.zeroPages ?? 0;
    return { drained: false, text: `${count} zero pages take ${formatMs(zeroMs)} more` };
  }
  const resending = last !== null && last.resentPages > RESENT_SHARE * last.sentPages;
  return {
    drained: resending || bytes <= negligibleBytes(outlook, link, heldShare),
    text: `${formatBytes(bytes)} not sent yet take ${time}`,
  };
}

/** Where every pass finds the same pages, these are the hot ones, and whatever else is queued is cold. */
function coldWaitingPages({ snapshot, passes }: Outlook): number {
  const { queuedPages, heldPages } = snapshot.backlog;
  return queuedPages - Math.max(0, (passes.at(-1)?.pages ?? 0) - heldPages);
}

export function drained(outlook: Outlook, options: DrainedOptions): Drained {
  const once = allSentOnce(outlook, options.heldShare);
  const { limits, linkBytesPerSecond: link } = outlook;
  // What QEMU found dirty once more, it would find at the next sync as well.
  if (!once.drained || link === null || nextPassIsInVain(outlook)) return once;
  const rest = queuedBytes(outlook);
  const time = formatMs((rest * 1000) / link);
  const newest = yieldOf(outlook.history, 1);
  // A rest that fits the limit and still shrinks fast is sent: it is soon gone.
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
