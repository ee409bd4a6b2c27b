import assert from 'node:assert/strict';
import test from 'node:test';
import { Linger } from './linger.ts';

test('few pages wait once, many do not wait', async () => {
  const over = Promise.withResolvers<void>();
  const linger = new Linger(() => over.resolve());
  assert.equal(linger.waits(0), false);
  assert.equal(linger.waits(512), false);
  assert.equal(linger.waits(16), true);
  assert.equal(linger.waits(17), true);
  await over.promise;
  assert.equal(linger.waits(20), false, 'they have waited');
  assert.equal(linger.waits(1), true, 'the next ones have not');
  linger.close();
});
