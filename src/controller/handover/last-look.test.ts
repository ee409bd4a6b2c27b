/** What is said of a VM that arrived is still true when it is said. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeMachine, fakeQemu } from '../../machines/fake.testing.ts';
import { lastLook } from './last-look.ts';

const arrived = { outcome: { outcome: 'completed', text: 'moved' }, times: null, error: null } as const;

test('a destination that died since it was seen running is told of; one that hangs had arrived', async () => {
  const qemu = fakeQemu('running');
  const machine = new FakeMachine(qemu);
  assert.equal(await lastLook(arrived, machine), arrived);
  qemu.answers = false;
  assert.equal(await lastLook(arrived, machine), arrived);
  qemu.answers = true;
  qemu.runState = null;
  const { outcome } = await lastLook(arrived, machine);
  assert.equal(outcome.outcome, 'in-doubt');
  assert.match(outcome.text, /Boot the VM from its disk/);
  const undone = { ...arrived, outcome: { outcome: 'aborted', text: 'undone' } } as const;
  assert.equal(await lastLook(undone, machine), undone);
});
