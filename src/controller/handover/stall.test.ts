/**
 * As long as bytes move the VM may stand still; once nothing moves, not for longer than the operator allowed.
 */

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { SourceGateway } from '../../gateway/index.ts';
import { deadlineMsOf } from '../../recovery/index.ts';
import { untilStalled } from './stall.ts';

type Snapshot = ReturnType<SourceGateway['snapshot']>;

test('draining has no deadline while bytes move; every other act of a stopped VM has one', () => {
  const acts = ['stop-source', 'prove', 'release-source', 'start-destination', 'end-destination'] as const;
  assert.equal(deadlineMsOf({ do: 'drain' }, 0), null);
  for (const act of acts) assert.ok(deadlineMsOf({ do: act }, 0)! > 0, act);
});

test('five minutes of draining is waited for; then nothing moves for the limit, and it ends', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    let sentBytes = 0;
    const gateway = { snapshot: () => ({ arrivedPages: 1, sentBytes, underWayBytes: 0 }) as Snapshot };
    let error: { code?: string } | null = null;
    const over = untilStalled(gateway, () => 4000, new AbortController().signal).catch((cause) => {
      error = cause;
    });
    const pass = async (ms: number, moves: boolean) => {
      for (let at = 0; at < ms; at += 50) {
        if (moves && at % 1000 === 0) sentBytes++;
        mock.timers.tick(50);
        for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      }
    };
    await pass(300_000, true);
    assert.equal(error, null);
    await pass(3_000, false);
    assert.equal(error, null);
    await pass(2_000, false);
    await over;
    assert.equal((error as { code?: string } | null)?.code, 'STREAM_STALLED');
  } finally {
    mock.timers.reset();
  }
});
