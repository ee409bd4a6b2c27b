/**
 * The gate without switchover-ack: a sample of `npm run gate`, and a controller that dies while it hands over
 * a VM that QEMU stopped by itself.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MIB } from '../../src/base/index.ts';
import { qemuMissing } from '../../src/lab/machine/qemu.testing.ts';
import { runGate } from './gate-rig.ts';
import { runCase } from './handover-rig.ts';

const skip = qemuMissing();

for (const workload of ['idle', 'phased'] as const) {
  test(`${workload}: whoever stops the VM, it is down within the limit and whole`, {
    skip,
  }, async (context) => {
    const result = await runGate({ workload, gate: 'off', strategy: 'mp', seed: 1 });
    const who = result.uninvited ? 'QEMU' : 'godwit';
    context.diagnostic(`stopped by ${who}, ${result.downtimeMs?.toFixed(0)} ms down`);
    assert.deepEqual(result.complaints, []);
    assert.ok(result.success, `${result.failure}`);
  });
}

// Before the source is released it would resume by itself, after it only by command: one VM either way.
for (const at of ['prepared', 'released']) {
  test(`QEMU stopped the VM, the controller is killed at "${at}": the source runs`, { skip }, async () => {
    const result = await runCase({
      strike: { at, afterMs: 0 },
      fault: 'kill',
      expect: 'stayed',
      child: { ackGate: 'off' },
      pair: { guest: { workload: 'idle', fillBytes: 8 * MIB, seed: 11 } },
    });
    assert.deepEqual(result.complaints, [], `${result.outcome}: ${result.text}`);
    assert.equal(result.outcome, 'aborted');
  });
}
