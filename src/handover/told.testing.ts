/** A story for the machine: facts in, what it asks for out, one word or two each. */

import { step } from './step.ts';
import type { Ends, Fact, HandoverState, Known } from './types.ts';

export const RAN = { guestWasRunning: true, sourceAfter: 'keep' } as const;
export const BEGIN: Fact = { fact: 'begin' };
export const DONE: Fact = { fact: 'done' };
export const GONE: Fact = { fact: 'done', ended: 'gone' };
export const SILENT: Fact = { fact: 'done', ended: 'silent' };
export const FAILED: Fact = { fact: 'failed', why: 'no answer' };
export const REFUSED: Fact = { fact: 'failed', why: 'its disk is locked', refused: true };
export const LOST: Fact = { fact: 'lost', why: 'cancelled' };

/** What a look finds. */
export function ends(
  source: Ends['source'],
  destination: Ends['destination'],
  touched: string | null = null,
): Fact {
  const texts = { sourceText: source, destinationText: destination };
  return { fact: 'done', ends: { source, destination, ...texts, touched, sourceMigration: null } };
}

/** By a journal that has ended nothing yet. */
export function known(changes: Partial<Known> = {}): Known {
  const nothing = { stopIsOurs: false, prepared: false, commit: 'no', continued: false } as const;
  return { ...RAN, ...nothing, postCopy: false, guestEnded: null, ...changes };
}

/** Until the facts are used up or the machine has ended. */
export function told(begin: HandoverState, facts: readonly Fact[]): string[] {
  let state = begin;
  return facts.flatMap((fact) => {
    const next = step(state, fact);
    state = next.state;
    const line = next.halt
      ? 'halt'
      : next.effect?.do === 'record'
        ? `record ${next.effect.step}`
        : next.effect?.do;
    return state.outcome === null ? (line ?? []) : [state.outcome.outcome];
  });
}

/** Each effect of the way forward is done, up to the last look before COMMIT: that one is asked for. */
export const UNTIL_LOOK: readonly Fact[] = [BEGIN, ...Array<Fact>(7).fill(DONE)];
/** COMMIT is on disk and the destination is asked to start. */
export const UNTIL_START: readonly Fact[] = [...UNTIL_LOOK, ends('released', 'loaded'), DONE];
