/**
 * The way forward by hand, and what was once wrong on it. Every pair of state and fact:
 * docs/format/handover.md and test/model.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginHandover, beginRecovery } from './start.ts';
import { abandon, step } from './step.ts';
import {
  BEGIN,
  DONE,
  ends,
  FAILED,
  known,
  LOST,
  RAN,
  REFUSED,
  told,
  UNTIL_LOOK,
  UNTIL_START,
} from './told.testing.ts';
import type { Fact, HandoverState } from './types.ts';

const COMMITTED = known({ stopIsOurs: true, prepared: true, commit: 'yes' });

test('the way forward: nothing starts before COMMIT is on disk, and both ends are looked at before and after', () => {
  const facts = [...UNTIL_START, DONE, ends('released', 'running'), DONE];
  assert.deepEqual(told(beginHandover(RAN), facts), [
    ...['hurry', 'record stop', 'stop-source', 'drain', 'prove', 'release-source', 'record prepared'],
    ...['look', 'record commit', 'start-destination', 'look', 'record running', 'completed'],
  ]);
});

test('what another client did since the stop ends the move before COMMIT', () => {
  for (const seen of [ends('running', 'loaded'), ends('released', 'loaded', 'the destination was reset')]) {
    assert.deepEqual(told(beginHandover(RAN), [...UNTIL_LOOK, seen]).at(-1), 'look');
  }
});

test('a cancel stops the step under way and waits for it before anything is undone', () => {
  const facts: Fact[] = [BEGIN, LOST, DONE, ends('running', 'empty')];
  assert.deepEqual(told(beginHandover(RAN), facts), ['hurry', 'halt', 'look', 'end-destination']);
});

test('once COMMIT is being written a cancel is not heeded', () => {
  const facts = [...UNTIL_LOOK, ends('released', 'loaded'), LOST, DONE];
  assert.deepEqual(told(beginHandover(RAN), facts).slice(-2), ['record commit', 'start-destination']);
});

test('a refusal proves that the VM never ran only where no other start was ever sent', () => {
  const after = (begin: HandoverState, ...facts: Fact[]) => told(begin, facts).at(-1);
  assert.equal(after(beginHandover(RAN), ...UNTIL_START, REFUSED), 'take-back');
  const again = [...UNTIL_START, FAILED, ends('released', 'loaded')];
  assert.equal(after(beginHandover(RAN), ...again), 'start-destination');
  assert.equal(after(beginHandover(RAN), ...again, REFUSED), 'in-doubt');
  assert.equal(
    after(beginRecovery(COMMITTED), BEGIN, ends('released', 'loaded'), DONE, ends('released', 'loaded')),
    'start-destination',
  );
  assert.equal(after(beginRecovery(COMMITTED), BEGIN, ends('released', 'loaded'), REFUSED), 'in-doubt');
});

test('after COMMIT a copy is started only where the source has surely not run on', () => {
  for (const [seen, next] of [
    [ends('released', 'loaded'), 'start-destination'],
    [ends('gone', 'loaded'), 'start-destination'],
    [ends('stopped', 'loaded'), 'in-doubt'],
    [ends('silent', 'loaded'), 'in-doubt'],
    [ends('released', 'loaded', 'another client continued the source'), 'in-doubt'],
  ] as const) {
    assert.equal(told(beginRecovery(COMMITTED), [BEGIN, seen]).at(-1), next);
    assert.equal(told(beginHandover(RAN), [...UNTIL_START, FAILED, seen]).at(-1), next);
  }
  const continued = beginRecovery({ ...COMMITTED, continued: true });
  assert.equal(told(continued, [BEGIN, ends('released', 'loaded')]).at(-1), 'in-doubt');
});

test('a VM that has arrived is not called arrived while a source that was touched is silent', () => {
  const touched = ends('released', 'loaded', 'another client continued the source');
  for (const [facts, next] of [
    [[...UNTIL_START, DONE, ends('silent', 'running')], 'record running'],
    [[...UNTIL_START, DONE, ends('silent', 'running', 'another client continued it')], 'in-doubt'],
    [[...UNTIL_START, DONE, ends('running', 'running')], 'stop-source-again'],
    // Seen by an earlier look, of which nothing is left but what is remembered.
    [[...UNTIL_LOOK, touched, ends('released', 'loaded')], 'end-destination'],
    [[...UNTIL_LOOK, touched, ends('gone', 'loaded')], 'in-doubt'],
  ] as const) {
    assert.equal(told(beginHandover(RAN), facts).at(-1), next);
  }
});

test('a step that neither ends nor stops leaves both ends as they are', () => {
  const state = UNTIL_START.reduce((before, fact) => step(before, fact).state, beginHandover(RAN));
  const { outcome, text } = abandon(state).state.outcome!;
  assert.equal(outcome, 'in-doubt');
  assert.match(text, /start-destination neither ends nor stops.*godwit resolve/);
});
