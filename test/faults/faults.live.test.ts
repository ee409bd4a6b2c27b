/**
 * A seeded part of `npm run faults`: kinds that hold, each at a step that the seed draws. A failure prints
 * its replay. The command has the rest.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { qemuMissing } from '../../src/lab/machine/qemu.testing.ts';
import { drawFaults } from './draw.ts';
import { KINDS } from './kinds/table.ts';
import { runFault } from './run-fault.ts';
import { openSlot } from './slot.ts';

const SEED = 11;
const KINDS_HERE: ReadonlySet<string> = new Set([
  'SIGTERM',
  'kill guardian',
  'freeze guardian',
  'stop at the destination',
  'source-stream cut',
  'destination-stream cut',
  'a VM with a disk',
  'cancel from another terminal',
]);

test('faults that a seed draws: one running VM, a true exit code, nothing left', {
  skip: qemuMissing(),
}, async () => {
  const drawn = new Set<string>();
  const faults = drawFaults(KINDS, {
    seed: SEED,
    from: 0,
    count: KINDS_HERE.size,
    accepts({ kind, arrangement }) {
      if (arrangement !== 'single' || !KINDS_HERE.has(kind) || drawn.has(kind)) return false;
      drawn.add(kind);
      return true;
    },
  });
  assert.deepEqual(drawn, KINDS_HERE);
  const slot = await openSlot('one host');
  try {
    for (const fault of faults) {
      const result = await runFault(KINDS.find(({ kind }) => kind === fault.kind)!, fault, slot);
      const texts = result.violations.map(({ counter, text }) => `${counter}: ${text}`);
      assert.deepEqual(texts, [], `${fault.kind} at ${fault.step}; ${result.saw}; replay: ${result.replay}`);
    }
  } finally {
    await slot.close();
  }
});
