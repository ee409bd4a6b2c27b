/**
 * The clairvoyant: it knows when each page is written for the last time, so it holds exactly the pages that
 * are not worth sending yet, and sends every other page once. What it leaves is the least that any hold,
 * order and stop can leave. Pure; its test compares it with brute force.
 *
 * Why it is the best: for a stop after interval T, a page is clean if and only if it was sent in an interval
 * after its last write before T. So each page is a job of one unit, released by that write and due at T. With
 * one common due time, the most jobs are completed by sending any released page whenever there is room. The
 * pages left are the best hold set: those released last.
 */

import { assert } from '../base/index.ts';

/** Pages written in each interval; all intervals are equally long. Page indexes are below `pageCount`. */
export interface WriteHistory {
  readonly pageCount: number;
  readonly intervals: readonly (readonly number[])[];
}

export interface BestStop {
  /** Intervals that pass before the stop, 0 to all. */
  readonly interval: number;
  /** Pages that are sent with the VM stopped. */
  readonly leftPages: number;
  /** Total time and downtime in intervals. */
  readonly total: number;
  readonly downtime: number;
  readonly cost: number;
}

export interface OracleOptions {
  /** Pages the link carries in an interval. */
  readonly pagesPerInterval: number;
  /** Cost of an interval of downtime beyond `downtimeFree`, over one of total time. */
  readonly downtimeWeight: number;
  /** Intervals of downtime that cost nothing extra. */
  readonly downtimeFree: number;
}

/** The least number of pages left by a stop after each number of intervals, 0 first. */
export function leastLeft(history: WriteHistory, pagesPerInterval: number): number[] {
  const { pageCount, intervals } = history;
  assert(pagesPerInterval >= 0, 'a link carries something or nothing');
  /** The interval of each page's last write, plus 1; 0: never written since the beginning. */
  const lastWrite = new Uint32Array(pageCount);
  /** Pages whose last write lies there: released when that interval is over. */
  const released = new Float64Array(intervals.length + 1);
  released[0] = pageCount;
  const least = [pageCount];
  for (let interval = 0; interval < intervals.length; interval++) {
    for (const page of intervals[interval]!) {
      released[lastWrite[page]!]!--;
      lastWrite[page] = interval + 1;
      released[interval + 1]!++;
    }
    least.push(leftAfter(released, interval + 1, pagesPerInterval));
  }
  return least;
}

/** Sends what is released whenever there is room, through `intervals` intervals; returns what is left. */
function leftAfter(released: Float64Array, intervals: number, pagesPerInterval: number): number {
  let waiting = 0;
  for (let interval = 0; interval < intervals; interval++) {
    waiting = Math.max(0, waiting + released[interval]! - pagesPerInterval);
  }
  return waiting + released[intervals]!;
}

/** The best moment to stop, holding the best set. */
export function bestStop(history: WriteHistory, options: OracleOptions): BestStop {
  let best: BestStop | null = null;
  for (const [interval, leftPages] of leastLeft(history, options.pagesPerInterval).entries()) {
    const stop = stopAt(interval, leftPages, options);
    if (best === null || stop.cost < best.cost) best = stop;
  }
  assert(best !== null, 'stopping at once is always possible');
  return best;
}

export function stopAt(interval: number, leftPages: number, options: OracleOptions): BestStop {
  const downtime = leftPages / options.pagesPerInterval;
  const total = interval + downtime;
  const cost = total + options.downtimeWeight * Math.max(0, downtime - options.downtimeFree);
  return { interval, leftPages, total, downtime, cost };
}

/**
 * The pages to hold for a stop after `interval` intervals: those written last, as many as are left.
 * Ascending.
 */
export function bestHoldSet(history: WriteHistory, interval: number, pagesPerInterval: number): number[] {
  const lastWrite = new Uint32Array(history.pageCount);
  for (let at = 0; at < interval; at++) for (const page of history.intervals[at]!) lastWrite[page] = at + 1;
  const left = Math.ceil(leastLeft(history, pagesPerInterval)[interval]!);
  const order = Array.from({ length: history.pageCount }, (_, page) => page);
  order.sort((one, other) => lastWrite[other]! - lastWrite[one]! || other - one);
  return order.slice(0, left).sort((one, other) => one - other);
}
