/** The story of each rule on a small hand-made history: where it stops and why, and where it does not. */

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Decision, Snapshot } from '../vm/index.ts';
import { readParameters, strategyByName } from './index.ts';
import { backlogOf, LINK, outlookAfter, PAGES, type Told, tell } from './outlook.testing.ts';
import { dirtyAfter, keptCurrent, plateauPages } from './plateau.ts';
import { classify, cosine, hotRegions } from './switchover/pattern-class.ts';

interface Ask {
  readonly settings?: readonly string[];
  readonly limitMs?: number;
  readonly snapshot?: Partial<Snapshot>;
}

/** Tells a strategy a story iteration by iteration; the decisions it made. */
function listen(name: string, story: readonly Told[], ask: Ask = {}): Decision[] {
  const strategy = strategyByName(name);
  const parameters = readParameters(strategy, ask.settings ?? []);
  let memory = strategy.start(parameters);
  return [...story.keys(), story.length].map((count) => {
    const outlook = outlookAfter(tell(story.slice(0, count)), ask.snapshot, ask.limitMs);
    const verdict = strategy.atIteration(outlook, memory, parameters);
    memory = verdict.memory;
    return verdict.decision;
  });
}

/** Rule and action of the last decision. */
function end(name: string, story: readonly Told[], ask: Ask = {}): string {
  const last = listen(name, story, ask).at(-1)!;
  return `${last.action} ${last.rule}`;
}

const times = (count: number, told: Told): Told[] => Array.from({ length: count }, () => told);

test('frs stops when only the frequent set is dirty and the rest is sent', () => {
  const hot: Told = { dirty: 20_000, outside: 400, held: 20_000, queued: 300 };
  assert.equal(end('frs', times(4, hot)), 'stop-and-copy frs-frequent-set');
  assert.match(
    listen('frs', times(4, hot)).at(-1)!.text,
    /400 of 20000 dirty pages \(2\.0 %\).*2\.05 s down/,
  );
});

test('frs does not stop while cold pages wait that one transmission settles', () => {
  const draining = [60_000, 50_000, 40_000, 30_000].map((queued) => ({
    dirty: 20_000,
    outside: 400,
    held: 20_000,
    queued,
  }));
  assert.equal(end('frs', draining), 'continue frs-drain');
  assert.match(listen('frs', draining).at(-1)!.text, /outside the held set take 3\.00 s more/);
});

test('frs does not believe an empty window: three iterations make a frequent set', () => {
  const story = times(2, { dirty: 20_000, outside: 0, held: 20_000 });
  assert.equal(end('frs', story), 'continue frs-learn');
});

test('frs stops when dirtying no longer falls and what is sent comes back', () => {
  const wide: Told = { dirty: 30_000, outside: 20_000, held: 10_000, queued: 25_000 };
  assert.equal(end('frs', times(5, wide)), 'stop-and-copy frs-flat');
  const falling = [40_000, 30_000, 22_000, 16_000].map((dirty) => ({ dirty, outside: dirty, queued: dirty }));
  assert.equal(end('frs', falling), 'continue frs-learn');
});

test('frs stops at once when the rest fits the limit, and never before dirtying was asked for', () => {
  assert.equal(end('frs', [{ dirty: 100, queued: 100 }]), 'stop-and-copy fits-limit');
  assert.equal(end('frs', []), 'continue frs-learn');
});

test('mp settles on a hot spot that outruns the link, and stops once the cold queue is gone', () => {
  const hot: Told = { dirty: 20_000, regions: [3, 4], held: 20_000, queued: 200, sent: 500 };
  assert.equal(end('mp', times(2, { ...hot, queued: 40_000, sent: 10_000 })), 'continue mp-watch');
  const rules = listen('mp', times(4, hot)).map(({ rule }) => rule);
  assert.deepEqual(
    rules.slice(-2),
    ['mp-trim', 'mp-settled'],
    'held pages are sent, and that bought nothing',
  );
  const falling = [20_000, 16_000, 13_000].map((held) => ({ ...hot, held }));
  assert.equal(end('mp', [...times(2, hot), ...falling]), 'continue mp-trim', '0.3 s a second is worth it');
  const cold = [70_000, 60_000, 50_000, 40_000].map((queued) => ({ ...hot, queued, sent: 10_000 }));
  assert.equal(end('mp', cold), 'continue mp-drain');
});

test('mp lets a guest converge that dirties less than the link carries', () => {
  const light = [40_000, 30_000, 20_000, 10_000].map((queued) => ({ dirty: 2000, queued }));
  assert.equal(end('mp', light), 'continue mp-converging');
});

test('mp waits for the quiet phase of a phased guest, for a period at most', () => {
  const busy: Told = { dirty: 20_000, held: 20_000, queued: 0, sent: 10_000 };
  const quiet: Told = { dirty: 100, held: 20_000, queued: 0, sent: 10_000 };
  const phases = [busy, busy, quiet, quiet, busy];
  const decisions = listen('mp', phases);
  assert.equal(decisions.at(-1)!.rule, 'mp-wait-trough');
  const patient = listen('mp', [...phases, busy, busy, busy, busy, busy]);
  assert.equal(patient.at(-1)!.rule, 'mp-patience');
  assert.equal(patient.at(-1)!.action, 'stop-and-copy');
});

test('the classes of mp', () => {
  const of = (story: Told[]) => classify(tell(story), PAGES).class;
  assert.equal(of([]), 'unknown');
  assert.equal(of([{ dirty: 20_000 }]), 'unknown', 'one iteration is not a pattern');
  assert.equal(of(times(3, { dirty: 50 })), 'idle');
  assert.equal(of(times(3, { dirty: 20_000, regions: [5, 6, 7] })), 'hot-spot');
  assert.equal(
    of(times(3, { dirty: 20_000, regions: Array.from({ length: 20 }, (_, index) => index) })),
    'scattered',
  );
  assert.equal(of([2, 5, 8].map((region) => ({ dirty: 20_000, regions: [region] }))), 'sweep');
  assert.equal(
    of([16, 19, 2].map((region) => ({ dirty: 20_000, regions: [region] }))),
    'sweep',
    'the front came round',
  );
  assert.equal(of([20_000, 100, 20_000, 100].map((dirty) => ({ dirty }))), 'phased');
  assert.equal(cosine(Uint32Array.of(0, 0), Uint32Array.of(1, 0)), null, 'no direction without dirty pages');
  assert.equal(hotRegions(tell([{ dirty: 20_000, regions: [5, 6] }]))?.count(), 2);
});

test('the forecast: what a link keeps current, and where plain iterations settle', () => {
  const histogram = new Float64Array(32);
  histogram[16] = 1000; // about 1.4 rewrites a second
  histogram[10] = 64_000; // about one in 45 s
  const all = keptCurrent(histogram, 1e6);
  assert.deepEqual(all, { rewritesPerSecondMax: Number.POSITIVE_INFINITY, hotterPages: 0 });
  const coldOnly = keptCurrent(histogram, 1500);
  assert.ok(coldOnly.hotterPages > 900 && coldOnly.hotterPages < 1000 && coldOnly.rewritesPerSecondMax < 1.1);
  assert.equal(keptCurrent(histogram, 0).hotterPages, 65_000);
  assert.ok(Math.abs(dirtyAfter(histogram, 1e6) - 65_000) < 1, 'after long enough all of it');
  const hot = new Float64Array(32);
  hot[18] = 10_000;
  const plateau = plateauPages(hot, 10_000);
  assert.ok(Math.abs(plateau - dirtyAfter(hot, plateau / 10_000)) < 1, 'a fixed point');
  assert.ok(plateauPages(hot, 1e6) < 1, 'a fast link reaches zero');
});

test('adaptive waits while the limit can be met, and says when it cannot', () => {
  const light: Told = { dirty: 2000, rates: [[0.25, 8000]] };
  const reachable = [30_000, 20_000, 10_000].map((queued) => ({ ...light, queued }));
  assert.equal(end('adaptive', reachable), 'continue adaptive-watch');
  const fits = [...reachable, { ...light, queued: 2000 }];
  assert.equal(end('adaptive', fits), 'continue adaptive-settle', 'a rest that shrinks is worth a moment');
  const stays = { ...light, queued: 1900 };
  assert.equal(end('adaptive', [...fits, stays]), 'stop-and-copy fits-limit', 'one that does not is not');
  assert.equal(end('adaptive', [...reachable, { ...light, queued: 0 }]), 'stop-and-copy fits-limit');
  const heavy: Told = { dirty: 40_000, rates: [[4, 40_000]], regions: [0, 1, 2], held: 38_000, queued: 400 };
  const last = listen('adaptive', times(4, heavy)).at(-1)!;
  assert.equal(`${last.action} ${last.rule}`, 'stop-and-copy adaptive-plateau');
  assert.match(
    last.text,
    /dirty .* > link .* in 3 regions.*stopped now: 3\.86 s down.*limit 300 ms cannot be met without post-copy/,
  );
});

test('adaptive does not stop while sending still takes off more than it costs', () => {
  const heavy = [78_000, 70_000, 62_000, 54_000].map((queued) => ({
    dirty: 40_000,
    rates: [[4, 40_000] as const],
    queued,
  }));
  assert.equal(end('adaptive', heavy), 'continue adaptive-watch');
  const neverSent = { snapshot: { sentPages: PAGES - 54_000 } };
  assert.equal(end('adaptive', heavy, neverSent), 'continue adaptive-drain');
  const holds = strategyByName('adaptive');
  const outlook = outlookAfter(tell(heavy));
  const parameters = readParameters(holds, []);
  const first = holds.atIteration(outlook, holds.start(parameters), parameters);
  assert.equal(first.hold.kind, 'rate', 'pages too hot to keep current wait');
});

test('adaptive believes no forecast for longer than a share of the cost, and stops where it was cheapest', () => {
  // Rates so low that the limit seems in reach, but the backlog swings and never gets there.
  const light = { dirty: 8000, rates: [[0.25, 8000] as const] };
  const swing = (queued: readonly number[]) => queued.map((pages) => ({ ...light, queued: pages }));
  const answers = (queued: readonly number[], settings: readonly string[] = []) =>
    listen('adaptive', swing(queued), { settings: ['downtimeWeight=5', ...settings] }).map(
      (decision) => `${decision.action} ${decision.rule}`,
    );
  const returns = answers([30_000, 8000, 4000, 10_000, 4100]);
  assert.deepEqual(returns.slice(-3), [
    'continue adaptive-watch',
    'continue adaptive-watch',
    'stop-and-copy adaptive-plateau',
  ]);
  const never = answers([30_000, 8000, 4000, 10_000, 10_000]);
  assert.equal(
    never.at(-1),
    'stop-and-copy adaptive-plateau',
    'a quarter of what it would save, and patience, are over',
  );
  const little = answers([30_000, 8000, 4000, 4500, 4500]);
  assert.equal(little.at(-2), 'stop-and-copy adaptive-plateau', 'so little saved is worth a pass, no second');
  const patient = answers([30_000, 8000, 4000, 4500, 4500], ['patienceShare=0.15']);
  assert.equal(patient.at(-2), 'continue adaptive-watch');
});

test('what the guest wrote since the last sync is not known: a stop that hangs on it waits for the next sync', () => {
  const busy: Told = { dirty: 20_000, rates: [[4, 20_000]] };
  const quiet: Told = { dirty: 100, rates: [[0.25, 100]], queued: 0 };
  const story = [busy, busy, busy, quiet];
  for (const name of ['adaptive', 'frs', 'mp']) {
    const after = (sinceSyncMs: number, over = {}) =>
      end(name, story, { snapshot: { sinceSyncMs, sourceRemainingPages: 0, ...over } });
    assert.equal(after(50), 'stop-and-copy fits-limit');
    assert.equal(after(150), 'continue fits-sync');
    assert.equal(after(450), 'stop-and-copy fits-limit', 'a sync that is late is not waited for');
    const unknown = { sourceRemainingPages: null };
    assert.equal(after(20, unknown), 'continue fits-sync', 'QEMU has not handed over what that sync found');
    assert.equal(after(100, unknown), 'stop-and-copy fits-limit');
  }
  const calm = times(4, { dirty: 100, rates: [[0.25, 100]] });
  assert.equal(end('frs', calm, { snapshot: { sinceSyncMs: 150 } }), 'stop-and-copy fits-limit');
});

test('until heat is known, regions in which nothing was found dirty go first', () => {
  const orderAfter = (story: readonly Told[]) => {
    const outlook = outlookAfter(tell(story));
    const orders = ['adaptive', 'frs', 'mp'].map((name) => {
      const strategy = strategyByName(name);
      const parameters = readParameters(strategy, []);
      return strategy.atIteration(outlook, strategy.start(parameters), parameters).order;
    });
    assert.deepEqual(orders[1], orders[0]);
    assert.deepEqual(orders[2], orders[0]);
    return orders[0]!;
  };
  assert.equal(orderAfter([]).kind, 'coldest', 'nothing known');
  const onePass: Told = { dirty: 2000, regions: [3, 4] };
  const first = orderAfter([onePass]);
  assert.ok(first.kind === 'region');
  // A fifth of each region's 5,000 pages: density 2^-2.3.
  assert.deepEqual([...first.classOfRegion.slice(0, 6)], [0, 0, 0, 5, 5, 0]);
  assert.equal(orderAfter(times(2, onePass)).kind, 'coldest', 'then pages go by their own heat');
});

test('native pre-copy compares what remains with bandwidth times limit', () => {
  assert.equal(end('precopy', [{ dirty: 20_000, queued: 2900 }]), 'stop-and-copy fits');
  assert.equal(end('precopy', times(20, { dirty: 20_000, queued: 3100 })), 'continue fits');
  assert.equal(end('precopy-relaxed', [{ dirty: 20_000, queued: 23_000 }]), 'stop-and-copy fits');
  assert.equal(
    end('precopy-relaxed', [{ dirty: 20_000, queued: 23_000 }], { settings: ['doublings=2'] }),
    'continue fits',
  );
  const inside = { sourceRemainingPages: 50_000 };
  assert.equal(
    end('precopy', [{ dirty: 50_000, queued: 100 }], { snapshot: inside }),
    'continue fits',
    'QEMU holds the rest',
  );
});

test('xen counts passes, pages, and what it sends again', () => {
  const level: Told = { dirty: 20_000, queued: 20_000 };
  assert.equal(end('xen-v2', times(3, level)), 'continue xen-v2');
  assert.equal(end('xen-v2', times(4, level)), 'stop-and-copy xen-v2');
  assert.equal(end('xen-v2', [{ dirty: 40, queued: 40 }]), 'stop-and-copy xen-v2');
  assert.equal(end('xen-classic', times(27, level)), 'continue xen-classic');
  assert.equal(end('xen-classic', times(28, level)), 'stop-and-copy xen-classic');
  const more = [level, { ...level, sent: 10_001 }];
  assert.match(
    listen('xen-classic', more).at(-1)!.text,
    /more than the 10000 of the pass before, at full rate/,
  );
  assert.equal(
    end('xen-classic', [level], { snapshot: { sentPages: 3 * PAGES + 1 } }),
    'stop-and-copy xen-classic',
  );
  assert.equal(end('hyperv', times(8, level)), 'continue hyperv');
  assert.equal(end('hyperv', times(9, level)), 'stop-and-copy hyperv');
});

test('vmotion stops within 500 ms and slows a guest that outruns the link, more each time', () => {
  assert.equal(end('vmotion', [{ dirty: 4000, queued: 4900 }]), 'stop-and-copy fits');
  assert.equal(end('vmotion', [{ dirty: 4000, queued: 5100 }]), 'continue fits');
  const shares = listen('vmotion', times(8, { dirty: 20_000, queued: 20_000 })).map(
    (decision) => decision.throttle ?? 0,
  );
  assert.deepEqual(
    shares.slice(0, 4).map((share) => share.toFixed(1)),
    ['0.0', '0.1', '0.2', '0.3'],
  );
  assert.equal(shares.at(-1), 0.6);
});

test('ovirt raises its limit with every stall and then gives up', () => {
  const stuck: Told = { dirty: 20_000, queued: 4500 };
  // The first look is at an empty backlog of iteration 0; it must not count as the least ever.
  const stalls = (count: number) => times(count, stuck);
  const ask = { snapshot: { backlog: backlogOf(4500, 0) } };
  assert.equal(end('ovirt', stalls(5), ask), 'continue fits', '400 ms are not enough');
  assert.equal(end('ovirt', stalls(6), ask), 'stop-and-copy fits', '500 ms are');
  const wide = { snapshot: { backlog: backlogOf(20_000, 0) } };
  assert.equal(end('ovirt', stalls(6), wide), 'continue fits');
  assert.equal(end('ovirt', stalls(7), wide), 'abort ovirt');
});

test('proxmox doubles after more than five rises', () => {
  const strategy = strategyByName('proxmox');
  const parameters = readParameters(strategy, []);
  let memory = strategy.start(parameters);
  const limits: string[] = [];
  for (let poll = 1; poll <= 8; poll++) {
    const base = outlookAfter(tell([{ dirty: 20_000 }]), { backlog: backlogOf(20_000 + poll, 0) });
    const verdict = strategy.atTick({ ...base, nowMs: poll * 1000 }, memory, parameters);
    memory = verdict!.memory;
    limits.push(/limit (\d+) ms/.exec(verdict!.decision.text)![1]!);
    assert.equal(
      strategy.atTick({ ...base, nowMs: poll * 1000 + 50 }, memory, parameters),
      null,
      'between polls',
    );
  }
  assert.deepEqual(limits, ['100', '100', '100', '100', '100', '100', '200', '200']);
});

test('nova climbs in linear steps and gives up, or forces', () => {
  const at = (nowMs: number, queued: number, settings: string[] = []) => {
    const strategy = strategyByName('nova');
    const parameters = readParameters(strategy, settings);
    const outlook = { ...outlookAfter(tell([{ dirty: 20_000, queued }])), nowMs };
    const tick = strategy.atTick(outlook, null, parameters);
    const { decision } = tick ?? strategy.atIteration(outlook, null, parameters);
    return `${decision.action} ${decision.rule}`;
  };
  // 2 GiB are the least it counts: 150 s a step, 1600 s in all.
  assert.equal(at(0, 490), 'stop-and-copy fits', 'first limit 50 ms');
  assert.equal(at(0, 600), 'continue fits');
  assert.equal(at(150_000, 900), 'stop-and-copy fits', 'then 95 ms');
  assert.equal(at(1_500_000, 4900), 'stop-and-copy fits', '500 ms at last');
  assert.equal(at(1_600_000, 9000), 'abort nova-timeout');
  assert.equal(at(1_600_000, 9000, ['force=1']), 'stop-and-copy nova-force');
  assert.equal(at(16_000, 9000, ['timeScale=0.01']), 'abort nova-timeout');
});

test('kubevirt: the ramp and the stall detector', () => {
  const stuck: Told = { dirty: 20_000, queued: 8000 };
  assert.equal(end('kubevirt-ramp', times(30, stuck)), 'continue fits');
  assert.equal(end('kubevirt-ramp', times(60, stuck)), 'stop-and-copy fits', 'the limit passed 800 ms');
  assert.equal(end('kubevirt-stall', [stuck]), 'stop-and-copy stall-fits');
  const above: Told = { dirty: 20_000, queued: 12_000 };
  const ask = { snapshot: { backlog: backlogOf(12_000, 0) } };
  assert.equal(end('kubevirt-stall', times(38, above), ask), 'continue stall');
  assert.equal(
    end('kubevirt-stall', times(45, above), ask),
    'stop-and-copy stall-switch',
    '1.2 s: within the cap x 1.5',
  );
  const hopeless = { snapshot: { backlog: backlogOf(20_000, 0) } };
  assert.equal(end('kubevirt-stall', times(100, above), hopeless), 'abort stall-abort');
});

test('the relatives: held pages alone are left, remaining memory stops falling', () => {
  const held: Told = { dirty: 20_000, held: 20_000, queued: 100 };
  assert.equal(end('time-series', times(3, held)), 'stop-and-copy time-series');
  assert.equal(end('time-series', times(3, { ...held, queued: 9000 })), 'continue time-series');
  const shrinking = [60_000, 40_000, 25_000].map((queued) => ({ dirty: 20_000, queued }));
  const first = { snapshot: {} };
  assert.equal(end('hierarchical', shrinking, first), 'continue hierarchical');
  const strategy = strategyByName('memory-rate');
  const parameters = readParameters(strategy, []);
  let memory = strategy.start(parameters);
  const rules = [60_000, 40_000, 25_000, 30_000, 24_900].map((queued) => {
    const verdict = strategy.atIteration(outlookAfter(tell([{ dirty: 20_000, queued }])), memory, parameters);
    memory = verdict.memory;
    return verdict.decision.rule;
  });
  assert.deepEqual(rules, [
    'memory-rate',
    'memory-rate',
    'memory-rate',
    'memory-rate',
    'memory-rate-repeats',
  ]);
});

test("QEMU's mechanisms: post-copy after its passes, auto-converge after two bad ones", () => {
  assert.equal(end('postcopy', []), 'post-copy postcopy');
  assert.match(listen('postcopy', []).at(-1)!.text, /a failure in that phase loses the VM/);
  assert.equal(end('postcopy', [], { settings: ['passes=2'] }), 'continue postcopy');
  assert.equal(end('three-stage', []), 'post-copy three-stage');
  const steps = listen('auto-converge', times(7, { dirty: 8000, sent: 10_000, queued: 8000 }));
  assert.deepEqual(
    steps.slice(1).map((decision) => decision.throttle?.toFixed(1) ?? '-'),
    ['-', '0.2', '-', '0.3', '-', '0.4', '-'],
  );
  const slow = listen('auto-converge', times(4, { dirty: 4000, sent: 10_000, queued: 8000 }));
  assert.ok(slow.every((decision) => decision.action !== 'throttle'));
});

test('the models: logs shrink until they fit, checkpoints never end by themselves', () => {
  const strategy = strategyByName('trace-replay');
  const parameters = readParameters(strategy, [`logBytesPerSecond=${LINK / 4}`, 'replaySpeed=2']);
  let memory = strategy.start(parameters);
  const base = outlookAfter(tell([{ dirty: 20_000 }]));
  let stoppedMs: number | null = null;
  for (let nowMs = 8000; nowMs < 60_000 && stoppedMs === null; nowMs += 50) {
    const verdict = strategy.atTick({ ...base, nowMs }, memory, parameters)!;
    memory = verdict.memory;
    if (verdict.decision.action === 'stop-and-copy') stoppedMs = nowMs;
  }
  // Each round halves the log: 8 s of it take 4, 2, 1, 0.5 s; the next takes 0.25 s and fits.
  assert.ok(stoppedMs !== null && Math.abs(stoppedMs - 15_500) < 300, `${stoppedMs}`);
  assert.equal(end('checkpoint', times(50, { dirty: 500 })), 'continue checkpoint');
  assert.equal(
    end('checkpoint', times(5, { dirty: 500 }), { settings: ['epochs=5'] }),
    'stop-and-copy checkpoint',
  );
});
