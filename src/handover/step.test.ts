/** The machine by hand: the whole way forward, and a few of the ways that were once wrong. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginHandover, beginRecovery } from './start.ts';
import { step } from './step.ts';
import type { Ends, Fact, HandoverState, Known } from './types.ts';

const RAN = { guestWasRunning: true, sourceAfter: 'keep' } as const;
const DONE: Fact = { fact: 'done' };

function ends(source: Ends['source'], destination: Ends['destination'], touched: string | null = null): Fact {
  const texts = { sourceText: source, destinationText: destination };
  return { fact: 'done', ends: { source, destination, ...texts, touched, sourceMigration: null } };
}

/** What is asked for, one line an effect, until the facts are used up or the machine has ended. */
function told(begin: HandoverState, facts: readonly Fact[]): string[] {
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

const UNTIL_LOOK: readonly Fact[] = [{ fact: 'begin' }, ...Array<Fact>(7).fill(DONE)];

test('the way forward: nothing starts before COMMIT is on disk, and both ends are looked at before and after', () => {
  const facts = [...UNTIL_LOOK, ends('released', 'loaded'), DONE, DONE, ends('released', 'running'), DONE];
  assert.deepEqual(told(beginHandover(RAN), facts), [
    ...['hurry', 'record stop', 'stop-source', 'drain', 'prove', 'record prepared', 'release-source'],
    ...['look', 'record commit', 'start-destination', 'look', 'record running', 'completed'],
  ]);
});

test('what another client did since the stop ends the move before COMMIT', () => {
  for (const seen of [ends('running', 'loaded'), ends('released', 'loaded', 'the destination was reset')]) {
    assert.deepEqual(told(beginHandover(RAN), [...UNTIL_LOOK, seen]).at(-1), 'look');
  }
});

test('a cancel stops the step under way and waits for it before anything is undone', () => {
  const facts: Fact[] = [
    { fact: 'begin' },
    { fact: 'lost', why: 'cancelled' },
    DONE,
    ends('running', 'empty'),
  ];
  assert.deepEqual(told(beginHandover(RAN), facts), ['hurry', 'halt', 'look', 'end-destination']);
});

test('a source that this migration did not stop is never continued', () => {
  const known: Known = {
    ...RAN,
    ...{ stopIsOurs: false, prepared: false, commit: 'no', postCopy: false, guestEnded: null },
  };
  const facts = [
    { fact: 'begin' } as const,
    ends('released', 'empty'),
    { fact: 'done', ended: 'gone' } as const,
  ];
  const all = [...facts, DONE, DONE, ends('released', 'gone')];
  assert.deepEqual(told(beginRecovery(known), all).slice(-2), ['look', 'aborted']);
});
