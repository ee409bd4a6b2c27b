/**
 * Every strategy with every workload, small and seeded: each run ends with its invariants checked, and
 * repeats itself.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { GIB, MIB } from '../base/index.ts';
import { readParameters, strategies, strategyByName } from '../strategy/index.ts';
import {
  type DirtySink,
  makeGuest,
  WORKLOADS,
  type WorkloadName,
  type WorkloadOptions,
} from '../trace/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import { SIMULATION_DEFAULTS, type SimulationOptions, type SimulationResult, simulate } from './index.ts';

const PAGES = 8192;

function optionsFor(
  name: string,
  workload: WorkloadName,
  seed: number,
  guest: Partial<WorkloadOptions> = {},
  over: Partial<SimulationOptions> = {},
): SimulationOptions {
  const strategy = strategyByName(name);
  const settings = name === 'checkpoint' ? ['epochs=100'] : [];
  return {
    ...SIMULATION_DEFAULTS,
    strategy,
    parameters: readParameters(strategy, settings),
    guest: makeGuest(PAGES, {
      workload,
      seed,
      hotBytes: 8 * MIB,
      rateBytesPerSecond: 12 * MIB,
      ...guest,
    }),
    linkBytesPerSecond: 8 * MIB,
    timeLimitMs: 60_000,
    regret: false,
    ...over,
  };
}

function check(result: SimulationResult, where: string): void {
  if (result.outcome !== 'completed') {
    assert.ok(result.reason, `${where}: a run that does not complete says why`);
    return;
  }
  const { totalMigrationTimeMs, downtimeMs, stoppedAtMs } = result;
  assert.ok(totalMigrationTimeMs !== null && downtimeMs !== null && stoppedAtMs !== null, where);
  assert.ok(downtimeMs > 0 && totalMigrationTimeMs >= downtimeMs, where);
  assert.ok(result.transferredBytes > 0, where);
}

test('every strategy with every workload ends with its invariants held', () => {
  for (const { name } of strategies) {
    for (const workload of WORKLOADS) {
      const where = `godwit simulate --strategy ${name} --workload ${workload} --memory 32M --seed 3`;
      try {
        check(simulate(optionsFor(name, workload, 3)), where);
      } catch (error) {
        throw new Error(`${where}: ${String(error)}`, { cause: error });
      }
    }
  }
});

test('the same seed gives the same run, another seed another one', () => {
  for (const name of ['frs', 'mp', 'adaptive', 'hyperv']) {
    const first = simulate(optionsFor(name, 'uniform', 7));
    assert.deepEqual(simulate(optionsFor(name, 'uniform', 7)), first);
    assert.notEqual(simulate(optionsFor(name, 'uniform', 8)).transferredBytes, first.transferredBytes, name);
  }
});

test('an idle guest moves in about the time its memory takes, whatever the rule', () => {
  for (const name of ['precopy', 'frs', 'mp', 'adaptive', 'xen-classic']) {
    const result = simulate(optionsFor(name, 'idle', 1));
    assert.equal(result.success, true, `${name}: ${result.reason}`);
    const { totalMigrationTimeMsMin, transferredBytesMin } = result.bounds;
    assert.ok(result.totalMigrationTimeMs! >= totalMigrationTimeMsMin * 0.95, name);
    assert.ok(
      result.totalMigrationTimeMs! <= totalMigrationTimeMsMin + 3500,
      `${name} ${result.totalMigrationTimeMs}`,
    );
    assert.ok(result.transferredBytes <= transferredBytesMin * 1.1, name);
    assert.ok(result.downtimeMs! < 330, name);
  }
});

test("a hot set that outruns the link never fits QEMU's limit; frs and mp end all the same", () => {
  const busy = { hotBytes: 16 * MIB, rateBytesPerSecond: 40 * MIB };
  assert.equal(simulate(optionsFor('precopy', 'uniform', 1, busy)).outcome, 'timed-out');
  for (const name of ['frs', 'mp']) {
    const result = simulate(optionsFor(name, 'uniform', 1, busy));
    assert.equal(result.success, true, `${name}: ${result.reason}`);
    assert.ok(result.downtimeMs! >= result.bounds.downtimeMsMin! * 0.9, name);
  }
});

test('a gateway with little memory still moves every page', () => {
  for (const name of ['frs', 'mp', 'adaptive', 'hierarchical']) {
    const memory = { gatewayMemoryBytesMax: 18 * MIB };
    const result = simulate(optionsFor(name, 'uniform', 2, { hotBytes: 24 * MIB }, memory));
    assert.equal(result.outcome, 'completed', `${name}: ${result.reason}`);
  }
});

test('a zero page costs next to nothing, deltas shrink what one word changed', () => {
  const zero = simulate(optionsFor('frs', 'idle', 1, { fillBytes: 4 * MIB }));
  assert.ok(zero.transferredBytes < 8 * MIB, `${zero.transferredBytes}`);
  const whole = simulate(optionsFor('frs', 'uniform', 1));
  for (const arrangement of ['single', 'paired'] as const) {
    const word = simulate(optionsFor('frs', 'stress', 1, {}, { arrangement }));
    assert.ok(
      word.downtimeMs! < 0.6 * whole.downtimeMs!,
      `${arrangement}: ${word.downtimeMs}, ${whole.downtimeMs}`,
    );
  }
});

test('regret: the clairvoyant is never beaten by the rule whose run it watches', () => {
  for (const name of ['frs', 'mp', 'adaptive']) {
    const result = simulate(optionsFor(name, 'uniform', 4, {}, { regret: true }));
    assert.ok(result.clairvoyant, name);
    assert.ok(result.regret !== null && result.regret >= 0 && result.regret < 1, `${name}: ${result.regret}`);
  }
});

/**
 * A guest of 16 GiB is large: its writes are drawn by chunks, and not at all where they would change nothing.
 */
const LARGE_PAGES = (16 * GIB) / PAGE_SIZE_BYTES;

function largeRun(
  name: string,
  workload: WorkloadName,
  pageCount: number,
  settles: boolean,
): SimulationResult {
  const busy = { hotBytes: 2 * GIB, rateBytesPerSecond: 6 * GIB };
  const options = optionsFor(name, workload, 6, busy, { linkBytesPerSecond: 1e9, timeLimitMs: 45_000 });
  const whole = makeGuest(pageCount, { workload, seed: 6, ...busy });
  const guest = {
    ...whole,
    writeStep(step: number, sink: DirtySink) {
      const { page, range, word } = sink;
      const bare = { page: page.bind(sink), range: range.bind(sink), word: word.bind(sink) };
      whole.writeStep(step, settles ? sink : bare);
    },
  };
  return simulate({ ...options, guest, gatewayMemoryBytesMax: 16 * GIB });
}

test('leaving out writes that change nothing changes nothing but what was worked through', () => {
  for (const [name, workload] of [
    ['adaptive', 'uniform'],
    ['frs', 'phased'],
  ] as const) {
    const { pageEvents, ...left } = largeRun(name, workload, LARGE_PAGES, true);
    const { pageEvents: all, ...drawn } = largeRun(name, workload, LARGE_PAGES, false);
    assert.deepEqual(left, drawn);
    assert.ok(pageEvents < all, `${name}: ${pageEvents}, ${all}`);
  }
});

test('a large guest and one just too small for it move alike', () => {
  for (const [name, workload] of [
    ['adaptive', 'uniform'],
    ['mp', 'phased'],
  ] as const) {
    const large = largeRun(name, workload, LARGE_PAGES, true);
    const small = largeRun(name, workload, LARGE_PAGES - 1024, true);
    assert.equal(large.outcome, small.outcome);
    for (const field of ['totalMigrationTimeMs', 'downtimeMs', 'transferredBytes'] as const) {
      const ratio = large[field]! / small[field]!;
      // A stop comes at a tick: one of 50 ms more or less is that share of a downtime of 1.5 s.
      const most = field === 'downtimeMs' ? 0.05 : 0.01;
      assert.ok(Math.abs(ratio - 1) < most, `${name}, ${workload}, ${field}: ${ratio}`);
    }
  }
});
