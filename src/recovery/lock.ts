/**
 * Who may end a migration: its controller while it lives, then one guardian or one `godwit resolve`.
 * A file that names its holder's process, so that a dead holder is recognised. Not responsible for
 * what a holder does.
 */

import { readFileSync, rmSync } from 'node:fs';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { GodwitError } from '../base/index.ts';
import { isAlive, processIdentity, processNamespace } from '../qmp/index.ts';

const holderSchema = z.object({ identity: z.string(), namespace: z.string().nullable() });
const ATTEMPTS = 5;

export interface Lock {
  release(): void;
}

/** Errors: LOCK_HELD; the system's, where the folder cannot be written. */
export async function takeLock(path: string): Promise<Lock> {
  const identity = (await processIdentity(process.pid)) ?? `${process.pid}`;
  const own = JSON.stringify({ identity, namespace: await processNamespace() });
  const unnamed = `${path}.${process.pid}`;
  await writeFile(unnamed, own, { mode: 0o600 });
  try {
    for (let attempt = 1; ; attempt++) {
      if (await named(unnamed, path)) return { release: () => releaseOwn(path, own) };
      const text = await readText(path);
      if (text === null) continue;
      if (attempt === ATTEMPTS || !(await isLeftBehind(text))) throw heldError(path, text);
      await takeAway(path, text);
    }
  } finally {
    await rm(unnamed, { force: true });
  }
}

/** A link is made or not made at all; a file that exists is never replaced. */
async function named(unnamed: string, path: string): Promise<boolean> {
  try {
    await link(unnamed, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readText(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch(() => null);
}

/**
 * Another process namespace shows other processes under the same numbers: what cannot be
 * seen counts as alive.
 */
async function isLeftBehind(text: string): Promise<boolean> {
  const holder = holderSchema.safeParse(parsed(text));
  if (!holder.success) return true;
  const { identity, namespace } = holder.data;
  return namespace === (await processNamespace()) && !(await isAlive(identity));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Of two that find the same dead holder one may come late and move the other's new lock: it puts that back.
 */
async function takeAway(path: string, deadText: string): Promise<void> {
  const aside = `${path}.dead.${process.pid}`;
  try {
    await rename(path, aside);
    if ((await readText(aside)) !== deadText) await named(aside, path);
  } catch {
    // Somebody else took it away.
  }
  await rm(aside, { force: true });
}

/** Best effort: a lock of a process that has ended holds nobody, and the exit code says where the VM is. */
function releaseOwn(path: string, own: string): void {
  try {
    if (readFileSync(path, 'utf8') !== own) return;
    rmSync(path, { force: true });
  } catch {
    // The state folder became read-only, or is gone.
  }
}

function heldError(path: string, text: string): GodwitError {
  const holder = holderSchema.safeParse(parsed(text));
  const who = holder.success ? `process ${holder.data.identity.split('@')[0]}` : 'another process';
  return new GodwitError('LOCK_HELD', `${who} is ending this migration, or still runs it`, {
    safe: 'nothing was changed',
    hint: `wait for it; where it is not of this host or process namespace, look there (${path})`,
  });
}
