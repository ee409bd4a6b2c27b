/**
 * Replays a journal through the machine: whether the parties that there are could have written these lines in
 * this order, with any facts between them and a crash anywhere. Not responsible for whether a line is whole
 * (src/recovery/journal.ts).
 */

import { foldJournal, type JournalEntry, knownOf } from '../../src/recovery/entries.ts';
import { answersTo, FACT } from './facts.ts';
import { Machines } from './machines.ts';

/**
 * Who may be writing, and how far that one is. `before`: a controller that has not begun its handover.
 * `committed` and `arrived`: in post-copy, which is no machine. `nobody`: whoever wrote last is gone, or said
 * that it is in doubt. `closed`: nothing may follow.
 */
type Writer =
  | 'before'
  | 'post-copy'
  | 'committed'
  | 'arrived'
  | 'nobody'
  | 'closed'
  | { readonly isController: boolean; readonly number: number };

const machines = new Machines();

/**
 * What is wrong with the first line that no party could have written here; null: the whole journal can be.
 */
export function replay(entries: readonly JournalEntry[]): string | null {
  if (entries[0]?.step !== 'begin') return `line 1 is "${entries[0]?.step ?? ''}" and not "begin"`;
  let writers: Writer[] = ['before'];
  for (let index = 1; index < entries.length; index++) {
    const entry = entries[index]!;
    const possible = everyMove(writers, entries.slice(0, index));
    writers = possible.flatMap((writer) => write(writer, entry));
    if (writers.length === 0) {
      const before = entries.slice(0, index).map(({ step }) => step);
      return `line ${index + 1} is "${nameOf(entry)}", which nobody writes after ${before.join(', ')}`;
    }
  }
  return null;
}

function nameOf(entry: JournalEntry): string {
  return entry.step === 'end' ? `end ${entry.outcome}` : entry.step;
}

/** Every writer that these become without a line: by any fact, or by dying. */
function everyMove(writers: readonly Writer[], lines: readonly JournalEntry[]): Writer[] {
  const found = new Map<string, Writer>();
  const waiting = [...writers];
  for (let writer = waiting.pop(); writer !== undefined; writer = waiting.pop()) {
    const key = typeof writer === 'string' ? writer : `${writer.isController} ${writer.number}`;
    if (found.has(key)) continue;
    found.set(key, writer);
    waiting.push(...moves(writer, lines));
  }
  return [...found.values()];
}

function moves(writer: Writer, lines: readonly JournalEntry[]): Writer[] {
  const known = knownOf(foldJournal(lines, 'replay'));
  const ender = { isController: false, number: machines.recovery(known) };
  const undo = (changes: Partial<typeof known>) => ({
    isController: true,
    number: machines.undo({ ...known, ...changes }),
  });
  const handover = { isController: true, number: machines.controller(known) };
  switch (writer) {
    case 'closed':
      return [];
    case 'nobody':
      return [ender];
    case 'before':
      return ['nobody', handover, undo({})];
    case 'post-copy':
      // QEMU may have had so little left that it ended as pre-copy does.
      return ['nobody', handover, undo({ postCopy: true, stopIsOurs: true, commit: 'no' })];
    case 'committed':
      return ['nobody', undo({ postCopy: true, stopIsOurs: true, commit: 'yes' })];
    case 'arrived':
      return ['nobody'];
    default:
      return ['nobody', ...steps(writer)];
  }
}

function steps(writer: Exclude<Writer, string>): Writer[] {
  const { effect, state } = machines.nodes[writer.number]!;
  if (state.outcome !== null) return [];
  // A line that was written is what moves it on; one that failed is not there.
  const facts = answersTo(effect).filter((fact) => !(effect.startsWith('record ') && fact === FACT.done));
  const all = writer.isController && state.phase !== 'ready' ? [...facts, FACT.lost] : facts;
  return all.map((fact) => ({ ...writer, number: machines.step(writer.number, fact) }));
}

/** Who may have written this line, as it is after it. */
function write(writer: Writer, entry: JournalEntry): Writer[] {
  if (writer === 'closed') return [];
  // Whoever comes next writes it, before anything else.
  if (entry.step === 'torn') return ['nobody'];
  if (entry.step === 'end') return end(writer, entry);
  switch (writer) {
    case 'before':
      if (BEFORE_HANDOVER.has(entry.step)) return ['before'];
      return entry.step === 'post-copy' ? ['post-copy'] : [];
    case 'post-copy':
      return entry.step === 'commit' ? ['committed'] : [];
    case 'committed':
      return entry.step === 'running' ? ['arrived'] : [];
    case 'arrived':
    case 'nobody':
      return [];
    default:
      if (entry.step === 'guest-ended') return writer.isController ? [writer] : [];
      if (machines.nodes[writer.number]!.effect !== `record ${entry.step}`) return [];
      return [{ ...writer, number: machines.step(writer.number, FACT.done) }];
  }
}

const BEFORE_HANDOVER: ReadonlySet<JournalEntry['step']> = new Set([
  ...(['started', 'recognised', 'settings', 'destination-settings', 'incoming', 'guest-ended'] as const),
]);
/** The controller looks once more before it says that the VM is there. */
const HAD_ARRIVED: ReadonlySet<string> = new Set(['completed', 'in-doubt']);
const BY_ENDER = /^(guardian|resolve): /;

function end(writer: Writer, { outcome, text }: Extract<JournalEntry, { step: 'end' }>): Writer[] {
  const after: Writer = outcome === 'in-doubt' ? 'nobody' : 'closed';
  // An operator closes what nobody could.
  if (outcome === 'forgotten') return writer === 'nobody' ? [after] : [];
  if (writer === 'before') return outcome === 'aborted' ? [after] : [];
  if (writer === 'arrived' || writer === 'committed') return HAD_ARRIVED.has(outcome) ? [after] : [];
  if (typeof writer === 'string') return [];
  const isTheirs = writer.isController !== BY_ENDER.test(text);
  const known = machines.nodes[writer.number]!.state.outcome?.outcome;
  const diedSince = writer.isController && known === 'completed' && HAD_ARRIVED.has(outcome);
  return isTheirs && (known === outcome || diedSince) ? [after] : [];
}
