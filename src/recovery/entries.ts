/**
 * What a journal's lines say, and what they come to together. Shapes and their folding
 * only; files are journal.ts.
 */

import { z } from 'zod';
import { GodwitError } from '../base/index.ts';
import type { Known, Recorded } from '../handover/index.ts';
import { endpointSchema, isDomain } from '../machines/index.ts';

export const entrySchema = z.discriminatedUnion('step', [
  z.object({
    step: z.literal('begin'),
    migrationId: z.string(),
    /** Wall clock, milliseconds since 1970: which of two journals is the later one. */
    startedAtMs: z.number(),
    /** The controller's process: while it lives, the migration is under way and not unfinished. */
    controller: z.string().nullable().default(null),
    /** Where that process number means something. */
    controllerNamespace: z.string().nullable().default(null),
    source: endpointSchema,
    destination: endpointSchema,
    sourceAfter: z.enum(['keep', 'quit']),
    /** The guest was running when the migration began: only then is it started again, on whichever side. */
    guestWasRunning: z.boolean(),
    /** The VM, as the operator and QEMU name it: a later journal that names it makes this one void. */
    vm: z.string().nullable().default(null),
    /** Run by whoever ends the migration (--on-end); null: nothing. */
    onEnd: z.string().nullable().default(null),
  }),
  /** Written before a destination QEMU that this migration has started is left to itself: ours to end. */
  z.object({ step: z.literal('started') }),
  /** The far QEMU's process, once its host has told it. */
  z.object({ step: z.literal('recognised'), destinationIdentity: z.string() }),
  /** Settings of the source before we changed them; restored if the migration does not complete. */
  z.object({
    step: z.literal('settings'),
    capabilities: z.record(z.string(), z.boolean()),
    parameters: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  }),
  /**
   * Settings of the destination before we changed them; put back only where it is left to whoever started it.
   */
  z.object({
    step: z.literal('destination-settings'),
    capabilities: z.record(z.string(), z.boolean()),
    parameters: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  }),
  /**
   * `asked`: written before the destination is told to listen: from here on it is ours to end. `refused`: it
   * would not, and is not.
   */
  z.object({ step: z.literal('incoming'), answer: z.enum(['asked', 'refused']) }),
  /** The guest ended by itself: nothing is left to be started, on either side. */
  z.object({ step: z.literal('guest-ended'), text: z.string() }),
  /** Written before `stop` is sent to the source, or QEMU's own stop is taken on. */
  z.object({ step: z.literal('stop') }),
  /** Written before QEMU is told to go on in post-copy: only QEMU knows how far that came. */
  z.object({ step: z.literal('post-copy') }),
  /** The destination answered our nonce: RAM and every device are loaded. */
  z.object({ step: z.literal('prepared') }),
  /** Written before `cont` is sent to the destination: from here on the destination may have run. */
  z.object({ step: z.literal('commit') }),
  /** Written before the source continues although its copy at the destination could not be ended. */
  z.object({ step: z.literal('continue') }),
  /** Seen: the destination runs (or is paused on purpose, as the guest was). */
  z.object({ step: z.literal('running') }),
  /**
   * Whoever found a torn last line cut it off and wrote this: a step after the one before may have happened.
   */
  z.object({ step: z.literal('torn') }),
  /** The end, either way. `forgotten`: an operator closed a journal that nobody could end. */
  z.object({
    step: z.literal('end'),
    outcome: z.enum(['completed', 'aborted', 'in-doubt', 'forgotten']),
    text: z.string(),
  }),
]);

export type JournalEntry = z.infer<typeof entrySchema>;
type EntryOf<Step extends JournalEntry['step']> = Extract<JournalEntry, { step: Step }>;

/** Everything a recovery needs to know, folded from the entries. */
export interface JournalState {
  readonly begin: EntryOf<'begin'>;
  readonly settings: EntryOf<'settings'> | null;
  readonly destinationSettings: EntryOf<'destination-settings'> | null;
  /** Nobody but this migration has prepared the destination: only then is it ended with it. */
  readonly destinationIsOurs: boolean;
  readonly guestEnded: EntryOf<'guest-ended'> | null;
  readonly stopSent: boolean;
  readonly postCopy: boolean;
  readonly prepared: boolean;
  readonly committed: Recorded;
  readonly continued: boolean;
  readonly running: boolean;
  readonly end: EntryOf<'end'> | null;
}

/** `isTorn`: the last line is not whole. Errors: JOURNAL_READ. */
export function foldJournal(entries: readonly JournalEntry[], name: string, isTorn = false): JournalState {
  const find = <Step extends JournalEntry['step']>(step: Step) =>
    (entries.findLast((line) => line.step === step) ?? null) as EntryOf<Step> | null;
  const begin = find('begin');
  if (!begin) {
    throw new GodwitError('JOURNAL_READ', `${name} does not say which migration it is of`, {
      safe: 'nothing was changed',
      hint: 'look at both VMs; godwit resolve --forget closes a journal that cannot be read',
    });
  }
  const identity = find('recognised')?.destinationIdentity ?? null;
  const prepared = find('prepared') !== null;
  const { destination } = begin;
  return {
    begin:
      identity === null || isDomain(destination)
        ? begin
        : { ...begin, destination: { ...destination, identity } },
    settings: find('settings'),
    destinationSettings: find('destination-settings'),
    // A version that did not write `incoming` wrote the later steps.
    destinationIsOurs:
      find('incoming')?.answer === 'asked' ||
      find('started') !== null ||
      entries.some(({ step }) => AFTER_INCOMING.has(step)),
    guestEnded: find('guest-ended'),
    stopSent: find('stop') !== null,
    postCopy: find('post-copy') !== null,
    prepared,
    committed: find('commit') !== null ? 'yes' : mayHaveCommitted(entries, isTorn) ? 'perhaps' : 'no',
    continued: find('continue') !== null,
    running: find('running') !== null,
    end: find('end'),
  };
}

const AFTER_INCOMING: ReadonlySet<JournalEntry['step']> = new Set([
  'stop',
  'post-copy',
  'prepared',
  'commit',
  'torn',
]);

/** Which steps COMMIT may come right after: pre-copy proves first, post-copy does not. */
const BEFORE_COMMIT: ReadonlySet<JournalEntry['step']> = new Set(['prepared', 'post-copy']);

/** A line that is not whole is a step that may have happened. */
function mayHaveCommitted(entries: readonly JournalEntry[], isTorn: boolean): boolean {
  const before = isTorn ? entries.length : entries.findIndex(({ step }) => step === 'torn');
  return before > 0 && BEFORE_COMMIT.has(entries[before - 1]!.step);
}

/** What the handover's machine wants to know. */
export function knownOf(state: JournalState): Known {
  return {
    guestWasRunning: state.begin.guestWasRunning,
    sourceAfter: state.begin.sourceAfter,
    stopIsOurs: state.stopSent || state.postCopy,
    prepared: state.prepared,
    commit: state.committed,
    continued: state.continued,
    postCopy: state.postCopy,
    guestEnded: state.guestEnded?.text ?? null,
  };
}

export function hasEnded(
  state: JournalState,
): state is JournalState & { end: { outcome: 'completed' | 'aborted' | 'forgotten' } } {
  return state.end !== null && state.end.outcome !== 'in-doubt';
}
