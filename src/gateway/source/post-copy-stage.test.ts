import assert from 'node:assert/strict';
import test from 'node:test';
import type { PassThrough } from '../../stream/index.ts';
import { PostCopyStage } from './post-copy-stage.ts';

const discard: PassThrough = {
  reason: 'postcopy',
  detail: 'command 6',
  streamOffset: 0,
  openRamSection: null,
  lastBlock: null,
};

test('QEMU is invited, and what it sends then is kept up to a bound', () => {
  const stage = new PostCopyStage();
  assert.deepEqual([stage.isLast, stage.mustWait], [false, false]);
  stage.invite();
  assert.deepEqual([stage.isLast, stage.mustWait], [false, false]);
  stage.begin(discard);
  assert.deepEqual([stage.isLast, stage.mustWait, stage.hasBegun], [true, false, true]);
  const chunk = new Uint8Array(256 * 1024).fill(7);
  stage.keep(chunk);
  chunk.fill(0);
  assert.equal(stage.mustWait, false, 'the package is larger');
  stage.sourceIsPast();
  assert.equal(stage.mustWait, true);
  assert.deepEqual(stage.take()[0]!.slice(0, 2), Uint8Array.of(7, 7));
  assert.equal(stage.mustWait, false);
});

test('a stream that turns unreadable uninvited, or for another reason, is refused', () => {
  const stage = new PostCopyStage();
  assert.throws(() => stage.begin(discard), { code: 'STREAM_UNREADABLE' });
  stage.invite();
  assert.throws(() => stage.begin({ ...discard, reason: 'multifd' }), { code: 'STREAM_UNREADABLE' });
});
