/** Ticks as Linux writes them, and a busy child that is ours or another's. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import test from 'node:test';
import { sleep } from '../../base/index.ts';
import { busyTicks, meterLoad, processTicks } from './host-load.ts';

test('fields of /proc', () => {
  assert.equal(busyTicks('cpu  100 20 30 4000 50 6 7 8 90 10\ncpu0 1 1 1 1\n'), 171);
  const rest = Array.from({ length: 50 }, (_, index) => index);
  assert.equal(processTicks(`42 (a) b (c) S ${rest.slice(1).join(' ')}`), 11 + 12);
});

const skip = existsSync('/proc/self/stat') ? false : 'no /proc here';

test('a busy child of ours is not counted among the others', { skip }, async (t) => {
  const child = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  await sleep(100);
  const [ours, theirs] = [await meterLoad([child.pid!]), await meterLoad([])];
  await sleep(600);
  const [withoutIt, withIt] = [await ours.othersCores(), await theirs.othersCores()];
  assert.ok(withoutIt !== null && withIt !== null);
  assert.ok(withIt - withoutIt > 0.1, `${withIt} with it, ${withoutIt} without`);
});

test('a process that is gone makes the figure unknown', { skip }, async () => {
  assert.equal(await (await meterLoad([2 ** 30])).othersCores(), null);
});
