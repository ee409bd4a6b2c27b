/**
 * A Linux guest that has booted and worked for a while, saved once and loaded by every contestant: all of
 * them meet the same guest, and no boot is waited for twice. Kept in the cache. Not responsible for the pair
 * (pair.ts).
 */

import { createHash } from 'node:crypto';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../../base/index.ts';
import {
  migrate,
  migrateIncoming,
  migrateSetParameters,
  queryMigrate,
  queryStatus,
  stop,
} from '../../qmp/index.ts';
import { labError } from '../errors.ts';
import type { Vm } from '../machine/vm.ts';
import { cacheFolder, keepNewest } from './cache.ts';

/** Each is as large as the guest's used memory. The oldest goes. */
const SAVED_MAX = 8;
const SAVE_TIMEOUT_MS = 120_000;
const LOAD_TIMEOUT_MS = 60_000;
const POLL_MS = 20;
const UNLIMITED_BYTES_PER_SECOND = 2 ** 40;

/** Where a guest that follows from these facts is kept. */
export function savedGuestPath(facts: readonly unknown[], folder = join(cacheFolder(), 'linux')): string {
  const key = createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
  return join(folder, 'warm', `${key}.state`);
}

/** Stops the VM and writes its state; the VM is of no use afterwards. Errors: LAB_VM_FAILED. */
export async function saveGuest(vm: Vm, path: string): Promise<void> {
  const folder = join(path, '..');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fresh = `${path}.new-${process.pid}`;
  await stop(vm.qmp);
  await migrateSetParameters(vm.qmp, new Map([['max-bandwidth', UNLIMITED_BYTES_PER_SECOND]]));
  try {
    await migrate(vm.qmp, `exec:cat > ${quoted(fresh)}`);
    const deadlineMs = performance.now() + SAVE_TIMEOUT_MS;
    for (;;) {
      const { status, errorDesc } = await queryMigrate(vm.qmp);
      if (status === 'completed') break;
      if (status === 'failed' || performance.now() > deadlineMs) {
        throw labError('LAB_VM_FAILED', `the guest could not be saved: ${errorDesc ?? status}`);
      }
      await sleep(POLL_MS);
    }
    renameSync(fresh, path);
  } finally {
    rmSync(fresh, { force: true });
  }
  keepNewest(folder, SAVED_MAX, (name) => name.endsWith('.state'));
}

/** Into a VM that waits for an incoming migration. It is paused afterwards. Errors: LAB_VM_FAILED. */
export async function loadGuest(vm: Vm, path: string): Promise<void> {
  await migrateIncoming(vm.qmp, `exec:cat ${quoted(path)}`);
  const deadlineMs = performance.now() + LOAD_TIMEOUT_MS;
  while ((await queryStatus(vm.qmp)).status === 'inmigrate') {
    if (vm.process.ending() !== null || performance.now() > deadlineMs) {
      throw labError('LAB_VM_FAILED', `the saved guest does not load: ${vm.process.stderr().trim()}`, {
        hint: `remove ${path}`,
      });
    }
    await sleep(POLL_MS);
  }
}

/** For the shell that QEMU starts. */
function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`;
}
