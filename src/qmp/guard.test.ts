import assert from 'node:assert/strict';
import test from 'node:test';
import { GodwitError } from '../base/index.ts';
import type { QmpExecutor } from './client.ts';
import { commandError } from './errors.ts';
import { ParameterGuard, type PreviousSettings, restoreSettings } from './guard.ts';
import type { JsonObject } from './lines.ts';

/** Capabilities and parameters as QEMU keeps them, with its rule that switchover-ack wants return-path. */
class Settings implements QmpExecutor {
  capabilities: Record<string, boolean> = { 'return-path': false, 'switchover-ack': false, events: true };
  parameters: Record<string, unknown> = {
    'max-bandwidth': 134217728,
    'downtime-limit': 300,
    'tls-creds': '',
    list: [1],
  };
  readonly refused = new Set<string>();
  readonly sets: string[] = [];

  async execute(name: string, args: JsonObject = {}): Promise<unknown> {
    switch (name) {
      case 'query-migrate-capabilities':
        return Object.entries(this.capabilities).map(([capability, state]) => ({ capability, state }));
      case 'query-migrate-parameters':
        return { ...this.parameters };
      case 'migrate-set-capabilities': {
        const wanted = args.capabilities as { capability: string; state: boolean }[];
        const next = { ...this.capabilities };
        for (const { capability, state } of wanted) next[capability] = state;
        if (next['switchover-ack'] && !next['return-path'])
          throw commandError(name, 'GenericError', 'wants return-path');
        this.capabilities = next;
        this.sets.push(...wanted.map(({ capability }) => capability));
        return {};
      }
      case 'migrate-set-parameters':
        for (const [key, value] of Object.entries(args)) {
          if (this.refused.has(key)) throw commandError(name, 'GenericError', `bad ${key}`);
          this.parameters[key] = value;
          this.sets.push(key);
        }
        return {};
      default:
        throw new Error(name);
    }
  }
}

test('restore puts back the first value of everything that changed, and nothing else', async () => {
  const qemu = new Settings();
  const before = structuredClone([qemu.capabilities, qemu.parameters]);
  const guard = new ParameterGuard(qemu);
  await guard.setCapabilities({ 'return-path': true, 'switchover-ack': true, events: true });
  await guard.setParameters({ 'downtime-limit': 1, 'max-bandwidth': 2 ** 30 });
  await guard.setParameters({ 'downtime-limit': 60_000 });
  assert.equal(qemu.parameters['downtime-limit'], 60_000);
  assert.deepEqual(guard.previous(), {
    capabilities: { 'return-path': false, 'switchover-ack': false },
    parameters: { 'downtime-limit': 300, 'max-bandwidth': 134217728 },
  });
  await guard.restore();
  assert.deepEqual([qemu.capabilities, qemu.parameters], before);
  assert.equal(qemu.sets.includes('events'), false);
  const count = qemu.sets.length;
  await guard.restore();
  assert.equal(qemu.sets.length, count);
});

test('what is to be restored is recorded before the change', async () => {
  const qemu = new Settings();
  const journal: [PreviousSettings, unknown][] = [];
  const guard = new ParameterGuard(qemu, {
    record: (previous) => void journal.push([previous, qemu.parameters['downtime-limit']]),
  });
  await guard.setParameters({ 'downtime-limit': 1 });
  assert.deepEqual(journal, [[{ capabilities: {}, parameters: { 'downtime-limit': 300 } }, 300]]);
  // Another process, with nothing but the journal.
  await restoreSettings(qemu, JSON.parse(JSON.stringify(journal[0]?.[0])));
  assert.equal(qemu.parameters['downtime-limit'], 300);
});

test('a setting that this QEMU does not have changes nothing', async () => {
  const qemu = new Settings();
  const guard = new ParameterGuard(qemu);
  await assert.rejects(guard.setParameters({ 'downtime-limit': 1, 'avail-switchover-bandwidth': 5 }), {
    code: 'QMP_UNSUPPORTED',
  });
  await assert.rejects(guard.setCapabilities({ 'mapped-ram': true }), { code: 'QMP_UNSUPPORTED' });
  assert.deepEqual(qemu.sets, []);
});

test('one setting that cannot be put back is named, the others are put back, and it is tried again', async () => {
  const qemu = new Settings();
  const guard = new ParameterGuard(qemu);
  await guard.setParameters({ 'downtime-limit': 1, 'max-bandwidth': 2 ** 30 });
  qemu.refused.add('downtime-limit');
  await assert.rejects(guard.restore(), (error) => {
    assert.ok(error instanceof GodwitError);
    assert.equal(error.code, 'QMP_RESTORE');
    assert.equal(error.fields.settings, 'downtime-limit');
    return true;
  });
  assert.equal(qemu.parameters['max-bandwidth'], 134217728);
  qemu.refused.clear();
  await guard.restore();
  assert.equal(qemu.parameters['downtime-limit'], 300);
});
