/** The oracle against brute force over every schedule of small cases, and its hold set against a replay. */

import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { makeGuest, STEP_MS } from '../trace/index.ts';
import { bestHoldSet, bestStop, leastLeft, type OracleOptions, stopAt, type WriteHistory } from './oracle.ts';

/** Every way to choose at most `count` of `pages`, as bit sets. */
function choices(pageCount: number, count: number): number[] {
  const found: number[] = [];
  for (let bits = 0; bits < 1 << pageCount; bits++) {
    let size = 0;
    for (let left = bits; left !== 0; left &= left - 1) size++;
    if (size <= count) found.push(bits);
  }
  return found;
}

/** The fewest pages left by a stop after each number of intervals, over every schedule of sending. */
function bruteForce(history: WriteHistory, pagesPerInterval: number): number[] {
  const all = (1 << history.pageCount) - 1;
  let reachable = new Set([all]);
  const fewest = (sets: Set<number>) => Math.min(...[...sets].map((bits) => choicesSize(bits)));
  const least = [fewest(reachable)];
  for (const written of history.intervals) {
    const dirty = written.reduce((bits, page) => bits | (1 << page), 0);
    const next = new Set<number>();
    for (const stale of reachable) {
      // What is sent while it is written is stale again at the end of the interval.
      for (const sent of choices(history.pageCount, pagesPerInterval)) next.add((stale & ~sent) | dirty);
    }
    reachable = next;
    least.push(fewest(reachable));
  }
  return least;
}

function choicesSize(bits: number): number {
  let size = 0;
  for (let left = bits; left !== 0; left &= left - 1) size++;
  return size;
}

const smallHistory = fc.integer({ min: 1, max: 6 }).chain((pageCount) =>
  fc.record({
    pageCount: fc.constant(pageCount),
    intervals: fc.array(fc.uniqueArray(fc.integer({ min: 0, max: pageCount - 1 })), { maxLength: 7 }),
  }),
);

test('nothing leaves fewer pages than the oracle: every schedule of small cases', () => {
  fc.assert(
    fc.property(smallHistory, fc.integer({ min: 1, max: 3 }), (history, pagesPerInterval) => {
      assert.deepEqual(leastLeft(history, pagesPerInterval), bruteForce(history, pagesPerInterval));
    }),
    { numRuns: 300, seed: 3 },
  );
});

test('the best stop is the cheapest of all stops of all schedules', () => {
  const options: OracleOptions = { pagesPerInterval: 2, downtimeWeight: 5, downtimeFree: 0.5 };
  fc.assert(
    fc.property(smallHistory, (history) => {
      const costs = bruteForce(history, 2).map((left, interval) => stopAt(interval, left, options).cost);
      assert.equal(bestStop(history, options).cost, Math.min(...costs));
    }),
    { numRuns: 300, seed: 4 },
  );
});

test('holding the best set and sending the rest once leaves exactly the held pages', () => {
  fc.assert(
    fc.property(smallHistory, fc.integer({ min: 1, max: 3 }), (history, pagesPerInterval) => {
      const stopAfter = history.intervals.length;
      const held = new Set(bestHoldSet(history, stopAfter, pagesPerInterval));
      const stale = new Set(Array.from({ length: history.pageCount }, (_, page) => page));
      let sent = 0;
      for (let interval = 0; interval < stopAfter; interval++) {
        const future = new Set(history.intervals.slice(interval, stopAfter).flat());
        const ready = [...stale].filter((page) => !held.has(page) && !future.has(page));
        for (const page of ready.slice(0, pagesPerInterval)) {
          stale.delete(page);
          sent++;
        }
        for (const page of history.intervals[interval]!) stale.add(page);
      }
      assert.deepEqual([...stale].sort(), [...held].sort());
      assert.equal(sent, history.pageCount - held.size);
    }),
    { numRuns: 300, seed: 5 },
  );
});

test('a uniform hot set that outruns the link: the oracle leaves what arithmetic says', () => {
  const guest = makeGuest(2048, { workload: 'uniform', hotBytes: 2 ** 21, rateBytesPerSecond: 2 ** 21 * 2 });
  const intervals = Array.from({ length: 200 }, (_, step) => {
    const pages = new Set<number>();
    guest.writeStep(step, {
      page: (page) => pages.add(page),
      range: (first, count) => {
        for (let page = first; page < first + count; page++) pages.add(page);
      },
      word: (word, mask) => {
        for (let bits = mask; bits !== 0; bits &= bits - 1)
          pages.add(word * 32 + 31 - Math.clz32(bits & -bits));
      },
    });
    return [...pages];
  });
  // 512 hot pages, each written twice a second: 1,024 exp(-2 a) of them a second were last written `a`
  // seconds before the stop. The link carries 512 a second, so it falls behind for the last ln(2) / 2
  // seconds, by 512 (1 - 1/2) - 512 ln(2) / 2 = 79 pages; an interval's worth (26) is written while the last
  // one runs, and the guest's own pages come on top.
  const pagesPerInterval = (512 * STEP_MS) / 1000;
  const left = leastLeft({ pageCount: 2048, intervals }, pagesPerInterval).at(-1)!;
  assert.ok(left > 79 && left < 79 + 26 + 25, `${left}`);
});
