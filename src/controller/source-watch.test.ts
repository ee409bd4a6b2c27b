import assert from 'node:assert/strict';
import test from 'node:test';
import type { QmpClient, QmpEvent } from '../qmp/index.ts';
import { SourceWatch } from './source-watch.ts';

function watchOf(guestWasRunning: boolean) {
  let listener: (event: QmpEvent) => void = () => undefined;
  const client = {
    on: (heard: typeof listener) => {
      listener = heard;
    },
  } as unknown as QmpClient;
  const told: string[] = [];
  const nothing = () => undefined;
  const watch = new SourceWatch({
    ...{ source: client, guestWasRunning, onEvent: nothing, onUnaskedStop: nothing, onReset: nothing },
    onGivenUp: () => told.push('given up'),
    onGuestEnd: (text) => told.push(text),
  });
  const say = (name: string, data: QmpEvent['data'] = {}) =>
    listener({ name, data, sequence: 0, timestampMs: null, receivedAtMs: 0 } as QmpEvent);
  return { watch, told, say };
}

test('that QEMU gives its migration up is heard until the move is undone', () => {
  const { watch, told, say } = watchOf(true);
  for (const status of ['active', 'completed']) say('MIGRATION', { status });
  assert.deepEqual(told, []);
  say('MIGRATION', { status: 'failed' });
  watch.beginHandover();
  say('MIGRATION', { status: 'cancelling' });
  assert.deepEqual(told, ['given up', 'given up']);
  watch.endHandover();
  say('MIGRATION', { status: 'failed' });
  assert.equal(told.length, 2);
});

test('a paused VM that another client continues is not moved paused: before and amid the handover the move ends', () => {
  for (const isLate of [false, true]) {
    const { watch, told, say } = watchOf(false);
    if (isLate) watch.beginHandover();
    say('RESUME');
    assert.match(told.join(), /another client continued the source VM/);
    assert.match(watch.touched ?? '', /another client/);
  }
  const running = watchOf(true);
  running.say('RESUME');
  assert.deepEqual([running.told, running.watch.touched], [[], null], "QEMU's own, of a VM that runs");
});
