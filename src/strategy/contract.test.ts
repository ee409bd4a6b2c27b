/**
 * What every strategy owes the engine, whatever it is asked: the contract of src/vm/strategy.ts, as
 * properties over random outlooks.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { Bitmap } from '../base/index.ts';
import {
  type IterationStats,
  type Outlook,
  REWRITE_CLASSES,
  type Snapshot,
  type Verdict,
} from '../vm/index.ts';
import { readParameters, strategies } from './index.ts';
import { NOTHING_LIMITS } from './outlook.testing.ts';

const PAGES = 4096;
const REGIONS = 16;
/** Room for MP's region set of 4096 bits and KubeVirt's 64 samples; far below any history. */
const MEMORY_CHARS_MAX = 16_384;

const pages = fc.integer({ min: 0, max: PAGES });
const rate = fc.option(fc.oneof(fc.constant(0.001), fc.double({ min: 1, max: 1e10, noNaN: true })), {
  nil: null,
});

const backlog = fc
  .record({ queuedPages: pages, heldPages: pages, pageBytes: fc.integer({ min: 1, max: 4104 }) })
  .map(({ queuedPages, heldPages, pageBytes }) => ({
    queuedPages,
    queuedBytes: queuedPages * pageBytes,
    heldPages,
    heldBytes: heldPages * pageBytes,
  }));

const snapshot: fc.Arbitrary<Snapshot> = fc.record({
  backlog,
  dirtyPages: pages,
  dirtyOutsideHoldPages: pages,
  sentPages: fc.nat(1e9),
  resentPages: fc.nat(1e6),
  sentBytes: fc.nat(1e9),
  firstPassDone: fc.boolean(),
  passes: fc.nat(1e4),
  sinceSyncMs: fc.option(fc.nat(1e6), { nil: null }),
  bandwidthBytesPerSecond: rate,
  roundTripMs: fc.option(fc.nat(1000), { nil: null }),
  memoryBytes: fc.nat(1e9),
  memoryBytesMax: fc.nat(1e9),
  gateHeld: fc.boolean(),
  sourceRemainingPages: fc.option(pages, { nil: null }),
});

const stats = fc.record({
  durationMs: fc.integer({ min: 0, max: 20_000 }),
  passes: fc.nat(100),
  dirtyPages: pages,
  outside: fc.double({ min: 0, max: 1, noNaN: true }),
  sentPages: pages,
  backlog,
  bandwidthBytesPerSecond: rate,
  classes: fc.array(fc.nat(PAGES), { minLength: REWRITE_CLASSES, maxLength: REWRITE_CLASSES }),
  regions: fc.array(fc.nat(PAGES), { minLength: REGIONS, maxLength: REGIONS }),
});

const pagesPerSecond = fc.constantFrom(1, 20_000, 1e6, Number.POSITIVE_INFINITY);

const outlooks: fc.Arbitrary<readonly Outlook[]> = fc
  .record({
    iterations: fc.array(fc.tuple(stats, snapshot), { minLength: 1, maxLength: 12 }),
    link: rate,
    downtime: fc.option(fc.double({ min: 0, max: 1e7, noNaN: true }), { nil: null }),
    limitMs: fc.integer({ min: 0, max: 10_000 }),
    pipeline: fc.record({
      handOverPagesPerSecond: pagesPerSecond,
      endsPagesPerSecond: pagesPerSecond,
      zeroPagesPerSecond: pagesPerSecond,
    }),
    passes: fc.array(fc.record({ startMs: fc.nat(10_000), durationMs: fc.nat(10_000), pages }), {
      maxLength: 4,
    }),
  })
  .map(({ iterations, link, downtime, limitMs, pipeline, passes }) => {
    const history: IterationStats[] = [];
    let startMs = 0;
    return iterations.map(([drawn, snapshot]) => {
      const { outside, classes, regions, ...plain } = drawn;
      history.push({
        ...plain,
        index: history.length,
        startMs,
        dirtyOutsideHoldPages: Math.floor(outside * drawn.dirtyPages),
        resentPages: 0,
        sentBytes: drawn.sentPages * 4104,
        rewriteHistogram: Float64Array.from(classes),
        regionHistogram: Uint32Array.from(regions),
        regionPages: PAGES / REGIONS,
      });
      startMs += drawn.durationMs;
      return {
        nowMs: startMs,
        pageCount: PAGES,
        limits: { downtimeMsMax: limitMs, timeoutMs: null, onTimeout: 'cancel' },
        history: [...history],
        snapshot,
        linkBytesPerSecond: link,
        pipeline,
        passes,
        downtimePredictedMs: link === null ? null : downtime,
      } satisfies Outlook;
    });
  });

/** Every number in a value is one, and finite; Infinity has no meaning to the page store. */
function checkNumbers(value: unknown, path: string): void {
  if (typeof value === 'number') assert.ok(Number.isFinite(value), `${path} is ${value}`);
  else if (value instanceof Bitmap || ArrayBuffer.isView(value)) return;
  else if (value !== null && typeof value === 'object') {
    for (const [name, field] of Object.entries(value)) checkNumbers(field, `${path}.${name}`);
  }
}

function checkVerdict(verdict: Verdict<unknown>): void {
  const { hold, order, decision, memory } = verdict;
  checkNumbers({ hold, order, decision }, 'verdict');
  assert.ok(decision.rule.length > 0 && decision.text.length > 0, 'a decision names its rule and reason');
  assert.doesNotMatch(decision.text, /NaN|Infinity|undefined|null|\[object/, decision.text);
  assert.ok(decision.text.length < 600, 'a reason is a sentence');
  assert.ok(
    JSON.stringify(memory).length < MEMORY_CHARS_MAX,
    `memory of ${JSON.stringify(memory).length} characters`,
  );
  if (hold.kind === 'window') assert.ok(hold.theta >= 1 && hold.theta <= hold.of && hold.of <= 8);
  if (hold.kind === 'rate') assert.ok(hold.perSecondMax >= 0);
  if (decision.action === 'throttle') assert.ok(decision.throttle! >= 0 && decision.throttle! <= 0.99);
}

type AnyStrategy = (typeof strategies)[number];

/** Asks as the engine does: an iteration's end, then a tick, the memory going round. */
function askAll(strategy: AnyStrategy, asked: readonly Outlook[]): Verdict<unknown>[] {
  const parameters = readParameters(strategy, []);
  let memory = strategy.start(parameters);
  const verdicts: Verdict<unknown>[] = [];
  for (const outlook of asked) {
    for (const ask of [strategy.atTick, strategy.atIteration, strategy.atTick]) {
      const verdict = ask(outlook, memory, parameters);
      if (verdict === null) continue;
      verdicts.push(verdict);
      memory = verdict.memory;
    }
    const lengthMs = strategy.iterationMs(outlook, parameters);
    assert.ok(
      Number.isFinite(lengthMs) && lengthMs >= 0 && lengthMs <= 3_600_000,
      `iteration of ${lengthMs} ms`,
    );
  }
  return verdicts;
}

/** Nothing known at all: the first tick of a migration. */
const NOTHING: Outlook = {
  nowMs: 0,
  pageCount: PAGES,
  limits: { downtimeMsMax: 300, timeoutMs: null, onTimeout: 'cancel' },
  history: [],
  snapshot: {
    backlog: { queuedPages: 0, queuedBytes: 0, heldPages: 0, heldBytes: 0 },
    dirtyPages: 0,
    dirtyOutsideHoldPages: 0,
    sentPages: 0,
    resentPages: 0,
    sentBytes: 0,
    firstPassDone: false,
    passes: 1,
    sinceSyncMs: null,
    bandwidthBytesPerSecond: null,
    roundTripMs: null,
    memoryBytes: 0,
    memoryBytesMax: 1e9,
    gateHeld: false,
  },
  pipeline: NOTHING_LIMITS,
  passes: [],
  linkBytesPerSecond: null,
  downtimePredictedMs: null,
};

for (const strategy of strategies) {
  test(`${strategy.name}: verdicts are whole, finite, reasoned and bounded`, () => {
    fc.assert(
      fc.property(outlooks, (asked) => {
        for (const verdict of askAll(strategy, asked)) checkVerdict(verdict);
      }),
      { numRuns: 60, seed: 11 },
    );
  });

  test(`${strategy.name}: the same history gives the same answer, whatever the time of day`, (context) => {
    fc.assert(
      fc.property(outlooks, (asked) => {
        const first = askAll(strategy, asked);
        const clock = context.mock.method(Date, 'now', () => assert.fail('asked for the wall clock'));
        const dice = context.mock.method(Math, 'random', () => assert.fail('threw dice'));
        const timer = context.mock.method(performance, 'now', () => assert.fail('asked for the clock'));
        try {
          assert.deepEqual(askAll(strategy, asked), first);
        } finally {
          for (const mocked of [clock, dice, timer]) mocked.mock.restore();
        }
      }),
      { numRuns: 20, seed: 12 },
    );
  });

  test(`${strategy.name}: knowing nothing it waits, and no question changes what it was asked with`, () => {
    for (const verdict of askAll(strategy, [NOTHING])) {
      checkVerdict(verdict);
      assert.equal(verdict.decision.action, 'continue', verdict.decision.text);
    }
    const [asked] = fc.sample(outlooks, { numRuns: 1, seed: 13 });
    const before = JSON.stringify(asked);
    askAll(strategy, asked!);
    assert.equal(JSON.stringify(asked), before);
  });

  test(`${strategy.name}: says what it is, and its parameters hold their defaults`, () => {
    assert.match(strategy.name, /^[a-z0-9-]+$/);
    assert.ok(strategy.idea.length > 20 && strategy.source.length > 3);
    const names = strategy.parameters.map((spec) => spec.name);
    assert.equal(new Set(names).size, names.length, 'parameter names are unique');
    for (const spec of strategy.parameters) {
      assert.ok(spec.min <= spec.default && spec.default <= spec.max, `${spec.name} default in range`);
      assert.ok(spec.meaning.length > 0 && spec.source.length > 0 && spec.unit.length > 0);
    }
    // The ends of every range must be as safe as the default.
    for (const end of ['min', 'max'] as const) {
      const settings = strategy.parameters.map((spec) => `${spec.name}=${spec[end]}`);
      const parameters = readParameters(strategy, settings);
      const [asked] = fc.sample(outlooks, { numRuns: 1, seed: 14 });
      let memory = strategy.start(parameters);
      for (const outlook of asked!) {
        const verdict = strategy.atIteration(outlook, memory, parameters);
        checkVerdict(verdict);
        memory = verdict.memory;
      }
    }
  });
}
