/** One real run of the command, as a script would start it. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { qemuMissing } from '../../lab/machine/qemu.testing.ts';

const GODWIT = fileURLToPath(new URL('../../../bin/godwit.mjs', import.meta.url));
const TIMEOUT_MS = 90_000;

interface Run {
  readonly code: number;
  readonly pid: number;
  readonly out: string;
  readonly err: string;
}

function godwit(args: readonly string[], interruptWhen: RegExp | null = null): Promise<Run> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [GODWIT, ...args],
      { timeout: TIMEOUT_MS, killSignal: 'SIGKILL' },
      (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), pid: child.pid!, out, err });
      },
    );
    let said = '';
    let isInterrupted = interruptWhen === null;
    child.stderr!.on('data', (chunk) => {
      said += chunk;
      if (isInterrupted || interruptWhen?.test(said) !== true) return;
      isInterrupted = true;
      child.kill('SIGINT');
    });
  });
}

const SMALL = [
  'demo',
  '--skip-baseline',
  '--memory',
  '64M',
  '--hot',
  '16M',
  '--link',
  '160Mbit',
  '--seed',
  '7',
];

test('demo --json moves a VM and reports it', { skip: qemuMissing(), timeout: TIMEOUT_MS }, async () => {
  const { code, out, err, pid } = await godwit([...SMALL, '--json', '--strategy', 'mp']);
  assert.equal(code, 0, err);
  const report = JSON.parse(out);
  assert.equal(report.success, true, out);
  assert.equal(report.schema, 'godwit.report/1');
  assert.equal(report.strategy, 'mp');
  assert.equal(report.workload, 'uniform');
  assert.equal(report.seed, 7);
  assert.equal(report.linkBytesPerSecond, 20_000_000);
  assert.match(report.qemuVersion, /^\d+\.\d+/);
  assert.equal(report.accelerator, 'tcg');
  assert.ok(report.dirtyBytesPerSecond > 0);
  assert.ok(report.downtimeMs > 0 && report.downtimeMs < report.totalMigrationTimeMs);
  assert.ok(report.downtimePredictedMs > 0);
  assert.ok(report.transferredBytes > 32 * 2 ** 20);
  assert.ok(report.iterations.length > 0);
  for (const iteration of report.iterations) {
    for (const name of ['dirtyPages', 'sentPages', 'heldPages'])
      assert.equal(typeof iteration[name], 'number');
  }
  assert.equal(report.decision.action, 'stop-and-copy');
  assert.ok(report.decision.rule !== '' && report.decision.text !== '');
  assert.ok(report.verification.pages > 10_000);
  assert.equal(report.verification.badPages, 0);
  assert.equal(report.verification.heartbeatsLost, 0);
  assert.match(err, /one VM runs: source stopped/);
  assert.deepEqual(leftBy(pid), []);
});

test('Ctrl-C during the migration leaves nothing behind', {
  skip: qemuMissing(),
  timeout: TIMEOUT_MS,
}, async () => {
  const { code, out, err, pid } = await godwit(SMALL, /iter +took/);
  assert.equal(code, 130, err);
  assert.equal(out, '');
  assert.match(err, /interrupted/);
  assert.deepEqual(leftBy(pid), []);
});

function leftBy(pid: number): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith(`godwit-lab-${pid}-`));
}
