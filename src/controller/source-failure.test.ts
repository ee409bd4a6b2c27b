import assert from 'node:assert/strict';
import test from 'node:test';
import type { QmpClient, QmpEvent, QmpExecutor } from '../qmp/index.ts';
import { givenUp, saysGivenUp, untilLayout } from './source-failure.ts';
import { SourceWatch } from './source-watch.ts';

const never = new Promise<never>(() => undefined);

function source(reply: object | Error): QmpExecutor {
  return {
    execute: async () => {
      if (reply instanceof Error) throw reply;
      return reply;
    },
  };
}

test('a failed migration is told in the words of QEMU, a cancelled one as what it is', async () => {
  const desc = "Failed to connect to '/tmp/x': Permission denied";
  assert.match((await givenUp(source({ status: 'failed', 'error-desc': desc })))?.message ?? '', /denied$/);
  assert.match((await givenUp(source({ status: 'cancelled' })))?.message ?? '', /"cancelled"$/);
  for (const reply of [{ status: 'active' }, {}, { status: 'completed' }, new Error('gone')]) {
    assert.equal(await givenUp(source(reply)), null);
  }
});

test('before the stream begins QEMU is asked, so that nobody waits for one that never comes', async () => {
  const failed = source({ status: 'failed', 'error-desc': 'Permission denied' });
  await assert.rejects(untilLayout(failed, never, never), { code: 'SOURCE_FAILED' });
  await assert.rejects(untilLayout(source({ status: 'setup' }), never, never, 20), { code: 'SOURCE_SILENT' });
  assert.equal(await untilLayout(failed, Promise.resolve(7), never), 7);
  const lost = Promise.reject(new Error('cancelled'));
  await assert.rejects(untilLayout(failed, never, lost), /cancelled/);
});

function eventOf(name: string, data: QmpEvent['data'] = {}): QmpEvent {
  return { name, data, sequence: 0, timestampMs: null, receivedAtMs: 0 } as QmpEvent;
}

test('the watch hears of it until the move is undone', () => {
  let listener: (event: QmpEvent) => void = () => undefined;
  const client = { on: (heard: typeof listener) => (listener = heard) } as unknown as QmpClient;
  let times = 0;
  const nothing = () => undefined;
  const watch = new SourceWatch({
    ...{ source: client, guestWasRunning: true, onEvent: nothing, onUnaskedStop: nothing },
    ...{ onReset: nothing, onGuestEnd: nothing, onGivenUp: () => times++ },
  });
  assert.ok(!saysGivenUp(eventOf('MIGRATION', { status: 'completed' })));
  listener(eventOf('MIGRATION', { status: 'active' }));
  listener(eventOf('MIGRATION', { status: 'failed' }));
  watch.beginHandover();
  listener(eventOf('MIGRATION', { status: 'cancelling' }));
  assert.equal(times, 2);
  watch.endHandover();
  listener(eventOf('MIGRATION', { status: 'failed' }));
  assert.equal(times, 2);
});
