/** The launcher's way of handing the terminal over: exit codes, signals, the right Node. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { nodeMajor, pinnedNode, usableNode } from '../../bin/runtime.mjs';

const root = join(import.meta.dirname, '..', '..');

/** Starts `runHere(node, ['-e', child])` in a process of its own session, so that no terminal is in play. */
function launchChild(child: string) {
  const code = [
    'const { launch, runHere } = await import("./bin/runtime.mjs");',
    `launch(() => runHere(process.execPath, ["-e", ${JSON.stringify(child)}]));`,
  ].join('\n');
  return spawn(process.execPath, ['--input-type=module', '-e', code], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function finish(
  launcher: ReturnType<typeof launchChild>,
): Promise<{ code: number | null; output: string }> {
  let output = '';
  launcher.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const [code] = await once(launcher, 'close');
  return { code, output };
}

test('the exit code is the child\u2019s, 128 + n after signal n', async () => {
  assert.equal((await finish(launchChild('process.exit(3)'))).code, 3);
  assert.equal((await finish(launchChild('process.kill(process.pid, "SIGKILL")'))).code, 137);
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} reaches the child once, and the launcher waits for it`, async () => {
    const child = [
      'let count = 0;',
      `process.on("${signal}", () => { count++; setTimeout(() => { console.log("got", count); process.exit(7); }, 100); });`,
      'setInterval(() => {}, 1000);',
      'console.log("ready");',
    ].join('\n');
    const launcher = launchChild(child);
    launcher.stdout.once('data', () => launcher.kill(signal));
    assert.deepEqual(await finish(launcher), { code: 7, output: 'ready\ngot 1\n' });
  });
}

test('the pinned Node is preferred; without it a new enough one will do', () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-node-'));
  try {
    assert.equal(pinnedNode(folder), null);
    assert.equal(usableNode(folder), process.execPath);
    mkdirSync(join(folder, 'node_modules', '.bin'), { recursive: true });
    symlinkSync(process.execPath, join(folder, 'node_modules', '.bin', 'node'));
    assert.equal(usableNode(folder), join(folder, 'node_modules', '.bin', 'node'));
    assert.equal(nodeMajor('18.20.1'), 18);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
