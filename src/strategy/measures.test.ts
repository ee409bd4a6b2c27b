/**
 * What pages cost where kinds of them are mixed. The other measures are tested through the rules
 * (stories.test.ts).
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import type { Snapshot } from '../vm/index.ts';
import { bytesPerPage, bytesPerWaitingPage, PAGE_BYTES_ON_LINK, queuedBytes } from './measures.ts';

const PAGES = 65_536;

const snapshot: Snapshot = {
  // Free memory of the guest, behind the first pass.
  backlog: { queuedPages: 28_000, queuedBytes: 1_600_000, heldPages: 0, heldBytes: 0 },
  ...{ dirtyPages: 0, dirtyOutsideHoldPages: 0, sentPages: 37_000, resentPages: 0, sentBytes: 152e6 },
  ...{ firstPassDone: true, passes: 2, sinceSyncMs: 0, bandwidthBytesPerSecond: 25e6, roundTripMs: 0.2 },
  ...{ memoryBytes: 0, memoryBytesMax: 1e9, gateHeld: true, sourceRemainingPages: 12_000 },
  writtenPageBytes: PAGE_BYTES_ON_LINK,
};

test('dirty pages in QEMU are not priced as the zero pages that wait', () => {
  assert.equal(bytesPerPage(snapshot), PAGE_BYTES_ON_LINK);
  assert.ok(bytesPerWaitingPage(snapshot) < 60);
  const outlook = { snapshot, history: [], pageCount: PAGES } as unknown as Parameters<typeof queuedBytes>[0];
  assert.ok(queuedBytes(outlook) > 12_000 * PAGE_BYTES_ON_LINK, `${queuedBytes(outlook)}`);
});

test('without word of it, and in the first pass, the waiting ones tell', () => {
  const { writtenPageBytes: _, ...unknown } = snapshot;
  for (const one of [unknown, { ...snapshot, firstPassDone: false }])
    assert.equal(bytesPerPage(one), bytesPerWaitingPage(snapshot));
});
