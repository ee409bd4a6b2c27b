/** The link's and the page codec's decoders under a bounded, seeded fuzz; long runs: link.ts. */

import test from 'node:test';
import { checkDamagedBatch, checkRoundTrip } from './codec-check.ts';
import { checkFrames, checkMessages, checkSession } from './link-check.ts';

function forSeeds(count: number, check: (seed: number) => void): void {
  for (let seed = 1; seed <= count; seed++) check(seed);
}

test('frames: only our codes, the same in any chunking', () => forSeeds(2000, checkFrames));
test('messages: read or refused', () => forSeeds(500, checkMessages));
test('sessions: hostile frames on an open connection', () => forSeeds(2000, checkSession));
test('batches: encoder, applier and naive twin agree with the guest', () => forSeeds(40, checkRoundTrip));
test('damaged batches: only our codes, only pages of this RAM', () => forSeeds(150, checkDamagedBatch));
