/**
 * A Linux guest moves through the gateway: its RAM is the same at both ends at COMMIT, its files are what
 * they were, its program goes on. Skipped where its Debian packages cannot be had.
 */

import assert from 'node:assert/strict';
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { GodwitError, MIB } from '../base/index.ts';
import { humanMonitorCommand } from '../qmp/index.ts';
import {
  buildLinuxImage,
  damagePage,
  gatewayMigratorFor,
  makeRunFolder,
  openNetwork,
  parsePlan,
  removeRunFolder,
  runPlan,
  type Vm,
} from './index.ts';
import { filesCheck } from './judge/linux-checks.ts';
import { parseRamBlocks } from './judge/oracle.ts';
import { BALLAST, contentOf } from './linux/image.ts';
import { openLinuxPair, verifyFiles } from './linux/pair.ts';
import { qemuMissing } from './machine/qemu.testing.ts';

const skip = qemuMissing() || (await packagesMissing());

async function packagesMissing(): Promise<string | false> {
  try {
    await buildLinuxImage('stress');
    return false;
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'LAB_PACKAGES') return error.message;
    throw error;
  }
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

test('one damaged page of a file is found by the guest itself', { skip }, async () => {
  const network = await openNetwork({ linkBytesPerSecond: 50e6 });
  const guest = { program: 'stress', stressBytes: 16 * MIB } as const;
  const pair = await openLinuxPair({ network, guest, memoryBytes: 256 * MIB });
  try {
    const { source } = pair;
    await damagePage(source, await findPage(source, contentOf(BALLAST, 8192).subarray(4096)));
    const found = await verifyFiles(source);
    assert.deepEqual([found.badFiles, found.programAlive, found.complaints], [1, true, []]);
    assert.deepEqual(filesCheck.assert(found, 'stayed'), ['1 files are not what they were']);
  } finally {
    await pair.close();
    await network.close();
  }
});

/** Where in the VM's RAM a page with this content is. */
async function findPage(vm: Vm, content: Uint8Array): Promise<{ block: string; pageIndex: number }> {
  const blocks = parseRamBlocks(await humanMonitorCommand(vm.qmp, 'info ramblock'));
  const { id, hostAddress, sizeBytes } = blocks.find((block) => block.sizeBytes === 256 * MIB)!;
  const file = openSync(`/proc/${vm.process.pid}/mem`, 'r');
  const chunk = Buffer.alloc(MIB);
  try {
    for (let at = 0; at < sizeBytes; at += chunk.length) {
      readSync(file, chunk, 0, chunk.length, hostAddress + at);
      for (let page = 0; page < chunk.length; page += 4096) {
        if (chunk.compare(content, 0, 4096, page, page + 4096) !== 0) continue;
        return { block: id, pageIndex: (at + page) / 4096 };
      }
    }
  } finally {
    closeSync(file);
  }
  return assert.fail('the ballast is in memory');
}
