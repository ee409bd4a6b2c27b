/**
 * `godwit resolve [ID|JOURNAL]`: ends a migration that nobody ended, by its journal and what both QEMUs answer, or lists
 * those there are. Not responsible for the decision (src/controller, recover).
 */

import { existsSync } from 'node:fs';
import { GodwitError, sleep } from '../../base/index.ts';
import { isAlive } from '../../qmp/index.ts';
import {
  Journal,
  type JournalState,
  journalPathOf,
  listJournals,
  QmpMachine,
  readJournal,
  recover,
  stateDirectory,
} from '../../recovery/index.ts';
import { sayEnded } from '../../remote/index.ts';
import type { CommandDefinition, Output } from '../command.ts';
import { EXIT } from '../exit.ts';
import { painter, printable, wantsColour } from '../screen/output.ts';
import { formatTable } from '../screen/table.ts';

export const RESOLVE_SCHEMA = 'godwit.resolve/1';

export const command: CommandDefinition = {
  // Interrupted halfway it would leave what it is here to end.
  handlesInterrupts: true,
  configure(command) {
    command
      .argument(
        '[migration]',
        'a migration id, or the path of its journal; without it, unfinished ones are listed',
      )
      .option('--json', 'JSON instead of text');
  },
  async run({ out }, [name], options) {
    const json = options['json'] === true;
    return name === undefined ? list(out, json) : resolve(out, name, json);
  },
};

type Standing = 'ended' | 'under-way' | 'in-doubt' | 'unfinished';

async function standingOf(state: JournalState): Promise<Standing> {
  if (state.end !== null && state.end.outcome !== 'in-doubt') return 'ended';
  const { controller } = state.begin;
  if (state.end === null && controller !== null && (await isAlive(controller))) return 'under-way';
  return state.end === null ? 'unfinished' : 'in-doubt';
}

function lastStep(state: JournalState): string {
  if (state.running) return 'running at the destination';
  if (state.committed) return 'committed';
  if (state.prepared) return 'loaded at the destination';
  return state.stopSent ? 'source stopped' : 'source running';
}

async function list(out: Output, json: boolean): Promise<number> {
  const found: { migrationId: string; journal: string; standing: Standing; state: JournalState }[] = [];
  for (const { path, state } of listJournals(stateDirectory())) {
    const standing = await standingOf(state);
    if (standing !== 'ended')
      found.push({ migrationId: state.begin.migrationId, journal: path, standing, state });
  }
  const isOpen = found.some(({ standing }) => standing !== 'under-way');
  if (json) {
    const migrations = found.map(({ state, ...rest }) => ({
      ...rest,
      lastStep: lastStep(state),
      source: state.begin.source.qmpPath,
      destination: state.begin.destination.qmpPath,
    }));
    out.write(`${JSON.stringify({ schema: RESOLVE_SCHEMA, migrations })}\n`);
  } else if (found.length === 0) {
    out.write(`no unfinished migration in ${stateDirectory()}\n`);
  } else {
    const columns = ['migration', 'is', 'journal says', 'source', 'destination'].map((title) => ({ title }));
    const rows = found.map(({ migrationId, standing, state }) => [
      migrationId,
      standing,
      lastStep(state),
      printable(state.begin.source.qmpPath),
      printable(state.begin.destination.qmpPath),
    ]);
    out.write(`${formatTable(columns, rows).join('\n')}\n`);
    if (isOpen) out.write('end one with: godwit resolve MIGRATION\n');
  }
  return isOpen ? EXIT.inDoubt : EXIT.ok;
}

async function resolve(out: Output, name: string, json: boolean): Promise<number> {
  const path = journalPath(name);
  const state = readJournal(path);
  if ((await standingOf(state)) === 'under-way') {
    throw new GodwitError('MIGRATION_UNDER_WAY', 'the controller of this migration still runs', {
      safe: 'nothing was changed',
      hint: `wait for it, or end it: process ${state.begin.controller?.split('@')[0]}`,
    });
  }
  const { source, destination } = state.begin;
  const here = new QmpMachine(source);
  const there = new QmpMachine(destination);
  const recovery = await recover(state, here, there, (delayMs) => sleep(delayMs));
  await here.close();
  await there.close();
  if (state.end === null || state.end.outcome === 'in-doubt') {
    const journal = new Journal(path);
    journal.write({ step: 'end', ...recovery });
    journal.close();
  }
  await sayEnded(destination.reach?.listener, recovery.outcome);
  const { migrationId } = state.begin;
  if (json) out.write(`${JSON.stringify({ schema: RESOLVE_SCHEMA, migrationId, ...recovery })}\n`);
  else out.write(`${resultText(recovery, out)}\n`);
  return recovery.outcome === 'in-doubt' ? EXIT.inDoubt : EXIT.ok;
}

function resultText({ outcome, text }: { outcome: string; text: string }, out: Output): string {
  const paint = painter(wantsColour(out));
  const style = outcome === 'in-doubt' ? 'red' : 'green';
  return `${paint(style, outcome)}: ${printable(text)}`;
}

/** A path where it looks like one; else the journal of that migration in the state folder. Errors: JOURNAL_READ. */
function journalPath(name: string): string {
  if (name.includes('/') || existsSync(name)) return name;
  return journalPathOf(stateDirectory(), name);
}
