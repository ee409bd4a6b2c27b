import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenBucket } from './token-bucket.ts';

test('a burst passes and the rest is spaced', () => {
  const bucket = new TokenBucket(1_000_000, 4);
  assert.equal(bucket.take(4000, 1000), 0);
  assert.equal(bucket.take(1000, 1000), 1);
  assert.equal(bucket.take(1000, 1000), 2);
  assert.equal(bucket.take(4000, 2000), 0);
  assert.equal(bucket.takenBytes, 10_000);
});

test('what is available grows with time up to the burst, and is owed where too much was taken', () => {
  const bucket = new TokenBucket(1000, 500, 1000);
  assert.equal(bucket.availableBytes(1000), 0);
  assert.equal(bucket.availableBytes(1200), 200);
  assert.equal(bucket.availableBytes(9000), 500);
  bucket.take(700, 1200);
  assert.equal(bucket.availableBytes(1200), -500);
  assert.equal(bucket.availableBytes(1700), 0);
});
