/**
 * One running VM, always: a sample of the matrix (`npm run handover` has every moment), and destinations that
 * cannot take the VM. Each ends with exactly one VM, its memory, heartbeats and disk log whole.
 */

import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { MIB } from '../../src/base/index.ts';
import { GUEST_BINARY_PATH, guestCommandLine, type LabPair, startVm } from '../../src/lab/index.ts';
import { qemuMissing } from '../../src/lab/machine/qemu.testing.ts';
import { type Case, type CaseResult, runCase } from './handover-rig.ts';

const skip = qemuMissing();

async function holds(one: Case): Promise<CaseResult> {
  const result = await runCase(one);
  assert.deepEqual(result.complaints, [], `${result.outcome}: ${result.text}`);
  return result;
}

function withinASecond({ runningAfterMs }: CaseResult): void {
  assert.ok(runningAfterMs !== null && runningAfterMs < 1000, `running after ${runningAfterMs} ms`);
}

test('a controller killed with the VM stopped: the guardian brings the source back', { skip }, async () => {
  const result = await holds({ strike: { at: 'prepared', afterMs: 0 }, fault: 'kill', expect: 'stayed' });
  assert.equal(result.outcome, 'aborted');
  assert.match(result.text ?? '', /^guardian:/);
  assert.equal(result.sourceSettingsRestored, true);
  withinASecond(result);
});

test('a controller killed after COMMIT: the guardian starts the destination', { skip }, async () => {
  const result = await holds({ strike: { at: 'commit', afterMs: 0 }, fault: 'kill', expect: 'moved' });
  assert.equal(result.outcome, 'completed');
  withinASecond(result);
});

for (const [at, expect] of [
  ['prepared', 'stayed'],
  ['commit', 'moved'],
] as const) {
  test(`a VM that QEMU stopped by itself, the controller killed at "${at}"`, { skip }, async () => {
    const result = await holds({
      strike: { at, afterMs: 0 },
      fault: 'kill',
      expect,
      // An idle guest whose whole rest fits the limit: QEMU switches at the end of its first pass.
      pair: { guest: { workload: 'idle', seed: 5 } },
      child: { ackGate: 'off', downtimeMsMax: 5000 },
    });
    assert.equal(result.outcome, expect === 'moved' ? 'completed' : 'aborted');
    withinASecond(result);
  });
}

test('a stream cut in the middle: the source goes on, its settings put back', { skip }, async () => {
  const result = await holds({
    strike: { at: 'iteration-0', afterMs: 200 },
    fault: 'destination-stream',
    expect: 'stayed',
  });
  assert.equal(result.failureCode, 'DESTINATION_CLOSED');
  assert.equal(result.sourceSettingsRestored, true);
  withinASecond(result);
});

test('Ctrl-C cancels before COMMIT and is too late after it', { skip }, async () => {
  const before = await holds({ strike: { at: 'stopped', afterMs: 0 }, fault: 'interrupt', expect: 'stayed' });
  assert.equal(before.failureCode, 'CANCELLED');
  assert.equal(before.sourceSettingsRestored, true);
  const after = await holds({ strike: { at: 'commit', afterMs: 0 }, fault: 'interrupt', expect: 'moved' });
  assert.equal(after.report?.success, true);
});

test('a destination started with -S', { skip }, async () => {
  const result = await holds({
    strike: null,
    fault: null,
    expect: 'moved',
    pair: { destinationPaused: true },
  });
  assert.equal(result.report?.success, true);
  assert.ok(result.report.downtimeMs !== null && result.report.downtimeMs > 0);
});

const REFUSED: readonly {
  readonly what: string;
  readonly pair: Case['pair'];
  readonly destination: NonNullable<Case['destination']>;
  readonly code: RegExp;
  readonly reason: RegExp;
}[] = [
  {
    what: 'without one of its devices',
    pair: { extra: ['-device', 'virtio-rng-pci'] },
    destination: { extra: [] },
    code: /PCI_DEVICE/,
    reason: /failed.*overridden: the destination has no PCI device/,
  },
  {
    what: 'with another RAM size',
    pair: {},
    destination: { memoryBytes: 96 * MIB },
    code: /RAM_BLOCKS/,
    reason: /failed.*overridden: RAM block pc\.ram has another size/,
  },
];

for (const { what, pair, destination, code, reason } of REFUSED) {
  test(`a destination ${what} is refused before anything is touched`, { skip }, async () => {
    const { refused } = await holds({
      strike: null,
      fault: null,
      expect: 'stayed',
      pair: pair!,
      destination,
    });
    assert.equal(refused?.refused, 'PREFLIGHT_REFUSED');
    assert.match(refused.message, code);
  });

  test(`a destination ${what}, forced: the source goes on, the reason is told`, { skip }, async () => {
    const child = { force: ['PCI_DEVICE', 'DEVICES', 'RAM_BLOCKS'] };
    const one = { strike: null, fault: null, expect: 'stayed', pair: pair!, destination, child } as const;
    const result = await holds(one);
    assert.match(result.failureCode ?? '', /^DESTINATION_/);
    assert.match(result.report?.failure?.text ?? '', reason);
    assert.equal(result.sourceSettingsRestored, true);
  });
}

test('a destination whose image another process has locked: the source goes on', { skip }, async () => {
  const locked = (pair: LabPair) => join(pair.folder, 'locked.qcow2');
  let image = '';
  const result = await holds({
    strike: null,
    fault: null,
    expect: 'stayed',
    child: { force: ['DISK_NOT_SHARED'] },
    get destination() {
      return { disk: { image, iothread: false } };
    },
    before: async (pair) => {
      image = locked(pair);
      await copyFile(pair.image!, image);
      const holder = await startVm({
        name: 'holder',
        folder: pair.folder,
        memoryBytes: pair.memoryBytes,
        kernel: GUEST_BINARY_PATH,
        commandLine: guestCommandLine({ workload: 'idle' }),
        disk: { image, iothread: false },
      });
      return () => holder.close();
    },
  });
  assert.equal(result.failureCode, 'DESTINATION_NOT_STARTED');
  assert.equal(result.sourceSettingsRestored, true);
});

test('a guest that is reset on the way arrives all the same', { skip }, async () => {
  const result = await runCase({
    strike: { at: 'iteration-0', afterMs: 0 },
    fault: 'reset',
    expect: 'moved',
  });
  assert.equal(result.report?.success, true);
  assert.match(result.report.notes.join('\n'), /reset/);
  // It counts from 1 again; nothing else may differ.
  assert.deepEqual(
    result.complaints.filter((text) => !/repeated|duplicates/.test(text)),
    [],
  );
});

for (const [kept, extra, at] of [
  ['ends with its QEMU', ['-no-reboot'], 'iteration-0'],
  ['ends and QEMU stays', ['-no-reboot', '-no-shutdown'], 'iteration-0'],
  ['ends with its QEMU at the last moment', ['-no-reboot'], 'stopping'],
  ['ends at the last moment and QEMU stays', ['-no-reboot', '-no-shutdown'], 'stopping'],
] as const) {
  test(`a guest that ${kept} has a defined end`, { skip }, async () => {
    const one = { strike: { at, afterMs: 0 }, fault: 'reset', expect: 'ended', pair: { extra } } as const;
    let result = await runCase(one);
    // QEMU was not struck at that moment: once more.
    if (!result.struck) result = await runCase(one);
    assert.deepEqual(result.complaints, [], `${result.outcome}: ${result.text}`);
    assert.deepEqual([result.failureCode, result.outcome], ['GUEST_ENDED', 'aborted']);
    assert.match(result.sourceState, extra.length === 1 ? /^ended/ : /^shutdown$/);
    assert.match(result.destinationState, /^ended/);
  });
}

test('a guest that was paused arrives paused, with no downtime to tell', { skip }, async () => {
  const result = await runCase({
    strike: null,
    fault: null,
    expect: 'ended',
    before: async (pair) => {
      await pair.source.qmp.execute('stop');
      return undefined;
    },
  });
  assert.equal(result.report?.success, true);
  assert.equal(result.report.downtimeMs, null);
  assert.deepEqual([result.sourceState, result.destinationState], ['postmigrate', 'paused']);
});
