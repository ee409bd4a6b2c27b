/** The hurry, played through: what is left of what waits. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { afterHurry, type HurryQuestion } from './hurry-forecast.ts';

const NOTHING = { dirtyPages: 0, queuedPages: 0, zeroPages: 0, heldPages: 0 };

function left(
  over: Partial<Omit<HurryQuestion, 'waiting'>> & { waiting?: Partial<HurryQuestion['waiting']> },
) {
  return afterHurry({
    ...{ handOverPagesPerSecond: 100_000, linkPagesPerSecond: 6000, endsPagesPerSecond: 100_000 },
    ...{
      zeroPagesPerSecond: 200_000,
      writtenWithin: () => 0,
      newShare: 1,
      outsideShare: 1,
      writtenPagesMax: 50_000,
    },
    ...{ heldGoes: false, heldAgainShare: 0, msMax: 2000 },
    ...over,
    waiting: { ...NOTHING, ...over.waiting },
  });
}

test('free memory leaves: 15,000 zero pages are gone in a moment', () => {
  assert.ok(left({ waiting: { zeroPages: 15_000 } }).zeroPages <= 128);
  assert.ok(left({ waiting: { zeroPages: 1_000_000 } }).zeroPages > 900_000, 'what hardly shrinks stays');
});

test('beside pages that the link is slow to carry, as many zero pages go as others', () => {
  const { queuedPages, zeroPages } = left({ waiting: { queuedPages: 1600, zeroPages: 67_000 } });
  assert.ok(
    queuedPages > 800 && queuedPages < 1000,
    `${queuedPages}: two looks find that the rest hardly shrinks`,
  );
  assert.equal(67_000 - zeroPages, 1600 - queuedPages);
});

test('deltas of a guest that writes slowly are gone, those of one that writes faster than both ends are not', () => {
  const deltas = { linkPagesPerSecond: 4e6, waiting: { dirtyPages: 50_000 } };
  // Half a second for the first pass; what was written in it takes the next.
  const slow = left({ ...deltas, writtenWithin: (seconds) => Math.min(50_000, 20_000 * seconds) });
  assert.ok(slow.dirtyPages + slow.queuedPages < 1000, JSON.stringify(slow));
  const fast = left({ ...deltas, writtenWithin: (seconds) => Math.min(50_000, 1e7 * seconds) });
  assert.ok(fast.dirtyPages >= 50_000, JSON.stringify(fast));
});

test('what comes into the hold waits for the stop, unless held pages go', () => {
  const held = { linkPagesPerSecond: 4e6, outsideShare: 0, waiting: { dirtyPages: 20_000 } };
  assert.ok(left(held).heldPages >= 20_000);
  assert.ok(left({ ...held, heldGoes: true }).heldPages < 1000);
});
