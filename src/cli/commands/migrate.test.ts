/** The command line of `godwit migrate`, and what it says at the end. Real migrations: test/live. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Command } from 'commander';
import type { MigrationReport } from '../../controller/index.ts';
import { FakeQmpServer } from '../../qmp/fake.testing.ts';
import { main } from '../main.ts';
import { declareOptions, readSharedOptions } from '../migrate/options.ts';
import { findingLines, summaryLines } from '../migrate/text.ts';
import { painter } from '../screen/output.ts';

const folder = mkdtempSync(join(tmpdir(), 'godwit-migrate-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function run(...args: string[]) {
  let out = '';
  let err = '';
  const code = await main(['migrate', ...args], {
    out: { write: (text) => void (out += text) },
    err: { write: (text) => void (err += text) },
  });
  return { code, out, err };
}

const ENDS = ['qmp:/nowhere/a.qmp', 'qmp:/nowhere/b.qmp'] as const;

for (const [why, args, code] of [
  ['no such endpoint', ['/run/a.qmp', ENDS[1]], 'USAGE_ENDPOINT'],
  ['the same end twice', [ENDS[0], ENDS[0]], 'USAGE_ENDPOINT'],
  ['a wrong time', [...ENDS, '--downtime-limit', 'soon'], 'USAGE_VALUE'],
  ['no downtime at all', [...ENDS, '--downtime-limit', '0'], 'USAGE_VALUE'],
  ['a wrong word', [...ENDS, '--on-timeout', 'panic'], 'USAGE_VALUE'],
  ['two bounds', [...ENDS, '--strict', '--max-downtime', '2s'], 'USAGE_VALUE'],
  ['a bound below the limit', [...ENDS, '--max-downtime', '200ms'], 'USAGE_VALUE'],
  ['post-copy by libvirt', ['libvirt:vm', 'qemu:///session', '--on-timeout', 'post-copy'], 'USAGE_VALUE'],
  ['too little memory', [...ENDS, '--gateway-memory', '1M'], 'USAGE_VALUE'],
  ['memory in clear', ['qmp:/run/a.qmp', 'tcp://host2:4444'], 'USAGE_INSECURE'],
  ['no far host', [...ENDS, '--no-far-gateway'], 'USAGE_VALUE'],
  ['a map of nothing', [...ENDS, '--map', '/a=/b'], 'USAGE_VALUE'],
  ['a map without a name', [...ENDS, '--start', '--map', '/a'], 'USAGE_VALUE'],
  ['a QEMU that a listener should start', ['qmp:/run/a.qmp', 'tls://host2:4444', '--start'], 'USAGE_VALUE'],
  ['no port', [...ENDS, '--destination-address', 'host2', '--insecure'], 'USAGE_VALUE'],
  ['a refusal that stays', [...ENDS, '--force', 'MIGRATION_BLOCKED'], 'USAGE_FORCE'],
] as const) {
  test(`${why} is refused before anything is asked`, async () => {
    const result = await run(...args, '--json');
    assert.equal(result.code, 2);
    assert.equal(JSON.parse(result.out).error.code, code);
  });
}

test('a bound changes what a timeout leads to, unless that is said too', () => {
  const limits = (...args: string[]) => {
    const command = new Command();
    declareOptions(command);
    command.parse(['a', 'b', ...args], { from: 'user' });
    return readSharedOptions(command.opts()).limits;
  };
  const plain = { downtimeMsMax: 300, timeoutMs: null, onTimeout: 'switch' };
  assert.deepEqual(limits(), plain);
  assert.deepEqual(limits('--max-downtime', '2s'), { ...plain, downtimeMsBound: 2000, onTimeout: 'cancel' });
  assert.deepEqual(limits('--strict'), { ...plain, downtimeMsBound: 'limit', onTimeout: 'cancel' });
  const switches = { ...plain, downtimeMsBound: 'limit' };
  assert.deepEqual(limits('--strict', '--on-timeout', 'switch'), switches);
});

test('an end that nobody listens on is an error, and with --dry-run a finding', async () => {
  const moved = await run(...ENDS, '--json');
  assert.deepEqual([moved.code, JSON.parse(moved.out).error.code], [1, 'QMP_CONNECT']);
  const dry = await run(...ENDS, '--dry-run', '--json');
  const report = JSON.parse(dry.out);
  assert.deepEqual([dry.code, report.ready, report.findings[0].code], [1, false, 'QMP_CONNECT']);
  assert.match((await run(...ENDS, '--dry-run')).out, /it would refuse; nothing was changed/);
});

test('a socket of libvirt is refused by its path', async () => {
  const { code, out } = await run('qmp:/var/lib/libvirt/qemu/monitor.sock', ENDS[1], '--json');
  assert.deepEqual([code, JSON.parse(out).error.code], [1, 'QMP_LIBVIRT']);
});

test('a socket in use is named as such', async () => {
  const path = join(folder, 'busy.qmp');
  await using fake = await FakeQmpServer.listen({ path, greeting: '' });
  const { code, out } = await run(`qmp:${fake.path}`, ENDS[1], '--dry-run', '--json');
  assert.equal(code, 1);
  assert.match(JSON.parse(out).findings[0].code, /^QMP_(BUSY|TIMEOUT)$/);
});

const plain = painter(false);

const moved: MigrationReport = {
  schema: 'godwit.report/1',
  migrationId: 'm',
  success: true,
  failure: null,
  outcome: 'completed',
  arrangement: 'single',
  strategy: 'mp',
  parameters: {},
  workload: null,
  seed: null,
  qemuVersion: '10.0.2',
  accelerator: 'kvm',
  guestMemoryBytes: 2 ** 30,
  dirtyBytesPerSecond: null,
  linkBytesPerSecond: null,
  totalMigrationTimeMs: 12_000,
  downtimeMs: 180,
  downtimePredictedMs: 200,
  downtimeLimitMs: null,
  link: null,
  transferredBytes: 2 ** 31,
  iterations: [],
  decision: { action: 'stop-and-copy', rule: 'fits-limit', text: 'it fits' },
  verification: null,
  stopAndCopy: {},
  setupMs: 640,
  notes: [],
};

test('the end names the four metrics, the decision with its reason, and what never to do', () => {
  const text = summaryLines(moved, 'keep', plain).join('\n');
  for (const part of [
    /12\.0 s/,
    /180 ms, predicted 200 ms/,
    /2\.0 GiB for 1\.0 GiB/,
    /fits-limit: it fits/,
    /Never continue it/,
  ]) {
    assert.match(text, part);
  }
  assert.doesNotMatch(summaryLines(moved, 'quit', plain).join('\n'), /Never continue/);
  assert.match(
    summaryLines({ ...moved, downtimeMs: null }, 'keep', plain).join('\n'),
    /the guest was paused/,
  );
});

test('a failure names its code; a doubt names the command that ends it', () => {
  const failed = { ...moved, success: false, failure: { code: 'GATE_LOST', text: 'why' } };
  assert.match(
    summaryLines({ ...failed, outcome: 'aborted' }, 'keep', plain).join('\n'),
    /not moved \[GATE_LOST\]\n {2}why/,
  );
  assert.match(
    summaryLines({ ...failed, outcome: 'in-doubt' }, 'keep', plain).join('\n'),
    /godwit resolve m/,
  );
});

test('what QEMU says cannot move the cursor', () => {
  const finding = {
    severity: 'refuse',
    code: 'X',
    text: 'a\u001b[2Jb',
    source: 'c\u0007',
    destination: null,
    forced: true,
  } as const;
  const lines = findingLines([finding], plain);
  assert.deepEqual(lines, ['  ✗ ab [X] (forced)', '    source       c\ufffd']);
});
