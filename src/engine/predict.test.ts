import assert from 'node:assert/strict';
import test from 'node:test';
import { type IterationStats, REWRITE_CLASSES, type Snapshot } from '../vm/index.ts';
import { heldOutlastsHurry, hurryMsMax, predict } from './index.ts';
import type { PassArrivals } from './state.ts';

const PAGES = 10_000;
const PAGE_BYTES = 4104;
const LINK = 1000 * PAGE_BYTES;

/** 1,000 pages, each found dirty at every other sync 250 ms apart: rates of 2 a second. */
function iteration(dirtyPages: number): IterationStats {
  const rewriteHistogram = new Float64Array(REWRITE_CLASSES);
  rewriteHistogram[16] = 1000;
  return {
    index: 1,
    startMs: 1000,
    durationMs: 1000,
    passes: 4,
    dirtyPages,
    dirtyOutsideHoldPages: dirtyPages,
    sentPages: 1000,
    resentPages: 0,
    sentBytes: 1000 * PAGE_BYTES,
    backlog: { queuedPages: 0, queuedBytes: 0, heldPages: 0, heldBytes: 0 },
    bandwidthBytesPerSecond: LINK,
    rewriteHistogram,
    regionHistogram: new Uint32Array(4),
    regionPages: 2500,
  };
}

function snapshot(over: Partial<Snapshot> = {}): Snapshot {
  return {
    backlog: { queuedPages: 0, queuedBytes: 0, heldPages: 0, heldBytes: 0 },
    dirtyPages: 600,
    dirtyOutsideHoldPages: 600,
    sentPages: PAGES,
    resentPages: 0,
    sentBytes: PAGES * PAGE_BYTES,
    firstPassDone: true,
    passes: 6,
    sinceSyncMs: 240,
    bandwidthBytesPerSecond: LINK,
    roundTripMs: 1,
    memoryBytes: 0,
    memoryBytesMax: 1e9,
    gateHeld: false,
    ...over,
  };
}

const downtimeMs = (
  now: Snapshot,
  last = iteration(1000),
  passesBefore = 4,
  arrivals: PassArrivals | null = null,
) => predict(now, [last], PAGES, LINK, 80, { atIterationStart: passesBefore, arrivals }).downtimeMs!;

test('many small pages take as long as the far side needs to apply them', () => {
  const backlog = { queuedPages: 0, queuedBytes: 0, heldPages: 9000, heldBytes: 9000 * 16 };
  const quiet = { ...iteration(0), rewriteHistogram: new Float64Array(REWRITE_CLASSES) };
  const onLink = (9000 * 16 * 1000) / LINK + 80;
  assert.ok(Math.abs(downtimeMs(snapshot({ backlog }), quiet) - onLink) < 1);
  assert.ok(Math.abs(downtimeMs(snapshot({ backlog, slowerEndPagesPerSecond: null }), quiet) - onLink) < 1);
  assert.ok(Math.abs(downtimeMs(snapshot({ backlog, slowerEndPagesPerSecond: 60_000 }), quiet) - 230) < 1);
});

test('free memory is nearly free: zero pages count at their own rate, not at that of deltas', () => {
  // An idle guest of 4 GiB: a million zero pages wait, and its short passes let the far side apply few
  // others.
  const backlog = {
    ...{ queuedPages: 1_000_100, queuedBytes: 1_000_000 * 9 + 100 * PAGE_BYTES, heldPages: 0, heldBytes: 0 },
    zeroPages: 1_000_000,
  };
  const quiet = { ...iteration(0), rewriteHistogram: new Float64Array(REWRITE_CLASSES) };
  const rates = { slowerEndPagesPerSecond: 25_000, writtenPageBytes: PAGE_BYTES };
  const of = (over: Partial<Snapshot>) => {
    const now = snapshot({ backlog, dirtyPages: 0, ...rates, ...over });
    return predict(now, [quiet], 1_048_576, 1000 * LINK, 80, { atIterationStart: 4, arrivals: null })
      .downtimeMs!;
  };
  assert.ok(of({}) > 38_000, 'where zero pages are charged as others');
  assert.ok(
    Math.abs(of({ zeroPagesPerSecond: 3e6 }) - (80 + 333 + 4)) < 2,
    `${of({ zeroPagesPerSecond: 3e6 })}`,
  );
  const none = { ...backlog, queuedPages: 100, queuedBytes: 100 * PAGE_BYTES, zeroPages: 0 };
  assert.ok(of({ backlog: none, zeroPagesPerSecond: 3e6 }) < 90);
});

test('a pass that only finds the same again is not waited for, and what is sent before the last sync counts', () => {
  // 1,000 pages are dirty at every sync. QEMU takes a second to hand them over, the link two.
  const hot = { ...iteration(1000), passes: 1 };
  const over = {
    ...{ gateHeld: true, handOverPagesPerSecond: 1000, lastPass: { pages: 1000, durationMs: 1000 } },
    ...{ passPages: 1000, dirtyPages: 1000 },
  };
  const arrivals = { arrivedPages: 0, syncMs: 0, last: { pages: 1000, durationMs: 1000 } };
  const of = (sinceSyncMs: number, sourceRemainingPages: number) => {
    const arrivedPages = 1000 - sourceRemainingPages;
    const now = snapshot({ ...over, sinceSyncMs, sourceRemainingPages, arrivedPages });
    return predict(now, [hot], PAGES, LINK / 2, 80, { atIterationStart: 4, arrivals }).downtimeMs!;
  };
  assert.equal(hurryMsMax(snapshot(over)), 0);
  assert.ok(
    hurryMsMax(snapshot({ ...over, passPages: 100, lastPass: { pages: 100, durationMs: 1000 } })) > 0,
  );
  assert.ok(
    of(500, 500) > of(990, 0) + 200,
    `${of(500, 500)} in the midst of a pass, ${of(990, 0)} at its end`,
  );
});

test('free memory that leaves during the hurry is no downtime', () => {
  const backlog = {
    queuedPages: 15_000,
    queuedBytes: 15_000 * 9,
    zeroPages: 15_000,
    heldPages: 0,
    heldBytes: 0,
  };
  const rates = { slowerEndPagesPerSecond: 22_000, zeroPagesPerSecond: 200_000, writtenPageBytes: 80 };
  const quiet = { ...iteration(0), rewriteHistogram: new Float64Array(REWRITE_CLASSES) };
  const now = { backlog, dirtyPages: 0, ...rates };
  assert.equal(Math.round(downtimeMs(snapshot(now), quiet)), 80 + 75);
  assert.ok(downtimeMs(snapshot({ ...now, gateHeld: true }), quiet) < 80 + 5);
});

test('deltas that QEMU has still found dirty go during the hurry, held or not, if the ends outrun the guest', () => {
  const passes = { lastPass: { pages: 900, durationMs: 3000 }, passPages: 0 };
  const rates = { slowerEndPagesPerSecond: 6000, handOverPagesPerSecond: 6000 };
  const now = { gateHeld: true, writtenPageBytes: 6, sinceSyncMs: 5, ...rates };
  assert.ok(heldOutlastsHurry(snapshot({ ...now, ...passes })), 'they take the ends 150 ms');
  const busy = { lastPass: { pages: 900, durationMs: 100 }, passPages: 0 };
  assert.ok(!heldOutlastsHurry(snapshot({ ...now, ...busy })), 'they would be written again at once');
  const arrivals = { arrivedPages: 0, syncMs: 0, last: passes.lastPass };
  const calm = { ...iteration(900), dirtyOutsideHoldPages: 0 };
  assert.ok(downtimeMs(snapshot({ ...now, ...passes, arrivedPages: 0 }), calm, 4, arrivals) < 80 + 50);
});

test('what was dirtied since the last sync is predicted from rewrite rates', () => {
  // 1,000 pages at 1.41 a second (the middle of their class) for 250 ms.
  assert.ok(Math.abs(downtimeMs(snapshot()) - (80 + 354)) < 5, `${downtimeMs(snapshot())}`);
  assert.ok(
    Math.abs(downtimeMs(snapshot({ sinceSyncMs: 0 })) - (80 + 14)) < 5,
    'the stop itself takes 10 ms',
  );
});

test('pages that wait already are not dirtied anew', () => {
  const backlog = { queuedPages: 0, queuedBytes: 0, heldPages: 1000, heldBytes: 1000 * PAGE_BYTES };
  assert.equal(Math.round(downtimeMs(snapshot({ backlog, sentPages: PAGES - 1000 }))), 80 + 1000);
});

test('hot pages that were never sent wait behind cold ones, and are not dirtied anew', () => {
  // 1,000 pages are written again and again; they wait, and all others were sent.
  const hot = { queuedPages: 1000, queuedBytes: 1000 * PAGE_BYTES, heldPages: 0, heldBytes: 0 };
  const over = { sentPages: PAGES - 1000 };
  assert.equal(Math.round(downtimeMs(snapshot({ backlog: hot, ...over }))), 80 + 1000);
  const more = { queuedPages: 3000, queuedBytes: 3000 * PAGE_BYTES, heldPages: 0, heldBytes: 0 };
  assert.equal(
    Math.round(downtimeMs(snapshot({ backlog: more, sentPages: PAGES - 3000 }))),
    80 + 3000,
    'the coldest go first: all hot ones are among them',
  );
  assert.ok(downtimeMs(snapshot()) > 80 + 300, 'none waits: all that is written is new');
});

test('a guest that falls quiet is believed after a pass, one whose QEMU stalls does not grow', () => {
  assert.equal(downtimeMs(snapshot({ dirtyPages: 0 })), 80);
  const noPassYet = snapshot({ dirtyPages: 0, passes: 4 });
  assert.ok(downtimeMs(noPassYet) > 400, 'nothing is known of the running iteration');
  assert.equal(Math.round(downtimeMs(snapshot({ sinceSyncMs: 60_000 }))), 80 + 600);
});

test('what the newest passes handed over bounds what is not counted', () => {
  const arrivals = { arrivedPages: 5000, syncMs: 0, last: { pages: 80, durationMs: 250 } };
  const after = (over: Partial<Snapshot>) =>
    Math.round(downtimeMs(snapshot({ arrivedPages: 5000, ...over }), iteration(1000), 4, arrivals));
  assert.equal(after({}), 80 + 80 + 80, 'as many as in the pass before, which QEMU found and has still');
  assert.equal(after({ arrivedPages: 5120 }), 80 + 120, 'this pass brought more already');
  assert.equal(after({ sourceRemainingPages: 0 }), 80, 'all of this pass is here, and it is empty');
});

test('what goes while passes are hurried is no downtime', () => {
  // 1,000 cold pages wait, and the link takes a thousand a second: a pass and two looks of 50 ms see 120 of
  // them go.
  const cold = { queuedPages: 1000, queuedBytes: 1000 * PAGE_BYTES, heldPages: 0, heldBytes: 0 };
  const over = { backlog: cold, dirtyPages: 0, sentPages: PAGES - 1000 };
  assert.equal(Math.round(downtimeMs(snapshot(over))), 80 + 1000);
  assert.equal(Math.round(downtimeMs(snapshot({ ...over, gateHeld: true }), iteration(0))), 80 + 880);
  const held = { queuedPages: 0, queuedBytes: 0, heldPages: 1000, heldBytes: 1000 * PAGE_BYTES };
  // The coldest held pages follow while the link has nothing else: less those that are written again within
  // 50 ms.
  const heldMs = downtimeMs(snapshot({ ...over, backlog: held, gateHeld: true }));
  assert.ok(heldMs > 80 + 880 && heldMs < 80 + 910, `${heldMs} ms`);
  assert.ok(heldOutlastsHurry({ backlog: held, bandwidthBytesPerSecond: 1000 * PAGE_BYTES }));
  assert.ok(!heldOutlastsHurry({ backlog: held, bandwidthBytesPerSecond: 10_000 * PAGE_BYTES }));
});

test('the link rate is not known: neither is the downtime', () => {
  const { downtimeMs: unknown, bytes } = predict(snapshot(), [iteration(1000)], PAGES, null, 80, {
    atIterationStart: 4,
    arrivals: null,
  });
  assert.equal(unknown, null);
  assert.ok(bytes > 0);
});
