import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { Bitmap } from '../base/index.ts';
import { type Hold, type Order, REWRITE_CLASSES } from '../vm/index.ts';
import { HEAT_TICK_MS, heatTickOf } from './heat.ts';
import { STATE_HELD, STATE_NONE, STATE_QUEUED } from './layout.ts';
import { NaiveIndex } from './naive-index.testing.ts';
import { PageIndex } from './page-index.ts';

const PAGES = 1600;
const REGIONS = 4;
const STATES = { none: STATE_NONE, queued: STATE_QUEUED, held: STATE_HELD };

type Operation =
  | {
      readonly kind: 'arrive';
      readonly first: number;
      readonly count: number;
      readonly stride: number;
      readonly zero: boolean;
    }
  | { readonly kind: 'take' | 'takeHeld' | 'spill'; readonly pages: number }
  | { readonly kind: 'wait'; readonly ticks: number }
  | { readonly kind: 'endIteration' | 'releaseHeld' }
  | { readonly kind: 'stopAndCopy'; readonly on: boolean }
  | { readonly kind: 'hold'; readonly hold: Hold }
  | { readonly kind: 'order'; readonly order: Order };

function regionSet(bits: number): Bitmap {
  const regions = new Bitmap(REGIONS);
  for (let region = 0; region < REGIONS; region++) if ((bits >>> region) & 1) regions.add(region);
  return regions;
}

const anyHold: fc.Arbitrary<Hold> = fc.oneof(
  fc.constant<Hold>({ kind: 'none' }),
  fc.constant<Hold>({ kind: 'dirty-again' }),
  fc
    .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 4 }))
    .map(
      ([theta, more, leaveAfterClean]): Hold => ({
        kind: 'window',
        theta,
        of: theta + more,
        leaveAfterClean,
      }),
    ),
  fc.constantFrom(0.5, 2, 8).map((perSecondMax): Hold => ({ kind: 'rate', perSecondMax })),
  fc
    .tuple(fc.integer({ min: 0, max: 15 }), fc.boolean())
    .map(([bits, onlyRewritten]): Hold => ({ kind: 'regions', regions: regionSet(bits), onlyRewritten })),
);

const anyOrder: fc.Arbitrary<Order> = fc.oneof(
  fc.constantFrom<Order>({ kind: 'address' }, { kind: 'coldest' }),
  fc
    .uint8Array({ minLength: REGIONS, maxLength: REGIONS, max: 7 })
    .map((classOfRegion): Order => ({ kind: 'region', classOfRegion })),
);

const anyArrival = fc.record({
  kind: fc.constant('arrive' as const),
  first: fc.integer({ min: 0, max: PAGES - 1 }),
  count: fc.integer({ min: 1, max: 40 }),
  stride: fc.constantFrom(1, 1, 7, 33, 512),
  zero: fc.boolean(),
});

const anyOperation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 10, arbitrary: anyArrival },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('take' as const), pages: fc.integer({ min: 0, max: 60 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('takeHeld' as const, 'spill' as const),
      pages: fc.integer({ min: 0, max: 9 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ticks: fc.integer({ min: 0, max: 100 }) }),
  },
  { weight: 5, arbitrary: fc.constant<Operation>({ kind: 'endIteration' }) },
  { weight: 1, arbitrary: fc.constant<Operation>({ kind: 'releaseHeld' }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stopAndCopy' as const), on: fc.boolean() }) },
  { weight: 2, arbitrary: anyHold.map((hold): Operation => ({ kind: 'hold', hold })) },
  { weight: 2, arbitrary: anyOrder.map((order): Operation => ({ kind: 'order', order })) },
);

/** Runs the same operations on both and compares after each. */
class Pair {
  readonly index: PageIndex;
  readonly naive: NaiveIndex;
  tick = 0;
  readonly out = new Uint32Array(PAGES);

  constructor(index: PageIndex) {
    this.index = index;
    this.naive = new NaiveIndex(index.regionPages);
  }

  run(operation: Operation): void {
    const { index, naive } = this;
    switch (operation.kind) {
      case 'arrive':
        for (let at = 0; at < operation.count; at++) {
          const page = (operation.first + at * operation.stride) % PAGES;
          index.arrive(page, this.tick, operation.zero);
          naive.arrive(page, this.tick, operation.zero);
        }
        break;
      case 'take': {
        const count = index.take(operation.pages, this.out);
        assert.deepEqual([...this.out.subarray(0, count)], naive.take(operation.pages));
        break;
      }
      case 'takeHeld':
        this.#takeHeld(operation.pages);
        break;
      case 'spill':
        this.#spill(operation.pages);
        break;
      case 'wait':
        this.tick += operation.ticks;
        break;
      case 'releaseHeld':
        index.releaseHeld();
        for (const page of naive.indexes((one) => one.where === 'held')) naive.toQueue(page);
        break;
      case 'stopAndCopy':
        index.setStopAndCopy(operation.on);
        naive.stopAndCopy = operation.on;
        break;
      case 'hold':
        index.setHold(operation.hold);
        naive.setHold(operation.hold);
        break;
      case 'order':
        index.setOrder(operation.order);
        naive.setOrder(operation.order);
        break;
      case 'endIteration':
        this.#endIteration();
    }
    this.compare();
  }

  #takeHeld(pages: number): void {
    const held = new Set(this.naive.indexes((page) => page.where === 'held'));
    const count = this.index.takeHeld(pages, this.out);
    assert.equal(count, Math.min(pages, held.size));
    for (const page of this.out.subarray(0, count)) {
      assert.ok(held.delete(page), `page ${page} was held`);
      this.naive.send(page);
    }
  }

  #spill(pages: number): void {
    const held = this.naive.indexes((page) => page.where === 'held');
    assert.equal(this.index.spill(pages), Math.min(pages, held.length));
    for (const page of held) if (this.index.stateOf(page) === STATE_QUEUED) this.naive.toQueue(page);
  }

  #endIteration(): void {
    const nowMs = this.tick * HEAT_TICK_MS;
    const stats = this.index.endIteration({ nowMs, passes: 1, bandwidthBytesPerSecond: null });
    const { dirty, outside } = this.naive.endIteration(nowMs);
    assert.deepEqual([stats.dirtyPages, stats.dirtyOutsideHoldPages], [dirty, outside]);
    assert.equal(
      stats.regionHistogram.reduce((sum, pages) => sum + pages, 0),
      dirty,
    );
    const estimated = this.naive.indexes((page) => page.code !== 0).length;
    assert.ok(Math.abs(stats.rewriteHistogram.reduce((sum, pages) => sum + pages, 0) - estimated) < 1e-6);
  }

  compare(): void {
    const { index, naive } = this;
    const count = (where: string, zero?: boolean) =>
      naive.indexes((page) => page.where === where && (zero === undefined || page.zero === zero)).length;
    index.setEncodedBytesEstimate(1000);
    const counts = naive.dirtyCounts();
    assert.deepEqual(index.snapshot(), {
      backlog: {
        queuedPages: count('queued'),
        queuedBytes: count('queued', false) * 1000 + count('queued', true) * 9,
        heldPages: count('held'),
        heldBytes: count('held', false) * 1000 + count('held', true) * 9,
        zeroPages: count('queued', true) + count('held', true),
      },
      dirtyPages: naive.iteration === 0 ? 0 : counts.dirty,
      dirtyOutsideHoldPages: naive.iteration === 0 ? 0 : counts.outside,
      deltaPageBytes: null,
      writtenPageBytes: 1000,
      sentPages: naive.sentPages,
      resentPages: naive.resentPages,
      sentBytes: 0,
      firstPassDone: naive.iteration > 0,
    });
    assert.equal(index.seenPages, naive.pages.size);
    for (const [page, expected] of naive.pages) {
      assert.equal(index.stateOf(page), STATES[expected.where], `state of page ${page}`);
      assert.equal(index.isMember(page), naive.isMember(page), `membership of page ${page}`);
      assert.equal(index.isZero(page), expected.zero);
      assert.equal(index.wasSent(page), expected.sent);
    }
  }
}

function compareRuns(makeIndex: () => PageIndex, runs: number, seed: number): void {
  fc.assert(
    fc.property(fc.array(anyOperation, { maxLength: 120, size: 'max' }), (operations) => {
      const pair = new Pair(makeIndex());
      for (const operation of operations) pair.run(operation);
      // Every page that waits can be taken, and then nothing waits.
      pair.run({ kind: 'stopAndCopy', on: true });
      pair.run({ kind: 'take', pages: PAGES });
      pair.run({ kind: 'takeHeld', pages: PAGES });
      assert.equal(pair.index.queuedPages + pair.index.heldPages, 0);
    }),
    { numRuns: runs, seed },
  );
}

test('the index agrees with its naive twin after every operation', () => {
  compareRuns(() => new PageIndex(PAGES), 120, 20260101);
});

test('the twin notices an index that loses one held page, or sends one page twice', () => {
  class LosesHeld extends PageIndex {
    override setHold(hold: Hold): void {
      this.takeHeld(1, new Uint32Array(1));
      super.setHold(hold);
    }
  }
  class ForgetsToHold extends PageIndex {
    override arrive(pageIndex: number, tick: number, zero?: boolean): void {
      super.arrive(pageIndex, tick, zero);
      if (pageIndex === 7 && this.stateOf(7) === STATE_HELD) this.spill(1);
    }
  }
  assert.throws(() => compareRuns(() => new LosesHeld(PAGES), 300, 1));
  assert.throws(() => compareRuns(() => new ForgetsToHold(PAGES), 300, 1));
});

function endIteration(index: PageIndex, nowMs: number) {
  return index.endIteration({ nowMs, passes: 1, bandwidthBytesPerSecond: null });
}

/** One page dirtied in the iterations given, an iteration a second; returns where it waits after each. */
function story(hold: Hold, dirtyIn: readonly number[], iterations: number): string[] {
  const index = new PageIndex(PAGES);
  const out = new Uint32Array(PAGES);
  index.setHold(hold);
  index.arrive(5, 0);
  index.take(1, out);
  endIteration(index, 1000);
  const states: string[] = [];
  for (let iteration = 1; iteration <= iterations; iteration++) {
    if (dirtyIn.includes(iteration)) index.arrive(5, heatTickOf(iteration * 1000 + 500));
    endIteration(index, (iteration + 1) * 1000);
    states.push(index.stateOf(5) === STATE_HELD ? 'held' : index.take(1, out) === 1 ? 'sent' : 'clean');
  }
  return states;
}

test('window {3 of 4, leaves after 2 clean}: the third dirty iteration holds a page, two clean ones send it', () => {
  const hold: Hold = { kind: 'window', theta: 3, of: 4, leaveAfterClean: 2 };
  assert.deepEqual(story(hold, [1, 2, 3, 5], 8), [
    'sent',
    'sent',
    'held',
    'held',
    'held',
    'held',
    'sent',
    'clean',
  ]);
  assert.deepEqual(story(hold, [1, 3, 5, 7], 7), ['sent', 'clean', 'sent', 'clean', 'sent', 'clean', 'sent']);
});

test('rate: a page rewritten every second is held above its rate only, and released once its age says slower', () => {
  const dirty = [1, 2, 3, 4, 5];
  assert.deepEqual(story({ kind: 'rate', perSecondMax: 0.6 }, dirty, 7).slice(2), [
    'held',
    'held',
    'held',
    'held',
    'sent',
  ]);
  assert.ok(!story({ kind: 'rate', perSecondMax: 2 }, dirty, 7).includes('held'));
});

test('the rewrite histogram puts a page in the class of its rate, and lets it fall while the page stays clean', () => {
  const index = new PageIndex(PAGES);
  index.arrive(1, 0);
  endIteration(index, 1000);
  for (let ms = 1000; ms < 9000; ms += 250) index.arrive(1, heatTickOf(ms));
  const classOf = (histogram: Float64Array) =>
    histogram.findIndex((pages) => pages >= 0.5) - REWRITE_CLASSES / 2;
  // 4 a second is the lower edge of class +2; ticks of 16 ms may round it just below.
  assert.ok([1, 2].includes(classOf(endIteration(index, 9000).rewriteHistogram)));
  let previous = 2;
  for (let nowMs = 10_000; nowMs < 600_000; nowMs += 10_000) {
    const histogram = endIteration(index, nowMs).rewriteHistogram;
    assert.ok(Math.abs(histogram.reduce((sum, pages) => sum + pages, 0) - 1) < 1e-9);
    const now = histogram.reduce((sum, pages, at) => sum + pages * (at - REWRITE_CLASSES / 2), 0);
    assert.ok(now <= previous + 1e-9, `class ${now} after ${previous}`);
    previous = now;
  }
  assert.ok(previous < -6, `after ten clean minutes the class is ${previous}`);
});

test('held pages go coldest first, hottest last; spill takes the coldest', () => {
  const index = new PageIndex(PAGES);
  const out = new Uint32Array(PAGES);
  for (let page = 0; page < 40; page++) index.arrive(page, 0);
  index.take(PAGES, out);
  endIteration(index, 1000);
  const everyMs = (page: number) => 300 * 2 ** ((page * 3) % 5);
  for (let ms = 1000; ms < 41_000; ms += 100) {
    for (let page = 0; page < 40; page++) if (ms % everyMs(page) === 0) index.arrive(page, heatTickOf(ms));
  }
  index.setHold({ kind: 'rate', perSecondMax: 0.01 });
  assert.equal(index.heldPages, 40);
  assert.equal(index.spill(8), 8);
  assert.equal(index.spilledPages, 8);
  const spilled = [...out.subarray(0, index.take(PAGES, out))];
  assert.ok(
    spilled.every((page) => everyMs(page) === 4800),
    `${spilled}`,
  );
  const intervals = [...out.subarray(0, index.takeHeld(PAGES, out))].map(everyMs);
  assert.deepEqual(
    intervals,
    [...intervals].sort((left, right) => right - left),
  );
  assert.equal(intervals.length, 32);
});

test('counter order sends what was modified least often first', () => {
  const index = new PageIndex(PAGES);
  const out = new Uint32Array(PAGES);
  index.setOrder({ kind: 'counter' });
  endIteration(index, 0);
  for (let times = 0; times < 8; times++) {
    for (let page = 0; page < 8 - times; page++) index.arrive(page, times);
  }
  const counts = [...out.subarray(0, index.take(PAGES, out))].map((page) => index.modificationsOf(page));
  assert.equal(counts.length, 8);
  assert.deepEqual(counts.slice(0, 2), [1, 2]);
  assert.ok(
    counts.slice(4).every((count) => count >= 5),
    `${counts}`,
  );
});

test('bookkeeping stays within its arithmetic', () => {
  const index = new PageIndex(1 << 20);
  assert.equal(index.byteLength, PageIndex.bytesFor(1 << 20));
  assert.ok(index.byteLength / (1 << 20) < 7.5);
});

test('with deltas a hot page is sent once before it is held, and held bytes count as deltas', () => {
  const index = new PageIndex(64);
  index.setHold({ kind: 'window', theta: 1, of: 1, leaveAfterClean: 2 });
  for (let page = 0; page < 64; page++) index.arrive(page, 1);
  index.endIteration({ nowMs: 10 * HEAT_TICK_MS, passes: 1, bandwidthBytesPerSecond: null });
  for (let page = 0; page < 8; page++) index.arrive(page, 20);
  assert.equal(index.heldPages, 8);
  index.setDeltaHold(10);
  assert.deepEqual([index.heldPages, index.queuedPages], [0, 64]);
  const out = new Uint32Array(64);
  assert.equal(index.take(64, out), 64);
  for (let page = 0; page < 8; page++) index.arrive(page, 30);
  assert.deepEqual([index.heldPages, index.queuedPages], [8, 0]);
  assert.equal(index.backlog().heldBytes, 80);
});
