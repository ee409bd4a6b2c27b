/** Whose stop it is: another client's is never taken for QEMU's own or for ours. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SourceGateway } from '../../gateway/index.ts';
import type { QmpClient } from '../../qmp/index.ts';
import { streamActs } from './stream-acts.ts';

/** A QEMU in `status`, which `stop` brings to "paused". */
function acts(status: string, stoppedAtMs: number | null) {
  const asked: string[] = [];
  let now = status;
  const source = {
    execute: async (command: string) => {
      asked.push(command);
      if (command === 'stop') now = 'paused';
      return command === 'query-status' ? { status: now, running: now === 'running' } : {};
    },
  } as unknown as QmpClient;
  const stop = streamActs({
    source,
    gateway: {} as SourceGateway,
    guestWasRunning: true,
    stoppedAtMs: () => stoppedAtMs,
    downtimeMsMax: () => 300,
    onStep: () => undefined,
  })['stop-source'];
  return { asked, stop: () => stop({ do: 'stop-source' }, new AbortController().signal) };
}

test('a VM that runs is stopped by us', async () => {
  const { asked, stop } = acts('running', null);
  await stop();
  assert.ok(asked.includes('stop'));
});

test('a stop of QEMU itself is taken on, without another', async () => {
  const { asked, stop } = acts('finish-migrate', 5);
  await stop();
  assert.ok(!asked.includes('stop'));
});

for (const stoppedAtMs of [null, 5]) {
  test(`a stop by another client ends the move, its event ${stoppedAtMs === null ? 'under way' : 'heard'}`, async () => {
    const { asked, stop } = acts('paused', stoppedAtMs);
    await assert.rejects(stop(), { code: 'GUEST_ENDED' });
    assert.ok(!asked.includes('stop'));
  });
}
