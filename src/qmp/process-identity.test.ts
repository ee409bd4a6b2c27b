/** Only what is proved to have ended is not alive. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { isAlive, processIdentity } from './process-identity.ts';

/** No process has it: above what Linux gives out (PID_MAX_LIMIT). */
const NOBODY = 2 ** 22 + 1;

/** Runs `what` in a process that may open nothing more. */
async function withoutDescriptors<Value>(what: () => Promise<Value>): Promise<Value> {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    // No more are left.
  }
  try {
    return await what();
  } finally {
    for (const one of taken) closeSync(one);
  }
}

test('a process lives until it has ended, and no other one is taken for it', async () => {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const identity = (await processIdentity(child.pid!))!;
  assert.equal(await isAlive(identity), true);
  assert.equal(await isAlive(`${child.pid}`), true);
  const [, , boot] = identity.split('@');
  assert.equal(await isAlive(`${child.pid}@1@${boot}`), false);
  assert.equal(await isAlive(`${identity}x`), false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(await isAlive(identity), false);
});

test('one that cannot be looked at lives, unless nobody has its number', async () => {
  const own = (await processIdentity(process.pid))!;
  const [mine, nobodys] = await withoutDescriptors(async () => [
    await isAlive(own),
    await isAlive(own.replace(/^\d+/, `${NOBODY}`)),
  ]);
  assert.deepEqual([mine, nobodys], [true, false]);
});
