/** The vCPU keeps a core to itself, also after this process has given that core up. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { coreCount, corePlan, parseCoreList, pinSelf } from './pinning.ts';

test('one core for the vCPU, the others for the rest', () => {
  assert.deepEqual(corePlan([0, 1]), { vcpu: '0', rest: '1' });
  assert.deepEqual(corePlan([2, 3, 7]), { vcpu: '2', rest: '3,7' });
  assert.equal(corePlan([5]), null);
  assert.equal(corePlan([]), null);
});

test("the kernel's way of writing a set of cores", () => {
  assert.deepEqual(parseCoreList('0-2,5\n'), [0, 1, 2, 5]);
  assert.deepEqual(parseCoreList('3'), [3]);
  assert.deepEqual(parseCoreList(''), []);
});

const skip = coreCount() < 2 ? 'one core: nothing to separate' : false;

test('pinning this process changes no later plan', { skip }, async () => {
  const before = corePlan();
  assert.ok(before !== null);
  try {
    await pinSelf();
    const pinned = spawnSync('taskset', ['-c', '-p', String(process.pid)], { encoding: 'utf8' }).stdout;
    assert.deepEqual(parseCoreList(pinned.split(':').at(-1) ?? ''), parseCoreList(before.rest));
    assert.deepEqual(corePlan(), before);
    assert.equal(coreCount(), parseCoreList(`${before.vcpu},${before.rest}`).length);
  } finally {
    await pinSelf({ vcpu: before.vcpu, rest: `${before.vcpu},${before.rest}` });
  }
});
