/**
 * The guardian: a small process that outlives the controller. It holds one end of a pipe; when the other end closes
 * without a word, the controller is gone, and the guardian ends the migration by its journal.
 * Entry point of its own process: `node guardian.ts JOURNAL`.
 */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { errorMessage, sleep } from '../base/index.ts';
import { Journal, readJournal } from './journal.ts';
import { qmpMachine } from './machine.ts';
import { recover } from './recover.ts';

export interface Guardian {
  /** The controller has ended the migration itself: the guardian leaves. */
  dismiss(): void;
  readonly processId: number | null;
}

/** Starts the guardian in a session of its own, so that what kills the controller's group does not reach it. */
export function startGuardian(journalPath: string): Guardian {
  const child = spawn(process.execPath, ['--no-warnings', fileURLToPath(import.meta.url), journalPath], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.on('error', () => undefined);
  child.stdin.on('error', () => undefined);
  child.unref();
  return {
    processId: child.pid ?? null,
    dismiss() {
      child.stdin.end('done\n');
    },
  };
}

async function watch(journalPath: string): Promise<void> {
  let dismissed = false;
  for await (const chunk of process.stdin) {
    if (String(chunk).includes('done')) dismissed = true;
  }
  if (dismissed) return;
  const state = readJournal(journalPath);
  const source = qmpMachine(state.begin.source.qmpPath);
  const destination = qmpMachine(state.begin.destination.qmpPath);
  const recovery = await recover(state, source, destination, (delayMs) => sleep(delayMs)).catch(
    (error: unknown) => ({
      outcome: 'in-doubt' as const,
      text: `the guardian could not finish: ${errorMessage(error)}; run "godwit resolve"`,
    }),
  );
  const journal = new Journal(journalPath);
  journal.write({ step: 'end', outcome: recovery.outcome, text: `guardian: ${recovery.text}` });
  journal.close();
  await source.close();
  await destination.close();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // A terminal's Ctrl-C or hang-up is for the controller; the guardian must outlive it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  await watch(process.argv[2] ?? '');
}
