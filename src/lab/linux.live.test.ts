/**
 * A Linux guest moves through the gateway: its RAM is the same at both ends at COMMIT, its files are what they were,
 * its program goes on. Skipped where its Debian packages cannot be had.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { errorMessage } from '../base/index.ts';
import {
  buildLinuxImage,
  gatewayMigratorFor,
  makeRunFolder,
  parsePlan,
  removeRunFolder,
  runPlan,
} from './index.ts';
import { qemuMissing } from './machine/qemu.testing.ts';

const skip = qemuMissing() || (await packagesMissing());

async function packagesMissing(): Promise<string | false> {
  return buildLinuxImage('stress').then(() => false as const, errorMessage);
}

const plan = parsePlan(`
schema: godwit.plan/1
name: linux-live-test
runs: 1
link: 400Mbit
memory: 64M
warmUp: 500ms
compareRam: true
strategies: [{ name: adaptive }]
workloads: [{ program: stress, memory: 256M, stress: 16M }]
`);

test('a Linux guest with a busy program moves, unharmed inside and out', { skip }, async (context) => {
  const folder = makeRunFolder();
  const notes: string[] = [];
  try {
    const records = await runPlan({
      plan,
      resultsPath: join(folder, 'results.jsonl'),
      migratorOf: (strategy) => gatewayMigratorFor(strategy),
      onEvent: (event) => event.kind === 'note' && notes.push(event.text),
    });
    for (const note of notes) context.diagnostic(note);
    assert.equal(records.length, 1, notes.join('; '));
    const { outcome, reason, checks, verification, setupMs } = records[0]!;
    assert.equal(outcome, 'completed', reason ?? '');
    assert.deepEqual(
      checks.filter((check) => !check.holds),
      [],
    );
    assert.deepEqual(
      checks.map((check) => check.id),
      ['one-running', 'heartbeat', 'files', 'limits', 'ram'],
    );
    // 16 MiB of ballast, the C library, perl.
    assert.ok(verification !== null && verification.pages > 5000 && verification.badPages === 0);
    assert.match(checks.at(-1)!.evidence, /^\d{5,} pages in \d+ blocks, 0 differ$/);
    assert.ok(typeof setupMs === 'number' && setupMs > 0);
  } finally {
    removeRunFolder(folder);
  }
});
