import assert from 'node:assert/strict';
import test from 'node:test';
import { MIB } from '../../base/index.ts';
import { KeptBitmaps } from './kept-bitmaps.ts';

const EMPTY = Uint8Array.of(2, 0, 0, 0, 3, 1, 0x7e, 0, 0, 0, 3);

test('bitmaps stand before the devices in the order they came, and have a bound', () => {
  const kept = new KeptBitmaps();
  const devices = Uint8Array.of(9);
  assert.equal(kept.before(devices), devices);
  const first = Uint8Array.of(1, 2);
  kept.keep(first);
  kept.keep(Uint8Array.of(3));
  // QEMU's PART without a bit.
  for (let pass = 0; pass < 5_000_000; pass++) kept.keep(EMPTY);
  first.fill(0);
  assert.deepEqual([...kept.before(devices)], [1, 2, 3, 9]);
  assert.throws(() => kept.keep(new Uint8Array(32 * MIB)), { code: 'GATEWAY_MEMORY' });
});
