/**
 * Quantities that several rules and the engine read off an outlook: what remains, how fast pages are dirtied,
 * and how much of what the last iterations sent has lasted. Not responsible for deciding anything.
 */

import { formatBytes, formatMs, formatPercent, formatRate } from '../base/index.ts';
import {
  type Backlog,
  type IterationStats,
  type Outlook,
  PAGE_SIZE_BYTES,
  type Snapshot,
} from '../vm/index.ts';

/** A whole page on the link: its content and QEMU's be64 record header. */
export const PAGE_BYTES_ON_LINK = PAGE_SIZE_BYTES + 8;

/**
 * Bytes on the link of a page that the guest writes. The average of the waiting pages would not do: after the
 * first pass of a guest with free memory, nearly all of those are zero pages of a few bytes.
 */
export function bytesPerPage(snapshot: Snapshot): number {
  return (snapshot.firstPassDone ? snapshot.writtenPageBytes : undefined) ?? bytesPerWaitingPage(snapshot);
}

/**
 * Bytes on the link of one waiting page: read off the backlog, else off what was sent, else those of a whole
 * page.
 */
export function bytesPerWaitingPage(snapshot: Snapshot): number {
  const { queuedPages, queuedBytes, heldPages, heldBytes } = snapshot.backlog;
  if (queuedPages + heldPages > 0 && queuedBytes + heldBytes > 0) {
    return (queuedBytes + heldBytes) / (queuedPages + heldPages);
  }
  if (snapshot.sentPages > 0 && snapshot.sentBytes > 0) return snapshot.sentBytes / snapshot.sentPages;
  return PAGE_BYTES_ON_LINK;
}

/** The largest |D_k| so far: an estimate of how many pages the guest keeps writing. */
export function dirtiedMost(history: readonly IterationStats[]): number {
  return measured(history).reduce((most, stats) => Math.max(most, stats.dirtyPages), 0);
}

/**
 * Waiting pages that the guest is known to write: the held ones, and the queued ones that were sent before.
 */
function rewrittenWaiting(snapshot: Snapshot, pageCount: number): number {
  const { queuedPages, heldPages } = snapshot.backlog;
  const neverSent = Math.max(0, pageCount - (snapshot.sentPages - snapshot.resentPages));
  const neverSentQueued = Math.max(0, neverSent - heldPages);
  return heldPages + Math.max(0, queuedPages - neverSentQueued);
}

/**
 * Pages inside QEMU that are dirty, or were never sent, and of which no copy waits at the gateway. After the
 * first pass QEMU sends again what it finds dirty. Some of those pages wait at the gateway already: their new
 * copies replace old ones and add nothing to what remains. Which pages these are is known only when they
 * arrive, so the overlap is taken in proportion.
 */
export function pagesAtSource(
  snapshot: Snapshot,
  pageCount: number,
  history: readonly IterationStats[],
): number {
  const reported = snapshot.sourceRemainingPages;
  if (!snapshot.firstPassDone) return Math.max(0, reported ?? pageCount - snapshot.dirtyPages);
  if (reported === undefined || reported === null || reported <= 0) return 0;
  const writes = Math.max(dirtiedMost(history), reported);
  return reported * Math.max(0, 1 - rewrittenWaiting(snapshot, pageCount) / writes);
}

/**
 * Pages outside the hold that the destination has never had. Each one that is sent makes the rest smaller,
 * whatever the guest writes elsewhere.
 */
export function neverSentPages(outlook: Outlook): number {
  const { sentPages, resentPages, backlog } = outlook.snapshot;
  return Math.max(0, outlook.pageCount - (sentPages - resentPages) - backlog.heldPages);
}

/** What waits outside the hold, at the gateway and inside QEMU. */
export function queuedBytes(outlook: Outlook): number {
  const { snapshot, pageCount, history } = outlook;
  return snapshot.backlog.queuedBytes + pagesAtSource(snapshot, pageCount, history) * bytesPerPage(snapshot);
}

/** Zero pages are next to nothing on the link, and take their time at both ends all the same. */
export function zeroPagesMs({ snapshot, pipeline }: Outlook): number {
  return ((snapshot.backlog.zeroPages ?? 0) * 1000) / pipeline.zeroPagesPerSecond;
}

/** R: everything that is known to have to cross the link still. */
export function remainingBytes(outlook: Outlook): number {
  return queuedBytes(outlook) + outlook.snapshot.backlog.heldBytes;
}

export function remainingPages(outlook: Outlook): number {
  const { snapshot, pageCount, history } = outlook;
  return (
    snapshot.backlog.queuedPages + snapshot.backlog.heldPages + pagesAtSource(snapshot, pageCount, history)
  );
}

/** Handing over what a sync found takes this long at least where passes are long. */
const LONG_PASS_MS = 300;

/**
 * Where QEMU takes its time to hand over what is dirty, a pass is as much evidence as an iteration of many
 * short ones, and costs as much: rules then decide by single passes.
 */
export function passesAreLong({ snapshot, passes, pipeline }: Outlook): boolean {
  if (!snapshot.firstPassDone) return false;
  const seen = passes.slice(-2).map(({ pages }) => pages);
  const pages = Math.max(snapshot.sourceRemainingPages ?? 0, ...seen);
  return (pages * 1000) / pipeline.handOverPagesPerSecond >= LONG_PASS_MS;
}

const PASS_FALL_MIN = 0.05;
/** A guest that has just woken up writes more than before, and may fall asleep again. */
const PASS_RISE_MAX = 1.25;

/** Long passes that all find the same: the next sync is wanted with the stop, not before. */
export function nextPassIsInVain(outlook: Outlook): boolean {
  return passesAreLong(outlook) && passesAreFlat(outlook);
}

/** Passes that find this share of what the busiest of the newest ones found: the guest rests. */
const QUIET_SHARE = 0.2;
const QUIET_PASSES = 2;

/**
 * The guest has stopped writing what it wrote a moment ago: whatever waits can be sent for good, as long as
 * that lasts.
 */
export function isQuietNow({ passes }: Outlook): boolean {
  const rates = passes.map(({ pages, durationMs }) => pages / Math.max(1, durationMs));
  const newest = rates.slice(-QUIET_PASSES);
  const busiest = Math.max(0, ...rates.slice(0, -QUIET_PASSES));
  return (
    busiest > 0 && newest.length === QUIET_PASSES && newest.every((rate) => rate <= QUIET_SHARE * busiest)
  );
}

/**
 * Do the two newest passes find as much? The first of them holds what was written during the whole
 * first pass,
 * and the running one counts as soon as its sync has told.
 */
export function passesAreFlat({ passes }: Outlook, delta = PASS_FALL_MIN): boolean {
  const [before, last] = passes.slice(-2);
  if (before === undefined || last === undefined) return false;
  return last.pages >= (1 - delta) * before.pages && last.pages <= PASS_RISE_MAX * before.pages;
}

/** Finished iterations after QEMU's first pass. Only these tell anything about dirtying. */
export function measured(history: readonly IterationStats[]): readonly IterationStats[] {
  return history.length > 0 && history[0]!.index === 0 ? history.slice(1) : history;
}

/** With this many iterations after the first pass, rewrite rates tell pages apart. */
const ITERATIONS_TO_LEARN = 2;

export function ratesAreKnown(history: readonly IterationStats[]): boolean {
  return measured(history).length >= ITERATIONS_TO_LEARN;
}

/**
 * As little as ever before, as far as predictions and backlogs tell: they swing by some percent with QEMU's
 * passes.
 */
const LEAST_TOLERANCE = 1.05;

export function isNearLeast(amount: number, least: number): boolean {
  return amount <= LEAST_TOLERANCE * least;
}

export function lastIteration(outlook: Outlook): IterationStats | null {
  const last = outlook.history.at(-1);
  return last === undefined || last.index === 0 ? null : last;
}

export function backlogBytes(stats: { readonly backlog: Backlog }): number {
  return stats.backlog.queuedBytes + stats.backlog.heldBytes;
}

/**
 * Distinct pages a second. This is a lower bound of the dirty rate: a page counts once an iteration, however
 * often it is written.
 */
export function dirtyPagesPerSecond(stats: IterationStats): number {
  return stats.durationMs > 0 ? (stats.dirtyPages * 1000) / stats.durationMs : 0;
}

/** Middle of rewrite class `index`, per second (classes are powers of two, see IterationStats). */
export function rateOfClass(index: number): number {
  return 2 ** (index - 15.5);
}

/** Lower bound of rewrite class `index`, per second. */
export function floorOfClass(index: number): number {
  return 2 ** (index - 16);
}

/** Page rewrites a second, by the classes: a page counts as often as it is thought to be written. */
function rewritesPerSecond(stats: IterationStats): number {
  let total = 0;
  for (let index = 0; index < stats.rewriteHistogram.length; index++) {
    total += stats.rewriteHistogram[index]! * rateOfClass(index);
  }
  return total;
}

/**
 * Distinct pages that will be dirtied within `seconds`, by their rewrite rates. Rates are read off QEMU's
 * syncs: a page that was dirty at every other sync has the rate of half a write per spacing of passes. So the
 * chance that a page is dirty grows in proportion to time, up to 1.
 */
export function dirtiedWithin(stats: IterationStats, seconds: number): number {
  let pages = 0;
  for (let index = 0; index < stats.rewriteHistogram.length; index++) {
    pages += stats.rewriteHistogram[index]! * Math.min(1, rateOfClass(index) * seconds);
  }
  return pages;
}

/** Pages of the classes whose middle is at least so many rewrites a second. */
export function pagesAbove(stats: IterationStats, perSecond: number): number {
  return stats.rewriteHistogram.reduce(
    (pages, count, index) => pages + (rateOfClass(index) >= perSecond ? count : 0),
    0,
  );
}

/**
 * Bytes a second that the link would need to carry what is dirtied: the larger of both estimates, at the
 * bytes of an encoded page.
 */
export function dirtyBytesPerSecond(outlook: Outlook, stats: IterationStats): number {
  return Math.max(dirtyPagesPerSecond(stats), rewritesPerSecond(stats)) * bytesPerPage(outlook.snapshot);
}

/** True when none of the last `count` iterations brought |D_k| down by the share `delta`. */
export function dirtyIsFlat(history: readonly IterationStats[], delta: number, count: number): boolean {
  const known = measured(history);
  if (known.length < count + 1) return false;
  for (let back = 1; back <= count; back++) {
    const now = known[known.length - back]!;
    const before = known[known.length - back - 1]!;
    // Iterations differ in length, and a longer one sees more pages: compare rates.
    if (dirtyPagesPerSecond(now) < (1 - delta) * dirtyPagesPerSecond(before)) return false;
  }
  return true;
}

/**
 * How much of what the last `count` iterations sent has lasted: the fall of the backlog per byte sent. 1:
 * nothing came back; 0 or less: all of it did. null when there are fewer iterations, or when less than a page
 * was sent and nothing can be said.
 */
export function yieldOf(history: readonly IterationStats[], count: number): number | null {
  if (history.length < count + 1) return null;
  const recent = history.slice(-count);
  const before = backlogBytes(history[history.length - count - 1]!);
  let sent = 0;
  for (const stats of recent) sent += stats.sentBytes;
  if (sent < PAGE_BYTES_ON_LINK) return null;
  return (before - backlogBytes(recent.at(-1)!)) / sent;
}

/** "dirty 412 MiB/s > link 117 MiB/s". */
export function rateText(outlook: Outlook): string {
  const last = lastIteration(outlook);
  const link = outlook.linkBytesPerSecond;
  if (last === null) return link === null ? 'link rate unknown' : `link ${formatRate(link)}`;
  const dirty = dirtyBytesPerSecond(outlook, last);
  if (link === null) return `dirty ${formatRate(dirty)}, link rate unknown`;
  return `dirty ${formatRate(dirty)} ${dirty > link ? '>' : '<='} link ${formatRate(link)}`;
}

export function downtimeText(outlook: Outlook): string {
  const predicted = outlook.downtimePredictedMs;
  return predicted === null ? 'downtime unknown' : `stopped now: ${formatMs(predicted)} down`;
}

export function backlogText(outlook: Outlook): string {
  const held = outlook.snapshot.backlog.heldBytes;
  return `${formatBytes(queuedBytes(outlook))} queued, ${formatBytes(held)} held`;
}

export { formatBytes, formatMs, formatPercent, formatRate };
