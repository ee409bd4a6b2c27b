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

/** The rest of a package of 256 KiB, and the PING behind it. */
const PACKAGE = Uint8Array.of(...new Uint8Array(9), 8, 0, 2, 0, 4, 0, 0, 0, 4);
const PAGES = Uint8Array.of(2);

test('QEMU is invited, and what it sends then is kept up to a bound', async () => {
  const stage = new PostCopyStage();
  assert.deepEqual([stage.isLast, stage.mustWait], [false, false]);
  stage.invite();
  assert.deepEqual([stage.isLast, stage.mustWait], [false, false]);
  stage.begin(discard);
  assert.deepEqual([stage.isLast, stage.mustWait, stage.hasBegun], [true, false, true]);
  const chunk = new Uint8Array(256 * 1024).fill(7);
  chunk.set([8, 0, 7, 0, 4, 0, 4, 0, 0]);
  stage.keep(chunk);
  chunk.fill(0);
  assert.equal(stage.mustWait, false, 'the package is larger');
  stage.keep(PACKAGE);
  assert.equal(stage.mustWait, false);
  stage.keep(PAGES);
  await stage.sourceIsPast;
  assert.equal(stage.mustWait, true);
  assert.deepEqual(stage.take()[0]!.slice(0, 3), Uint8Array.of(8, 0, 7));
  assert.equal(stage.mustWait, false);
});

test('a stream that turns unreadable uninvited, or for another reason, is refused', () => {
  const stage = new PostCopyStage();
  assert.throws(() => stage.begin(discard), { code: 'STREAM_UNREADABLE' });
  stage.invite();
  assert.throws(() => stage.begin({ ...discard, reason: 'multifd' }), { code: 'STREAM_UNREADABLE' });
});
