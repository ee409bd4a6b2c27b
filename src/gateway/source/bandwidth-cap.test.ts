import assert from 'node:assert/strict';
import test from 'node:test';
import { BandwidthCap } from './bandwidth-cap.ts';

test('without a cap everything may go; with one, what its time has brought', () => {
  const cap = new BandwidthCap();
  cap.noteSent(5, 1000);
  assert.equal(cap.allowanceBytes(1000), Number.POSITIVE_INFINITY);
  cap.set(1000, 0);
  cap.noteSent(505, 2000);
  assert.equal(cap.allowanceBytes(2000), 1500);
  cap.noteSent(2505, 2000);
  assert.equal(cap.allowanceBytes(2000), -500);
});

test('a new cap begins anew, whatever went before', () => {
  const cap = new BandwidthCap();
  cap.noteSent(1e9, 10_000);
  cap.set(1000, 10_000);
  assert.equal(cap.allowanceBytes(10_000), 0);
  cap.noteSent(1e9 + 400, 11_000);
  assert.equal(cap.allowanceBytes(11_000), 600);
  cap.set(null, 11_000);
  cap.noteSent(2e9, 11_000);
  assert.equal(cap.allowanceBytes(11_000), Number.POSITIVE_INFINITY);
});
