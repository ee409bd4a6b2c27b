/**
 * Ends an interrupted migration and says so everywhere it may be looked for: the journal, the claims in both
 * QEMUs, the far listener, the operator's own command, syslog. Run by the guardian and by `godwit resolve`.
 * Not responsible for the decision (recover.ts).
 */

import { spawn } from 'node:child_process';
import path from 'node:path';
import { errorMessage, sleep } from '../base/index.ts';
import type { Outcome } from '../handover/index.ts';
import { type Machine, openEnds } from '../machines/index.ts';
import { sayEnded } from '../remote/index.ts';
import { hasEnded, type JournalState } from './entries.ts';
import { withFound } from './found.ts';
import { Journal, readJournal } from './journal.ts';
import { type Lock, takeLock } from './lock.ts';
import { recover } from './recover.ts';

export interface FinishOptions {
  /** Who ends it, in the journal: "guardian", "resolve". */
  readonly by: string;
  /** An end that the operator vouches for: it has surely ended. */
  readonly fenced?: 'source' | 'destination' | null;
  /** Why the journal must not be acted on, looked up once nobody else can act; null: it may. */
  readonly refuse?: (state: JournalState) => Promise<string | null>;
}

const ON_END_TIMEOUT_MS = 30_000;

export function lockPathOf(journalPath: string): string {
  return path.join(path.dirname(journalPath), 'lock');
}

/** Errors: LOCK_HELD, those of reading the journal. Everything later is in the outcome. */
export async function finish(journalPath: string, options: FinishOptions): Promise<Outcome> {
  const lock = await takeLock(lockPathOf(journalPath));
  try {
    return await finishLocked(readJournal(journalPath), await Journal.continue(journalPath), options);
  } finally {
    lock.release();
  }
}

/** As `finish`, of an open journal whose folder may be gone; `lock` where it is not. */
export async function finishOpen(
  state: JournalState,
  journal: Journal | null,
  lock: Lock | null,
  options: FinishOptions,
): Promise<Outcome> {
  try {
    return await finishLocked(state, journal, options);
  } finally {
    lock?.release();
  }
}

async function finishLocked(
  state: JournalState,
  journal: Journal | null,
  { by, fenced = null, refuse }: FinishOptions,
): Promise<Outcome> {
  const { prepared, committed } = state;
  const ends = openEnds({ ...state.begin, prepared, mayHaveCommitted: committed !== 'no' });
  const source = fenced === 'source' ? fencedMachine() : ends.source;
  const destination = fenced === 'destination' ? fencedMachine() : ends.destination;
  try {
    const refusal = (await refuse?.(state)) ?? null;
    if (refusal !== null && !hasEnded(state)) return { outcome: 'in-doubt', text: refusal };
    const recovered = await recover(state, { source, destination, journal });
    const outcome = await withFound(recovered, state.begin, { source, destination });
    if (hasEnded(state)) return outcome;
    await journal?.tryRecord({ step: 'end', outcome: outcome.outcome, text: `${by}: ${outcome.text}` });
    await releaseClaims(outcome, state, source, destination);
    await announceEnd(state.begin.onEnd, state.begin.migrationId, outcome);
    await sayEnded(state.begin.destination.reach?.listener, outcome.outcome);
    return outcome;
  } finally {
    journal?.close();
    await Promise.all([ends.source.close(), ends.destination.close()]);
  }
}

/** Where nothing is in doubt, nothing of ours stays in a QEMU. Best effort: an end may be gone. */
async function releaseClaims(
  { outcome }: Outcome,
  { destinationIsOurs }: JournalState,
  source: Machine,
  destination: Machine,
): Promise<void> {
  if (outcome === 'in-doubt') return;
  const both = outcome === 'completed' || !destinationIsOurs ? [source, destination] : [source];
  await Promise.all(both.map((machine) => machine.releaseClaim().catch(() => undefined)));
}

/**
 * Runs the operator's --on-end with what happened in its environment. Returns what went wrong; null: nothing.
 */
export async function announceEnd(
  command: string | null,
  migrationId: string,
  end: Outcome,
): Promise<string | null> {
  if (command === null) return null;
  const environment = {
    ...process.env,
    GODWIT_MIGRATION: migrationId,
    GODWIT_OUTCOME: end.outcome,
    GODWIT_TEXT: end.text,
  };
  try {
    const child = spawn('/bin/sh', ['-c', command], { stdio: 'ignore', env: environment });
    const ended = new Promise<number | null>((resolve, reject) =>
      child.on('error', reject).on('exit', resolve),
    );
    const late = new AbortController();
    const code = await Promise.race([
      ended,
      sleep(ON_END_TIMEOUT_MS, late.signal)
        .then(() => 'late' as const)
        .catch(() => 'late' as const),
    ]);
    late.abort();
    if (code === 'late') child.kill();
    return code === 0 ? null : `--on-end ended with ${code ?? 'a signal'}`;
  } catch (error) {
    return `--on-end: ${errorMessage(error)}`;
  }
}

/** To the system's log, where there is one. Never rejects. */
export async function log(text: string): Promise<void> {
  const child = spawn('logger', ['-t', 'godwit', '--', text], { stdio: 'ignore' });
  await new Promise((resolve) => child.on('error', resolve).on('exit', resolve));
}

/** Powered off, its power plug drawn: the operator is sure, and answers for it. */
function fencedMachine(): Machine {
  const absent = () => Promise.reject(new Error('the operator said that this end is fenced'));
  return {
    status: async () => ({ state: 'gone', why: 'fenced by the operator' }),
    start: absent,
    stop: absent,
    end: async () => 'gone',
    migrationStatus: absent,
    cancelMigration: absent,
    restoreSettings: absent,
    releaseClaim: async () => undefined,
    close: async () => undefined,
  };
}
