/** Post-copy cannot be undone: while pages move it is waited for, and a wait without them has an end. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../base/index.ts';
import type { QmpExecutor } from '../../qmp/index.ts';
import { untilWhole } from './post-copy.ts';

/** What QEMU says of its RAM. */
const ram = (remaining: number, transferred: number) => ({
  ...{ total: 100, duplicate: 0, normal: 0, 'normal-bytes': 0, mbps: 0 },
  ...{ 'dirty-sync-count': 2, 'dirty-pages-rate': 0, 'page-size': 4096, remaining, transferred },
});

/** `at`: what the source says at each millisecond, and what has been passed on. */
async function whole(at: (ms: number) => { status: string; ram?: object; sent?: number }) {
  const clock = new VirtualClock();
  const notes: string[] = [];
  const ended = untilWhole({
    source: { execute: async () => at(clock.nowMs()) } as unknown as QmpExecutor,
    sentBytes: () => at(clock.nowMs()).sent ?? 0,
    onNote: (text) => notes.push(text),
    clock,
    wait: async (ms) => clock.advanceMs(ms),
  });
  const error = await ended.then(
    () => null,
    (reason: { code: string }) => reason.code,
  );
  return { endMs: clock.nowMs(), notes, error };
}

test('while pages move it is waited for, however long', async () => {
  const long = 100_000;
  for (const moves of [
    (ms: number) => ({ ram: ram(long - ms, 0) }),
    (ms: number) => ({ ram: ram(1, ms) }),
    // The last pages have left QEMU and cross a slow link.
    (ms: number) => ({ ram: ram(0, 100), sent: ms }),
  ]) {
    const ended = await whole((ms) => ({
      status: ms < long ? 'postcopy-active' : 'completed',
      ...moves(ms),
    }));
    assert.deepEqual([ended.error, ended.endMs >= long], [null, true]);
  }
});

test('a link that dies without a word is told, and ends the wait', async () => {
  const moving = (ms: number) => ({ status: 'postcopy-active', ram: ram(100, Math.min(ms, 10_000)) });
  const { error, endMs, notes } = await whole(moving);
  assert.equal(error, 'POST_COPY_BROKEN');
  assert.ok(endMs >= 70_000 && endMs < 71_000);
  assert.match(notes.join('\n'), /nothing has moved for 3 s/);
});

test('post-copy that QEMU broke off is an error at once', async () => {
  const { error, endMs } = await whole((ms) => ({
    status: ms < 100 ? 'postcopy-active' : 'postcopy-paused',
  }));
  assert.deepEqual([error, endMs], ['POST_COPY_BROKEN', 100]);
});
