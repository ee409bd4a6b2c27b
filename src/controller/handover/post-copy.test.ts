/** RUN is let go only once a failure does not start the source's VM again. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QmpExecutor } from '../../qmp/index.ts';
import { untilSourceIsPast } from './post-copy.ts';

function source(...statuses: string[]) {
  const left = [...statuses];
  const execute = async () => ({ status: left.length > 1 ? left.shift() : left[0] });
  return { left, qmp: { execute } as unknown as QmpExecutor };
}

test('a source that still may fail and run again is waited for', async () => {
  for (const last of ['postcopy-active', 'postcopy-device', 'completed']) {
    const { left, qmp } = source('active', 'device', 'device', last);
    await untilSourceIsPast(qmp);
    assert.deepEqual(left, [last]);
  }
});

test('one that has failed is not', async () => {
  for (const last of ['failed', 'cancelled', 'none']) {
    await assert.rejects(untilSourceIsPast(source('device', last).qmp), { code: 'POST_COPY_LOST' });
  }
});
