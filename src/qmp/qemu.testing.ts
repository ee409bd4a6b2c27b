/** Real QEMUs for the live tests of this folder: booted under TCG, gone with their test. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { sleep } from '../base/index.ts';
import { connectQmp, type QmpClient } from './index.ts';

export const QEMU = 'qemu-system-x86_64';
/** Why they cannot run here; false: they can. */
export const missing = spawnSync(QEMU, ['--version']).status === 0 ? false : `${QEMU} is not installed`;

export function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-qmp-live-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const PLAIN = ['-accel', 'tcg', '-display', 'none', '-nodefaults'];

/** Starts a QEMU in `folder` and returns its QMP path once that exists. */
async function boot(t: TestContext, folder: string, name: string, args: readonly string[]): Promise<string> {
  const path = join(folder, `${name}.qmp`);
  const qmp = ['-qmp', `unix:${path},server=on,wait=off`];
  const child: ChildProcess = spawn(QEMU, [...PLAIN, ...args, ...qmp], { cwd: folder, stdio: 'ignore' });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  });
  for (let tries = 0; !existsSync(path); tries++) {
    assert.ok(tries < 1000 && child.exitCode === null, `${QEMU} ${args.join(' ')} made no QMP socket`);
    await sleep(20);
  }
  return path;
}

export async function bootAndConnect(
  t: TestContext,
  folder: string,
  name: string,
  args: readonly string[],
): Promise<QmpClient> {
  const path = await boot(t, folder, name, args);
  const client = await connectQmp({ path, timeoutMs: 20_000 });
  t.after(() => client.close());
  return client;
}
