import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB } from '../../base/index.ts';
import type { ProgressView } from '../../controller/index.ts';
import type { BaselineProgress } from '../../lab/index.ts';
import type { IterationStats, Snapshot } from '../../vm/index.ts';
import { painter } from './output.ts';
import {
  type BaselineContext,
  baselinePanel,
  iterationHeader,
  iterationRow,
  migrationPanel,
  sparkline,
  stackedBar,
  wrap,
} from './progress-panel.ts';
import { displayWidth } from './table.ts';

const PAGES_A_MIB = 256;
const plain = (columns: number) => ({ columns, paint: painter(false) });

function snapshotOf(changes: Partial<Snapshot> = {}): Snapshot {
  return {
    backlog: {
      queuedPages: 16 * PAGES_A_MIB,
      queuedBytes: 16 * MIB,
      heldPages: 32 * PAGES_A_MIB,
      heldBytes: 32 * MIB,
    },
    dirtyPages: 8 * PAGES_A_MIB,
    dirtyOutsideHoldPages: 0,
    sentPages: 200 * PAGES_A_MIB,
    resentPages: 0,
    sentBytes: 200 * MIB,
    firstPassDone: true,
    passes: 9,
    sinceSyncMs: 10,
    bandwidthBytesPerSecond: 24 * MIB,
    roundTripMs: null,
    memoryBytes: 0,
    memoryBytesMax: 0,
    gateHeld: true,
    ...changes,
  };
}

function iterationOf(index: number, dirtyMib: number, durationMs = 2000): IterationStats {
  return {
    index,
    startMs: 0,
    durationMs,
    passes: 1,
    dirtyPages: dirtyMib * PAGES_A_MIB,
    dirtyOutsideHoldPages: 0,
    sentPages: 40 * PAGES_A_MIB,
    resentPages: 10 * PAGES_A_MIB,
    sentBytes: 40 * MIB,
    backlog: { queuedPages: 256, queuedBytes: MIB, heldPages: 512, heldBytes: 2 * MIB },
    bandwidthBytesPerSecond: null,
    rewriteHistogram: new Float64Array(32),
    regionHistogram: new Uint32Array(1),
    regionPages: 512,
  };
}

function viewOf(changes: Partial<ProgressView> = {}): ProgressView {
  return {
    phase: 'iterating',
    nowMs: 7410,
    snapshot: snapshotOf(),
    iterations: [iterationOf(0, 256), iterationOf(1, 39), iterationOf(2, 20)],
    decision: {
      action: 'continue',
      rule: 'mp-watch',
      text: 'dirty 77.0 MiB/s > link 22.5 MiB/s; 1 of 2 iterations alike; stopped now: 1.72 s down',
    },
    downtimePredictedMs: 1720,
    ...changes,
  };
}

const context = { title: 'godwit mp', memoryBytes: 256 * MIB };

test('the panel shows where every page of the memory is', () => {
  const lines = migrationPanel(viewOf(), context, plain(80));
  assert.match(
    lines[0]!,
    /^godwit mp {2}iterating {2}7\.41 s {2}sent 200 MiB at 24\.0 MiB\/s {2}stopped now: 1\.72 s down/,
  );
  const bar = lines[1]!.slice(10);
  assert.equal(bar.length, 68);
  // 208 of 256 MiB are there, 16 queued, 32 held.
  assert.equal(bar.match(/█/g)?.length, Math.round((208 / 256) * 68));
  assert.match(bar, /^█+▒{5}▓{8}$/);
  assert.match(lines[2]!, /█ there 208 MiB {3}▒ queued 16\.0 MiB {3}▓ held 32\.0 MiB$/);
});

test('the panel says what the rule thinks, and why not yet', () => {
  const lines = migrationPanel(viewOf(), context, plain(80));
  const from = lines.findIndex((line) => line.startsWith('  rule'));
  assert.equal(
    lines
      .slice(from)
      .map((line) => line.slice(10))
      .join(' '),
    'mp-watch: dirty 77.0 MiB/s > link 22.5 MiB/s; 1 of 2 iterations alike; stopped now: 1.72 s down',
  );
});

test('in the first pass what QEMU has not read yet is shown, and nothing is called dirty', () => {
  const snapshot = snapshotOf({
    firstPassDone: false,
    dirtyPages: 0,
    sentPages: 64 * PAGES_A_MIB,
    backlog: { queuedPages: 64 * PAGES_A_MIB, queuedBytes: 64 * MIB, heldPages: 0, heldBytes: 0 },
    bandwidthBytesPerSecond: null,
  });
  const view = viewOf({
    phase: 'first-pass',
    snapshot,
    iterations: [],
    decision: null,
    downtimePredictedMs: null,
  });
  const lines = migrationPanel(view, context, plain(80));
  assert.match(lines[0]!, /first pass .* sent 200 MiB {2}downtime not known yet/);
  assert.match(lines[1]!, /█{17}▒{17}·{34}$/);
  assert.match(lines[2]!, /█ there 64\.0 MiB {3}▒ queued 64\.0 MiB {3}· unread 128 MiB$/);
  assert.equal(lines.length, 3);
});

test('while the VM is stopped no downtime is forecast', () => {
  const [head] = migrationPanel(viewOf({ phase: 'stop-and-copy' }), context, plain(80));
  assert.doesNotMatch(head!, /stopped now/);
});

test('every line of both panels fits the terminal; only the first one may be cut', () => {
  for (const columns of [80, 120, 300]) {
    const lines = [
      ...migrationPanel(viewOf(), context, plain(columns)).slice(1),
      ...baselinePanel(baselineProgress, baselineContext, plain(columns)).slice(1),
    ];
    const tooWide = lines.filter((line) => displayWidth(line) >= columns);
    assert.deepEqual(tooWide, []);
  }
});

test('header and rows of the iterations line up', () => {
  const [header, ...legend] = iterationHeader(plain(80)).reverse();
  const first = iterationRow(iterationOf(0, 256), null);
  const second = iterationRow(iterationOf(12, 39), 1720);
  assert.equal(header, '  iter     took   dirty    sent   again   MiB/s    held  queued  down if stopped');
  assert.match(legend.reverse().join(' '), /in MiB: what the guest changed \(dirty\)/);
  assert.equal(first, '  0      2.00 s       –    40.0    10.0    20.0     2.0     1.0                –');
  assert.equal(second, '  12     2.00 s    39.0    40.0    10.0    20.0     2.0     1.0           1.72 s');
});

test('an iteration of no time has no rate', () => {
  assert.match(iterationRow(iterationOf(1, 39, 0), null), /10\.0 +– +2\.0/);
});

const baselineProgress: BaselineProgress = {
  elapsedMs: 30_000,
  iteration: 14,
  remainingBytes: 38 * MIB,
  dirtyBytesPerSecond: null,
  transferredBytes: 700 * MIB,
  sentBytesPerSecond: 23 * MIB,
};

const baselineContext: BaselineContext = {
  title: 'plain pre-copy',
  timeLimitMs: 60_000,
  downtimeLimitMs: 300,
  linkBytesPerSecond: 25_000_000,
  leftBytes: [256 * MIB, 128 * MIB, null, 38 * MIB],
};

test('plain pre-copy shows what is left beside what would fit', () => {
  const lines = baselinePanel(baselineProgress, baselineContext, plain(80));
  assert.equal(lines[0], 'plain pre-copy  30.0 s of 60.0 s  pass 14  38.0 MiB left  7.2 MiB allowed');
  assert.match(lines[1]!, /█{34}░{34}$/);
  assert.equal(lines[2]!.slice(10), '█▅ ▂');
  assert.match(lines[3]!, /dirtied – {3}sent 23\.0 MiB\/s/);
});

test('a sparkline keeps the newest values and survives zeros', () => {
  assert.equal(sparkline([9, 9, 0, 7], 2), '▁█');
  assert.equal(sparkline([0, 0], 5), '▁▁');
  assert.equal(sparkline([1], 0), '');
});

test('a stacked bar fills its columns, whatever rounding does', () => {
  const thirds = ['a', 'b', 'c'].map((mark) => ({ size: 1, mark }));
  assert.equal(stackedBar(thirds, 3, 10), 'aaabbbbccc');
  assert.equal(stackedBar(thirds, 0, 10), '');
  // More than the whole must not draw past the end.
  assert.equal(stackedBar([{ size: 9, mark: 'a' }], 3, 4), 'aaaa');
});

test('text is wrapped at words', () => {
  assert.deepEqual(wrap('one two three', 7), ['one two', 'three']);
  assert.deepEqual(wrap('unbreakable', 4), ['unbreakable']);
  assert.deepEqual(wrap('', 4), []);
});
