import assert from 'node:assert/strict';
import test from 'node:test';
import type { QmpExecutor } from '../qmp/index.ts';
import { givenUp, untilLayout } from './source-failure.ts';

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
