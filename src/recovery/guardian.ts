/**
 * The guardian: a small process that outlives the controller. It holds one end of a pipe; when the other
 * end closes without a word, the controller is gone, and the guardian ends the migration by its journal,
 * which it has open. Entry point of its own process: `node guardian.ts JOURNAL`, the journal's
 * descriptor being number 3.
 */

import { spawn } from 'node:child_process';
import { getCompileCacheDir } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { errorMessage, GodwitError, sleep, within } from '../base/index.ts';
import type { Outcome } from '../handover/index.ts';
import { sayEnded } from '../remote/index.ts';
import { releaseClaimsOf } from './claims.ts';
import { hasEnded, type JournalState } from './entries.ts';
import { announceEnd, finishOpen, lockPathOf, log } from './finish.ts';
import { Journal, readOpenJournal } from './journal.ts';
import { removeLeftovers } from './leftovers.ts';
import { type Lock, takeLock } from './lock.ts';

export interface Guardian {
  /** Resolves when it watches; from then on a controller may die. Errors: GUARDIAN_START. */
  readonly watching: Promise<void>;
  /** Its process; null where it did not start. */
  readonly processId: number | null;
  /** The controller has ended the migration itself: the guardian leaves. */
  dismiss(): void;
}

/** The VM runs meanwhile; on a busy machine a process takes long to start. */
const START_TIMEOUT_MS = 60_000;
const WATCHING = 'watching';
const DISMISSED = 'done';
const JOURNAL_DESCRIPTOR = 3;
/** Read by Node when it starts. */
const COMPILE_CACHE = 'NODE_COMPILE_CACHE';
/** A killed process may be seen for a moment longer; another one that ends the migration takes its time. */
const LOCK_PATIENCE_MS = 30_000;
const LOCK_POLL_MS = 50;
/** As long as a line of the journal may take. */
const LOCK_HANG_MS = 10_000;

/**
 * Starts the guardian in a session of its own, so that what kills the controller's group does not reach it.
 */
export function startGuardian(journal: Journal): Guardian {
  const child = spawn(process.execPath, ['--no-warnings', fileURLToPath(import.meta.url), journal.path], {
    detached: true,
    env: { ...process.env, ...compileCache() },
    // Its verdict is for whoever still reads the controller's standard error.
    stdio: ['pipe', 'pipe', 'inherit', journal.descriptor],
  });
  const stdin = child.stdin!;
  const stdout = child.stdout!;
  const watching = new Promise<void>((resolve, reject) => {
    const fail = (cause: unknown) => reject(startError(cause));
    const timer = setTimeout(
      () => fail(new Error(`not ready after ${START_TIMEOUT_MS} ms`)),
      START_TIMEOUT_MS,
    );
    stdout.once('data', () => resolve());
    child.once('error', fail);
    child.once('exit', (code, signal) => fail(new Error(`it ended with ${signal ?? `code ${code}`}`)));
    child.once('exit', () => clearTimeout(timer));
    stdout.once('data', () => clearTimeout(timer));
  });
  watching.catch(() => undefined);
  stdin.on('error', () => undefined);
  child.unref();
  return {
    watching,
    processId: child.pid ?? null,
    dismiss() {
      stdin.end(`${DISMISSED}\n`);
      stdout.destroy();
    },
  };
}

/** The guardian shares the cache of compiled modules that the controller has, if it has one. */
function compileCache(): NodeJS.ProcessEnv {
  const folder = getCompileCacheDir();
  return folder === undefined ? {} : { [COMPILE_CACHE]: path.dirname(folder) };
}

function startError(cause: unknown): GodwitError {
  return new GodwitError('GUARDIAN_START', 'the guardian process does not start', {
    cause,
    safe: 'the source VM runs; without a guardian it is not stopped',
    hint: 'look whether this user may start more processes',
  });
}

async function watch(journalPath: string): Promise<void> {
  process.stdout.write(`${WATCHING}\n`);
  let dismissed = false;
  for await (const chunk of process.stdin) {
    if (String(chunk).includes(DISMISSED)) dismissed = true;
  }
  if (dismissed) return;
  await end(journalPath);
  removeLeftovers(journalPath);
}

/** A controller that was killed closes its end of the pipe before it is gone. Errors: LOCK_HELD. */
async function lockOfTheDead(journalPath: string): Promise<Lock | null> {
  for (let waitedMs = 0; ; waitedMs += LOCK_POLL_MS) {
    try {
      // A disk that hangs does not keep the VM waiting: nobody else can take the lock either.
      return await within(takeLock(lockPathOf(journalPath)), LOCK_HANG_MS, () => new Error('the disk hangs'));
    } catch (error) {
      // The folder may be gone or full.
      if (!(error instanceof GodwitError)) return null;
      if (waitedMs >= LOCK_PATIENCE_MS) throw error;
      await sleep(LOCK_POLL_MS);
    }
  }
}

/** What cannot be ended here stays for `godwit resolve`; it is told all the same. */
async function end(journalPath: string): Promise<void> {
  let verdict: string;
  try {
    const state = readOpenJournal(JOURNAL_DESCRIPTOR, journalPath);
    if (hasEnded(state)) {
      if (state.end.outcome === 'forgotten') return;
      return await tellEnd(state, { ...state.end, outcome: state.end.outcome });
    }
    // Its folder may be gone: then nobody else finds the journal either.
    const lock = await lockOfTheDead(journalPath);
    const journal = await Journal.continueOpen(JOURNAL_DESCRIPTOR, journalPath);
    const { outcome, text } = await finishOpen(state, journal, lock, { by: 'guardian' });
    verdict = `${outcome}: ${text}`;
  } catch (error) {
    verdict = `not ended: ${errorMessage(error)}. Run "godwit resolve ${journalPath}"`;
  }
  process.stderr.write(`godwit guardian: the controller of this migration is gone; ${verdict}\n`);
  await log(`guardian of ${journalPath}: ${verdict}`);
}

/** The controller died between the end and saying so. */
async function tellEnd(state: JournalState, end: Outcome): Promise<void> {
  await releaseClaimsOf(state);
  await announceEnd(state.begin.onEnd, state.begin.migrationId, end);
  await sayEnded(state.begin.destination.reach?.listener, end.outcome);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // It is not for the operator's command.
  delete process.env[COMPILE_CACHE];
  // A terminal's Ctrl-C or hang-up is for the controller; the guardian must outlive it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  // The controller's end of this pipe, and whoever read its standard error, may be gone
  // before the first word.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  await watch(process.argv[2] ?? '');
}
