import assert from 'node:assert/strict';
import test from 'node:test';
import { MIB } from '../../base/index.ts';
import { guestFactsOf } from './guest-facts.ts';
import { MEMORY_BYTES, traceOf } from './measured.testing.ts';

test('a guest is described as it was made', () => {
  const guest = guestFactsOf({ trace: traceOf(30 * MIB, 10_000), cost: null });
  assert.equal(guest.memoryBytes, MEMORY_BYTES);
  assert.ok(Math.abs(guest.contentBytes - 42 * MIB) < 2 * MIB, `${guest.contentBytes}`);
  const { median } = guest.dirtyBytesPerSecond;
  assert.ok(Math.abs(median - 27 * MIB) < 6 * MIB, `${median}`);
  assert.equal(guest.samples, 40);
  assert.equal(guest.packedBytes, null, 'unknown stays unknown');
});
