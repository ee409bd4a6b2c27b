/**
 * Ends a migration whose controller is gone, by the journal and by what both QEMUs answer: exactly one running VM, or
 * the operator is told which question is open. Used by the guardian and by `godwit resolve`. It never guesses.
 */

import { errorMessage } from '../base/index.ts';
import { type QmpExecutor, restoreSettings } from '../qmp/index.ts';
import type { JournalState } from './journal.ts';

/** One QEMU as recovery sees it. */
export interface Machine extends QmpExecutor {
  /** `gone`: nothing listens on the QMP socket any more. `silent`: something does, but it does not answer. */
  status(): Promise<
    { state: 'answers'; runState: string } | { state: 'gone' } | { state: 'silent'; why: string }
  >;
  /** Sends `quit` and waits until nothing listens; false if it is still there after `timeoutMs`. */
  quit(timeoutMs: number): Promise<boolean>;
}

export interface Recovery {
  readonly outcome: 'completed' | 'aborted' | 'in-doubt';
  /** For the operator: what was found, what was done, what to do. */
  readonly text: string;
}

const QUIT_TIMEOUT_MS = 10_000;
const SETTLE_TIMEOUT_MS = 10_000;
const SETTLE_STEP_MS = 50;

export async function recover(
  journal: JournalState,
  source: Machine,
  destination: Machine,
  sleepMs: (delayMs: number) => Promise<void>,
): Promise<Recovery> {
  if (journal.end && journal.end.outcome !== 'in-doubt') {
    return { outcome: journal.end.outcome, text: `already ended: ${journal.end.text}` };
  }
  if (journal.committed) return finishForward(journal, source, destination, sleepMs);
  return backToSource(journal, source, destination, sleepMs);
}

/** Before COMMIT no `cont` was ever sent to the destination, so it cannot have run: remove it, then the source goes on. */
async function backToSource(
  journal: JournalState,
  source: Machine,
  destination: Machine,
  sleepMs: (delayMs: number) => Promise<void>,
): Promise<Recovery> {
  const status = await destination.status();
  if (status.state === 'answers' && status.runState === 'running') {
    return inDoubt('the destination VM runs although godwit did not start it; the source was left stopped');
  }
  if (!(await destination.quit(QUIT_TIMEOUT_MS))) {
    return inDoubt(
      'the destination QEMU does not end; the source was left as it is. End the destination process, then run "godwit resolve" again',
    );
  }
  return resumeSource(journal, source, sleepMs, 'the move was undone before its commit point');
}

async function finishForward(
  journal: JournalState,
  source: Machine,
  destination: Machine,
  sleepMs: (delayMs: number) => Promise<void>,
): Promise<Recovery> {
  const status = await settled(destination, sleepMs);
  if (status.state === 'gone') {
    return inDoubt(
      'the destination QEMU is gone after the commit point, so it may have run and written to its disk. Boot the VM from its disk; do not continue the paused source',
    );
  }
  if (status.state === 'silent') {
    return inDoubt(`the destination does not answer (${status.why}); it may run. Do not continue the source`);
  }
  if (status.runState !== 'running' && journal.begin.guestWasRunning) {
    try {
      await destination.execute('cont');
    } catch (error) {
      return neverRan(journal, source, destination, sleepMs, errorMessage(error));
    }
    const after = await settled(destination, sleepMs);
    if (after.state !== 'answers' || after.runState !== 'running') {
      const found = after.state === 'answers' ? after.runState : after.state;
      return inDoubt(`the destination was started but is "${found}". Do not continue the source`);
    }
  }
  if (journal.begin.sourceAfter === 'quit') await source.quit(QUIT_TIMEOUT_MS);
  return {
    outcome: 'completed',
    text: 'the VM is at the destination. Never continue the paused source: it would run a second copy',
  };
}

/** The destination refused `cont` (a locked disk, for instance) and was never `running`: the source may go on. */
async function neverRan(
  journal: JournalState,
  source: Machine,
  destination: Machine,
  sleepMs: (delayMs: number) => Promise<void>,
  why: string,
): Promise<Recovery> {
  const status = await destination.status();
  if (status.state !== 'answers' || status.runState === 'running') {
    return inDoubt(
      `the destination refused to start (${why}) and its state is unknown. Do not continue the source`,
    );
  }
  if (!(await destination.quit(QUIT_TIMEOUT_MS))) {
    return inDoubt(`the destination refused to start (${why}) and does not end. End its process first`);
  }
  return resumeSource(journal, source, sleepMs, `the destination refused to start: ${why}`);
}

async function resumeSource(
  journal: JournalState,
  source: Machine,
  sleepMs: (delayMs: number) => Promise<void>,
  why: string,
): Promise<Recovery> {
  const status = await source.status();
  if (status.state === 'gone') {
    return inDoubt(`${why}; but the source QEMU is gone too: no copy is left. Boot the VM from its disk`);
  }
  if (status.state === 'silent') return inDoubt(`${why}; but the source does not answer (${status.why})`);
  await cancelMigration(source, sleepMs);
  // A setting that cannot be put back must not keep the VM stopped.
  if (journal.settings) await restoreSettings(source, journal.settings).catch(() => undefined);
  // QEMU may have resumed the VM by itself when its connection went.
  const now = await source.status();
  if (!journal.begin.guestWasRunning) {
    return { outcome: 'aborted', text: `${why}; the source VM is paused, as it was` };
  }
  if (now.state !== 'answers' || now.runState !== 'running') await source.execute('cont');
  const after = await source.status();
  if (after.state !== 'answers' || after.runState !== 'running') {
    return inDoubt(`${why}; the source did not start again. Look at it with query-status and "cont" it`);
  }
  return { outcome: 'aborted', text: `${why}; the source VM runs` };
}

/** QEMU refuses `cont` and new settings while a migration is still ending: cancel it and wait until it has ended. */
export async function cancelMigration(
  source: Machine,
  sleepMs: (delayMs: number) => Promise<void>,
): Promise<void> {
  const ended = new Set(['none', 'completed', 'failed', 'cancelled', undefined]);
  for (let waitedMs = 0; waitedMs < SETTLE_TIMEOUT_MS; waitedMs += SETTLE_STEP_MS) {
    const info = (await source.execute('query-migrate')) as { status?: string };
    if (ended.has(info.status)) return;
    if (info.status !== 'cancelling') await source.execute('migrate_cancel').catch(() => undefined);
    await sleepMs(SETTLE_STEP_MS);
  }
}

/** Waits while the destination is still loading. */
async function settled(destination: Machine, sleepMs: (delayMs: number) => Promise<void>) {
  let status = await destination.status();
  for (let waitedMs = 0; waitedMs < SETTLE_TIMEOUT_MS; waitedMs += SETTLE_STEP_MS) {
    if (status.state !== 'answers' || status.runState !== 'inmigrate') return status;
    await sleepMs(SETTLE_STEP_MS);
    status = await destination.status();
  }
  return status;
}

function inDoubt(text: string): Recovery {
  return { outcome: 'in-doubt', text };
}
