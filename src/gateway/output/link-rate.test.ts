/** The link's rate, told from the sender's own hesitation. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinkRate } from './link-rate.ts';

const LINK = 25_000;

/** `offered` bytes a ms into a link of LINK bytes a ms, looked at every 3 ms for `forMs`. */
function run(rate: LinkRate, from: { nowMs: number; acknowledged: number }, offered: number, forMs: number) {
  let { nowMs, acknowledged } = from;
  const end = nowMs + forMs;
  while (nowMs < end) {
    nowMs += 3;
    acknowledged += 3 * Math.min(offered, LINK);
    // A sender that keeps up fills its window; one that does not has a frame under way now and then.
    rate.observe(nowMs, acknowledged, offered >= LINK ? 2_000_000 : 4_000);
  }
  return { nowMs, acknowledged };
}

test('a link that is kept full is measured as it is', () => {
  const rate = new LinkRate();
  run(rate, { nowMs: 0, acknowledged: 0 }, 2 * LINK, 1000);
  assert.ok(Math.abs(rate.bytesPerSecond! / (LINK * 1000) - 1) < 0.05, String(rate.bytesPerSecond));
});

test('a sender with little to send does not make the link look slow', () => {
  const rate = new LinkRate();
  const at = run(rate, { nowMs: 0, acknowledged: 0 }, 2 * LINK, 1000);
  const before = rate.bytesPerSecond!;
  run(rate, at, LINK / 50, 5000);
  assert.equal(rate.bytesPerSecond, before);
});

test('a link that becomes slower is noticed while it is kept full', () => {
  const rate = new LinkRate();
  let { nowMs, acknowledged } = run(rate, { nowMs: 0, acknowledged: 0 }, 2 * LINK, 1000);
  for (; nowMs < 3000; nowMs += 3) {
    acknowledged += (3 * LINK) / 10;
    rate.observe(nowMs, acknowledged, 2_000_000);
  }
  assert.ok(rate.bytesPerSecond! < (LINK * 1000) / 8, String(rate.bytesPerSecond));
});

test("time without anything under way is nobody's rate", () => {
  const rate = new LinkRate();
  const { nowMs, acknowledged } = run(rate, { nowMs: 0, acknowledged: 0 }, 2 * LINK, 1000);
  rate.observe(nowMs + 1, acknowledged, 0);
  const before = rate.bytesPerSecond!;
  run(rate, { nowMs: nowMs + 60_000, acknowledged }, 2 * LINK, 500);
  assert.ok(rate.bytesPerSecond! > 0.9 * before);
});
