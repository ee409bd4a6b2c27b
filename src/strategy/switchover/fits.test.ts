/** When a rest that fits the limit is not taken at its word. */

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Outlook, PassSeen } from '../../vm/index.ts';
import { backlogOf, NOTHING_LIMITS, outlookAfter, tell } from '../outlook.testing.ts';
import { fitsLimit } from './fits.ts';

/** A guest whose changed pages cost a few bytes: whatever waits fits any link. */
const DELTA_BYTES = 6;
const ENDS = 100_000;

function outlook(passes: readonly PassSeen[], over: Partial<Outlook['snapshot']> = {}): Outlook {
  const calm = { dirty: 50_000, rates: [[0.25, 50_000] as const] };
  const snapshot = {
    ...{ backlog: backlogOf(0, 0), deltaPageBytes: DELTA_BYTES, writtenPageBytes: DELTA_BYTES },
    ...{ dirtyPages: 0, slowerEndPagesPerSecond: ENDS, sinceSyncMs: 20 },
    ...over,
  };
  return {
    ...outlookAfter(tell([calm]), snapshot),
    pipeline: {
      ...NOTHING_LIMITS,
      handOverPagesPerSecond: ENDS,
      endsPagesPerSecond: ENDS,
      zeroPagesPerSecond: 200_000,
    },
    passes,
    downtimePredictedMs: 42,
  };
}

const pass = (startMs: number, pages: number): PassSeen => ({ startMs, durationMs: 3000, pages });

test('what the last sync found and QEMU has still counts by the time that both ends need for it', () => {
  // The pass before brought 50,000 pages in 3 s; half a second for the ends. The new one has brought none.
  assert.equal(fitsLimit(outlook([pass(0, 50_000), pass(3000, 0)]))?.rule, 'fits-sync');
  assert.equal(fitsLimit(outlook([pass(0, 50_000), pass(3000, 0)], { sinceSyncMs: 450 }))?.rule, 'fits-sync');
  assert.equal(fitsLimit(outlook([pass(0, 900), pass(3000, 900)]))?.rule, 'fits-limit', 'and few do not');
});

test('zero pages go before the stop, not during its hurry', () => {
  const free = (zeroPages: number) =>
    fitsLimit(outlook([], { backlog: { ...backlogOf(0, 0), queuedPages: zeroPages, zeroPages } }));
  assert.equal(free(40_000)?.rule, 'fits-zero');
  assert.match(free(40_000)!.text, /40000 zero pages go first, in 200 ms/);
  assert.equal(free(10_000)?.rule, 'fits-limit');
});
