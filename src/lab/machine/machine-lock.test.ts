/** One holder at a time, whoever it is; waiting can be told and ended; the lock goes with its holder. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { sleep } from '../../base/index.ts';
import { withMachineLock } from './machine-lock.ts';

function lockFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-lock-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'lock');
}

const isFree = (path: string) => spawnSync('flock', ['-n', path, 'true']).status === 0;

test('two runs take turns, and the lock is free afterwards, also after a failure', async (t) => {
  const path = lockFile(t);
  let inside = 0;
  const run = () =>
    withMachineLock({ path }, async () => {
      inside++;
      assert.equal(inside, 1);
      assert.equal(isFree(path), false);
      await sleep(50);
      inside--;
    });
  await Promise.all([run(), run(), run()]);
  await assert.rejects(
    withMachineLock({ path }, () => Promise.reject(new Error('the run failed'))),
    /the run failed/,
  );
  assert.equal(isFree(path), true);
});

test('waiting is told, and ends with the signal', async (t) => {
  const path = lockFile(t);
  const interrupted = new AbortController();
  await withMachineLock({ path }, async () => {
    const waiting = withMachineLock(
      { path, onWait: () => interrupted.abort(new Error('interrupted')), signal: interrupted.signal },
      () => assert.fail('it was not free'),
    );
    await assert.rejects(waiting, /interrupted/);
  });
  assert.equal(isFree(path), true);
});

test('a lock file that cannot be opened says so', async () => {
  await assert.rejects(
    withMachineLock({ path: '/nowhere/lock' }, async () => {}),
    { code: 'LAB_COMMAND_FAILED', message: /\/nowhere\/lock/ },
  );
});
