/**
 * `godwit resolve [ID|JOURNAL]`: ends a migration that nobody ended, by its journal and what both
 * QEMUs answer, or lists those there are. Not responsible for the decision (src/handover) nor for
 * carrying it out (src/recovery).
 */

import { existsSync, renameSync } from 'node:fs';
import { basename, resolve as resolvePath } from 'node:path';
import { GodwitError } from '../../base/index.ts';
import type { Outcome } from '../../handover/index.ts';
import { endpointText } from '../../machines/index.ts';
import { isAlive, processNamespace } from '../../qmp/index.ts';
import {
  type FoundJournal,
  finish,
  forgottenPathOf,
  hasEnded,
  Journal,
  type JournalState,
  journalPathOf,
  laterJournal,
  listJournals,
  lockPathOf,
  readJournal,
  releaseClaimsOf,
  removeLeftovers,
  stateDirectory,
  stateFolderOf,
  sweepLeftovers,
  takeLock,
} from '../../recovery/index.ts';
import type { CommandDefinition, Output } from '../command.ts';
import { EXIT } from '../exit.ts';
import { painter, printable, wantsColour } from '../screen/output.ts';
import { formatTable } from '../screen/table.ts';

export const RESOLVE_SCHEMA = 'godwit.resolve/1';

export const command: CommandDefinition = {
  // A signal must not interrupt it: it would leave a migration half ended again.
  handlesInterrupts: true,
  configure(command) {
    command
      .argument(
        '[migration]',
        'a migration id, or the path of its journal; without it, unfinished ones are listed',
      )
      .option(
        '--fenced <end>',
        'take your word that this end (source or destination) has surely ended; you answer for it',
      )
      .option('--forget', 'close a journal that nobody can end; no VM is touched')
      .option('--json', 'print JSON instead of text');
  },
  async run({ out }, [name], options) {
    // Also where nothing can be resolved: what is provably nobody's needs no journal.
    await sweepLeftovers(stateDirectory());
    const json = options['json'] === true;
    const fenced = readFenced(options['fenced']);
    const forgets = options['forget'] === true;
    if (name === undefined && (fenced !== null || forgets)) {
      throw new GodwitError('USAGE_RESOLVE', '--fenced and --forget need the migration they are about', {
        safe: 'nothing was changed',
        hint: 'godwit resolve lists migrations without an end; give its id too',
      });
    }
    if (name === undefined) return list(out, json);
    return forgets ? forget(out, name, json) : resolve(out, name, fenced, json);
  },
};

function readFenced(value: unknown): 'source' | 'destination' | null {
  if (value === undefined) return null;
  if (value === 'source' || value === 'destination') return value;
  throw new GodwitError('USAGE_RESOLVE', `--fenced is source or destination, not "${String(value)}"`, {
    safe: 'nothing was changed',
    hint: 'name the end that has surely ended',
  });
}

type Standing = 'ended' | 'under-way' | 'in-doubt' | 'unfinished' | 'void' | 'unreadable';

async function standingOf(found: FoundJournal, all: readonly FoundJournal[]): Promise<Standing> {
  const { state } = found;
  if (state === null) return 'unreadable';
  if (hasEnded(state)) return 'ended';
  if (await isUnderWay(state)) return 'under-way';
  if (laterJournal({ ...found, state }, all) !== null) return 'void';
  return state.end === null ? 'unfinished' : 'in-doubt';
}

async function isUnderWay(state: JournalState): Promise<boolean> {
  const { controller } = state.begin;
  return state.end === null && controller !== null && (await isAlive(controller));
}

function lastStep(state: JournalState | null): string {
  if (state === null) return 'cannot be read';
  if (state.running) return 'running at the destination';
  if (state.committed !== 'no') return state.committed === 'yes' ? 'committed' : 'perhaps committed';
  if (state.prepared) return 'loaded at the destination';
  return state.stopSent ? 'source stopped' : 'source running';
}

async function list(out: Output, json: boolean): Promise<number> {
  const all = listJournals(stateDirectory());
  const standings = await Promise.all(all.map((found) => standingOf(found, all)));
  const found = all.map((one, index) => ({ ...one, standing: standings[index]! }));
  const shown = found.filter(({ standing }) => standing !== 'ended');
  const isOpen = shown.some(({ standing }) => standing !== 'under-way');
  if (json) {
    const migrations = shown.map(({ migrationId, path, standing, state, error }) => ({
      migrationId,
      journal: path,
      standing,
      lastStep: lastStep(state),
      source: state === null ? null : endpointText(state.begin.source),
      destination: state === null ? null : endpointText(state.begin.destination),
      error: error === null ? null : { code: error.code, text: error.message },
    }));
    out.write(`${JSON.stringify({ schema: RESOLVE_SCHEMA, migrations })}\n`);
  } else if (shown.length === 0) {
    out.write(`no unfinished migration in ${stateDirectory()}\n`);
  } else {
    out.write(`${tableOf(shown).join('\n')}\n`);
    if (isOpen) out.write('end one with: godwit resolve MIGRATION\n');
  }
  return isOpen ? EXIT.inDoubt : EXIT.ok;
}

function tableOf(shown: readonly (FoundJournal & { standing: Standing })[]): string[] {
  const columns = ['migration', 'is', 'journal says', 'source', 'destination'].map((title) => ({ title }));
  const rows = shown.map(({ migrationId, standing, state, error }) => [
    migrationId,
    standing,
    error === null ? lastStep(state) : error.message,
    state === null ? '?' : printable(endpointText(state.begin.source)),
    state === null ? '?' : printable(endpointText(state.begin.destination)),
  ]);
  return formatTable(columns, rows);
}

async function resolve(
  out: Output,
  name: string,
  fenced: 'source' | 'destination' | null,
  json: boolean,
): Promise<number> {
  const path = journalPath(name);
  const state = readJournal(path);
  await refuseUnderWay(state);
  const refuse = async (now: JournalState) => voidBy(path, now);
  const outcome = hasEnded(state)
    ? await endedAs(state)
    : await finish(path, { by: 'resolve', fenced, refuse });
  removeLeftovers(path);
  return tell(out, state.begin.migrationId, outcome, json);
}

/** Whoever ended it may have been killed before it had let go of both QEMUs. */
async function endedAs(state: JournalState): Promise<Outcome> {
  await releaseClaimsOf(state);
  const { outcome, text } = state.end!;
  return { outcome: outcome === 'completed' ? 'completed' : 'aborted', text };
}

async function refuseUnderWay(state: JournalState): Promise<void> {
  const { controller, controllerNamespace } = state.begin;
  if (
    controller !== null &&
    controllerNamespace !== null &&
    controllerNamespace !== (await processNamespace())
  ) {
    throw new GodwitError('MIGRATION_UNSEEN', 'its controller ran in another process namespace', {
      safe: 'nothing was changed: it may still run there',
      hint: 'run godwit resolve there (the host itself, or that container)',
    });
  }
  if (!(await isUnderWay(state))) return;
  throw new GodwitError('MIGRATION_UNDER_WAY', 'the controller of this migration still runs', {
    safe: 'nothing was changed',
    hint: `wait for it, or end it: process ${controller?.split('@')[0]}`,
  });
}

/** What a later migration did to the VM is not this one's to undo, wherever this journal lies. */
async function voidBy(path: string, state: JournalState): Promise<string | null> {
  const folders = new Set([resolvePath(stateDirectory()), stateFolderOf(path)]);
  const all = [...folders].flatMap(listJournals).sort((one, other) => one.atMs - other.atMs);
  const own = all.find((found) => found.path === path || found.migrationId === state.begin.migrationId);
  const later = own?.state == null ? null : laterJournal({ ...own, state: own.state }, all);
  if (later === null) return null;
  return `migration ${later.migrationId} took this VM on later, so this journal is history and nothing was done. Close it with "godwit resolve --forget ${state.begin.migrationId}"`;
}

/** Closes a journal for the lists and for later migrations. One that cannot be read is put aside. */
async function forget(out: Output, name: string, json: boolean): Promise<number> {
  const path = journalPath(name);
  const lock = await takeLock(lockPathOf(path));
  const text = 'forgotten by the operator; no VM was touched';
  try {
    const state = readableOrNull(path);
    if (state !== null) await refuseUnderWay(state);
    if (state === null) renameSync(path, forgottenPathOf(path));
    else if (!hasEnded(state)) {
      const journal = await Journal.continue(path);
      journal.write({ step: 'end', outcome: 'forgotten', text });
      journal.close();
    }
    if (state !== null) await releaseClaimsOf(state);
  } finally {
    lock.release();
  }
  removeLeftovers(path);
  if (json)
    out.write(`${JSON.stringify({ schema: RESOLVE_SCHEMA, journal: path, outcome: 'forgotten', text })}\n`);
  else out.write(`${text}\n`);
  return EXIT.ok;
}

/**
 * A damaged journal is known by nothing but its name; without this any file could be put aside, or be taken
 * for the damaged journal of a VM in doubt.
 */
function refuseOtherFile(path: string): void {
  const journalName = basename(journalPathOf('', ''));
  if (basename(path) === journalName) return;
  throw new GodwitError('JOURNAL_READ', `not a journal: ${path}`, {
    safe: 'nothing was changed',
    hint: `a journal is a file named ${journalName}; godwit resolve lists those there are`,
  });
}

function readableOrNull(path: string): JournalState | null {
  try {
    return readJournal(path);
  } catch (error) {
    if (error instanceof GodwitError && existsSync(path)) return null;
    throw error;
  }
}

function tell(out: Output, migrationId: string, outcome: Outcome, json: boolean): number {
  if (json) out.write(`${JSON.stringify({ schema: RESOLVE_SCHEMA, migrationId, ...outcome })}\n`);
  else out.write(`${resultText(outcome, out)}\n`);
  return outcome.outcome === 'in-doubt' ? EXIT.inDoubt : EXIT.ok;
}

function resultText({ outcome, text }: Outcome, out: Output): string {
  const paint = painter(wantsColour(out));
  const style = outcome === 'in-doubt' ? 'red' : 'green';
  return `${paint(style, outcome)}: ${printable(text)}`;
}

/**
 * A path where it looks like one; else the journal of that migration in the
 * state folder. Errors: JOURNAL_READ.
 */
function journalPath(name: string): string {
  if (!name.includes('/') && !existsSync(name)) return journalPathOf(stateDirectory(), name);
  refuseOtherFile(name);
  return name;
}
