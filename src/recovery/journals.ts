/**
 * The journals of a state folder: which there are, which name a VM, which are old enough to go. Not
 * responsible for what one says.
 */

import { readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { GodwitError } from '../base/index.ts';
import { identityOf } from '../machines/index.ts';
import { hasEnded, type JournalState } from './entries.ts';
import { readJournal } from './journal.ts';

/** Enough to look back at; a preference. */
const ENDED_KEPT_MAX = 100;
const ENDED_KEPT_DAYS = 30;
const DAY_MS = 86_400_000;
const JOURNAL = 'journal.jsonl';

export type FoundJournal = { readonly path: string; readonly migrationId: string; readonly atMs: number } & (
  | { readonly state: JournalState; readonly error: null }
  | { readonly state: null; readonly error: GodwitError }
);

export function journalPathOf(stateFolder: string, migrationId: string): string {
  return path.join(stateFolder, 'migrations', migrationId, JOURNAL);
}

/** The state folder in which a journal lies. */
export function stateFolderOf(journalPath: string): string {
  return path.resolve(path.dirname(journalPath), '..', '..');
}

/** What an operator has closed although nobody can read it. */
export function forgottenPathOf(journalPath: string): string {
  return `${journalPath}.forgotten`;
}

/**
 * Every journal there is, oldest first, unreadable ones too. A folder without one belongs to a
 * migration that never began.
 */
export function listJournals(stateFolder: string): FoundJournal[] {
  const folder = path.join(stateFolder, 'migrations');
  const found = namesIn(folder).flatMap((migrationId): FoundJournal[] => {
    const journalPath = journalPathOf(stateFolder, migrationId);
    const changedAtMs = statSync(journalPath, { throwIfNoEntry: false })?.mtimeMs;
    if (changedAtMs === undefined) return [];
    const place = { path: journalPath, migrationId };
    try {
      const state = readJournal(journalPath);
      return [{ ...place, atMs: state.begin.startedAtMs, state, error: null }];
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      return [{ ...place, atMs: changedAtMs, state: null, error }];
    }
  });
  return found.sort((one, other) => one.atMs - other.atMs);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** The same QEMU process or the same VM, at either end. */
function namesSameVm(one: JournalState, other: JournalState): boolean {
  const processes = ({ begin }: JournalState) => [identityOf(begin.source), identityOf(begin.destination)];
  const seen = new Set(processes(other).filter((identity) => identity !== null));
  if (processes(one).some((identity) => identity !== null && seen.has(identity))) return true;
  return one.begin.vm !== null && one.begin.vm === other.begin.vm;
}

/**
 * The first later journal that names the same VM: what `journal` says of it is history. null: there is none.
 */
export function laterJournal(
  journal: FoundJournal & { state: JournalState },
  all: readonly FoundJournal[],
): FoundJournal | null {
  const index = all.findIndex(({ path }) => path === journal.path);
  return (
    all.slice(index + 1).find(({ state }) => state !== null && namesSameVm(state, journal.state)) ?? null
  );
}

/**
 * An older journal without an end names the same VM: what makes it void must outlive it. One that cannot be
 * read here may be read elsewhere (by its user, by a newer version), and is older than its file looks.
 */
function voidsOlder(state: JournalState, all: readonly FoundJournal[]): boolean {
  const { startedAtMs } = state.begin;
  return all.some((one) =>
    one.state === null
      ? one.error.code !== 'JOURNAL_DAMAGED'
      : !hasEnded(one.state) && one.atMs <= startedAtMs && namesSameVm(state, one.state),
  );
}

/**
 * Ended ones that nobody will look at again, and folders of migrations that were killed before they began.
 * `nowMs`: milliseconds since 1970. Best effort.
 */
export function pruneJournals(stateFolder: string, nowMs: number): void {
  const all = listJournals(stateFolder);
  const oldestMs = nowMs - ENDED_KEPT_DAYS * DAY_MS;
  let endedLeft = all.filter(({ state }) => state !== null && hasEnded(state)).length;
  for (const { path: journalPath, atMs, state } of all) {
    if (state === null || !hasEnded(state)) continue;
    const isRecent = endedLeft-- <= ENDED_KEPT_MAX && atMs >= oldestMs;
    if (isRecent || voidsOlder(state, all)) continue;
    rmSync(path.dirname(journalPath), { recursive: true, force: true });
  }
  const folder = path.join(stateFolder, 'migrations');
  for (const name of namesIn(folder)) {
    const files = namesIn(path.join(folder, name));
    // What an operator put aside still says that a claim is over.
    const neverBegan = !files.includes(JOURNAL) && !files.includes(forgottenPathOf(JOURNAL));
    const changedAtMs = statSync(path.join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? nowMs;
    if (neverBegan && changedAtMs < oldestMs)
      rmSync(path.join(folder, name), { recursive: true, force: true });
  }
}

/**
 * Where journals, control sockets and reports of this user live: GODWIT_STATE_DIR, else the customary place.
 */
export function stateDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment['GODWIT_STATE_DIR']) return environment['GODWIT_STATE_DIR'];
  if (process.getuid?.() === 0) return '/var/lib/godwit';
  return path.join(
    environment['XDG_STATE_HOME'] ?? path.join(environment['HOME'] ?? '/tmp', '.local/state'),
    'godwit',
  );
}
