/**
 * Which VMs assess refuses to measure, and that it then has changed nothing; measuring is tested on
 * a real one (test/live).
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { GIB } from '../../base/index.ts';
import { type FakeHandler, FakeQmpServer, fakeError, fakeReturn } from '../../qmp/fake.testing.ts';
import { assess } from './assess.ts';
import type { AssessOptions } from './types.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'godwit-assess-'));
});
after(() => rmSync(folder, { recursive: true }));

let sockets = 0;

/** A VM of a QEMU that knows no switchover-ack. */
async function refusal(
  handlers: Readonly<Record<string, FakeHandler>>,
  given: Partial<AssessOptions> = {},
): Promise<{ code: string; hint: string; commands: string[] }> {
  const path = join(folder, `${sockets++}.qmp`);
  const fake = await FakeQmpServer.listen({
    path,
    version: { major: 7, minor: 2, micro: 0 },
    handlers: {
      'query-qmp-schema': () => fakeReturn([]),
      'query-status': () => fakeReturn({ status: 'running', running: true }),
      'query-migrate': () => fakeReturn({}),
      'query-migrate-capabilities': () =>
        fakeReturn(['events', 'return-path'].map((capability) => ({ capability, state: false }))),
      'query-migrate-parameters': () => fakeReturn({ 'downtime-limit': 300, 'max-bandwidth': 1 }),
      'query-memory-size-summary': () => fakeReturn({ 'base-memory': GIB }),
      'calc-dirty-rate': () => fakeReturn(),
      'query-dirty-rate': () => fakeReturn({ status: 'measured', 'dirty-rate': 3 }),
      ...handlers,
    },
  });
  const hooks = { onProgress: () => undefined, onNote: () => undefined };
  const options: AssessOptions = {
    sourceQmpPath: path,
    ...{ durationMs: 1000, acceptPause: false, ackGate: 'auto', recordPath: null },
    stateDirectory: join(folder, 'state'),
    ...given,
  };
  try {
    await assess(options, hooks, new AbortController().signal);
  } catch (error) {
    const { code, hint } = error as { code: string; hint: string };
    return { code, hint, commands: fake.requests.map(({ name }) => name) };
  } finally {
    await fake.close();
  }
  throw new Error('it was not refused');
}

/** Whatever sets, begins or stops something. */
const CHANGES = ['migrate', 'migrate_cancel', 'migrate-set-parameters', 'migrate-set-capabilities', 'stop'];

test('a VM that does not run, or moves already, is left alone', async () => {
  const paused = await refusal({ 'query-status': () => fakeReturn({ status: 'paused', running: false }) });
  assert.equal(paused.code, 'ASSESS_NOT_RUNNING');
  const moving = await refusal({ 'query-migrate': () => fakeReturn({ status: 'active' }) });
  assert.equal(moving.code, 'ASSESS_MIGRATING');
  for (const { commands } of [paused, moving])
    assert.ok(!commands.some((name) => CHANGES.includes(name)), commands.join());
});

test('without the ack: only where a pause is accepted, and never a guest that writes little', async () => {
  const cautious = await refusal({});
  assert.deepEqual([cautious.code, /--accept-pause/.test(cautious.hint)], ['ASSESS_NO_ACK', true]);
  assert.ok(!cautious.commands.includes('calc-dirty-rate'), 'nothing is measured for nothing');
  const quiet = await refusal({}, { acceptPause: true });
  assert.deepEqual([quiet.code, /8\.0 MiB\/s/.test(quiet.hint)], ['ASSESS_NO_ACK', true]);
  const unknown = await refusal({ 'calc-dirty-rate': () => fakeError('no') }, { acceptPause: true });
  assert.equal(unknown.code, 'ASSESS_NO_ACK');
  for (const { commands } of [cautious, quiet, unknown])
    assert.ok(!commands.some((name) => CHANGES.includes(name)), commands.join());
});
