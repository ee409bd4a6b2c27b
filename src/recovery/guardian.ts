/**
 * The guardian: a small process that outlives the controller. It holds one end of a pipe; when the other end closes
 * without a word, the controller is gone, and the guardian ends the migration by its journal.
 * Entry point of its own process: `node guardian.ts JOURNAL`.
 */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { GodwitError, sleep } from '../base/index.ts';
import { sayEnded } from '../remote/index.ts';
import { Journal, readJournal } from './journal.ts';
import { QmpMachine } from './machine.ts';
import { recover } from './recover.ts';

export interface Guardian {
  /** Resolves when it watches; from then on a controller may die. Errors: GUARDIAN_START. */
  readonly watching: Promise<void>;
  /** The controller has ended the migration itself: the guardian leaves. */
  dismiss(): void;
}

const START_TIMEOUT_MS = 10_000;
const WATCHING = 'watching';
const DISMISSED = 'done';

/** Starts the guardian in a session of its own, so that what kills the controller's group does not reach it. */
export function startGuardian(journalPath: string): Guardian {
  const child = spawn(process.execPath, ['--no-warnings', fileURLToPath(import.meta.url), journalPath], {
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const watching = new Promise<void>((resolve, reject) => {
    const fail = (cause: unknown) => reject(startError(cause));
    const timer = setTimeout(
      () => fail(new Error(`not ready after ${START_TIMEOUT_MS} ms`)),
      START_TIMEOUT_MS,
    );
    child.stdout.once('data', () => resolve());
    child.once('error', fail);
    child.once('exit', (code, signal) => fail(new Error(`it ended with ${signal ?? `code ${code}`}`)));
    child.once('exit', () => clearTimeout(timer));
    child.stdout.once('data', () => clearTimeout(timer));
  });
  watching.catch(() => undefined);
  child.stdin.on('error', () => undefined);
  child.unref();
  return {
    watching,
    dismiss() {
      child.stdin.end(`${DISMISSED}\n`);
      child.stdout.destroy();
    },
  };
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
  const state = readJournal(journalPath);
  const { listener } = state.begin.destination.reach ?? {};
  // It died between the end and saying so.
  if (state.end && state.end.outcome !== 'in-doubt') return sayEnded(listener, state.end.outcome);
  const source = new QmpMachine(state.begin.source);
  const destination = new QmpMachine(state.begin.destination);
  const recovery = await recover(state, source, destination, (delayMs) => sleep(delayMs));
  const journal = new Journal(journalPath);
  journal.write({ step: 'end', outcome: recovery.outcome, text: `guardian: ${recovery.text}` });
  journal.close();
  await source.close();
  await destination.close();
  await sayEnded(listener, recovery.outcome);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // A terminal's Ctrl-C or hang-up is for the controller; the guardian must outlive it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  // The controller's end of this pipe may be gone before the first word.
  process.stdout.on('error', () => undefined);
  await watch(process.argv[2] ?? '');
}
