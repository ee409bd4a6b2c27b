import assert from 'node:assert/strict';
import test from 'node:test';
import { BandwidthCap } from './bandwidth-cap.ts';

test('without a cap everything may go; with one, what its time has brought', () => {
  assert.equal(new BandwidthCap(null).allowanceBytes(1000, 5), Number.POSITIVE_INFINITY);
  const cap = new BandwidthCap(1000);
  assert.equal(cap.allowanceBytes(2000, 500), 1500);
  assert.equal(cap.allowanceBytes(2000, 2500), -500);
});

test('a new cap begins anew, whatever went before', () => {
  const cap = new BandwidthCap(null);
  cap.set(1000, 10_000, 1e9);
  assert.equal(cap.allowanceBytes(10_000, 1e9), 0);
  assert.equal(cap.allowanceBytes(11_000, 1e9 + 400), 600);
  cap.set(null, 11_000, 1e9);
  assert.equal(cap.bytesPerSecond, null);
  assert.equal(cap.allowanceBytes(11_000, 2e9), Number.POSITIVE_INFINITY);
});
