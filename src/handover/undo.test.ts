/** The way back by hand: which copy may be ended, continued, left behind or committed to. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beginHandover, beginRecovery, beginUndo } from './start.ts';
import { step } from './step.ts';
import {
  BEGIN,
  DONE,
  ends,
  FAILED,
  GONE,
  known,
  LOST,
  RAN,
  REFUSED,
  SILENT,
  told,
  UNTIL_LOOK,
  UNTIL_START,
} from './told.testing.ts';
import type { Fact } from './types.ts';

const STOPPED = known({ stopIsOurs: true });
const PREPARED = known({ stopIsOurs: true, prepared: true });

test('a source that this migration did not stop is never continued', () => {
  const facts = [BEGIN, ends('released', 'empty'), GONE, DONE, DONE, ends('released', 'gone')];
  assert.deepEqual(told(beginRecovery(known()), facts).slice(-2), ['look', 'aborted']);
  assert.deepEqual(told(beginRecovery(STOPPED), facts).slice(-2), ['look', 'continue-source']);
});

test('a dead source makes the destination the VM only once it had let go of its stream', () => {
  const dead = ends('gone', 'loaded');
  const untilProof = UNTIL_LOOK.slice(0, 5);
  for (const [facts, next] of [
    [[...untilProof, LOST, DONE, dead], 'in-doubt'],
    [[...untilProof, DONE, FAILED, dead], 'in-doubt'],
    [[...untilProof, DONE, LOST, FAILED, dead], 'in-doubt'],
    [[...untilProof, DONE, LOST, DONE, dead], 'record commit'],
    [[...untilProof, DONE, DONE, FAILED, dead], 'record commit'],
  ] as const) {
    assert.equal(told(beginHandover(RAN), facts).at(-1), next);
  }
  assert.equal(told(beginRecovery(PREPARED), [BEGIN, dead]).at(-1), 'record commit');
  assert.equal(told(beginRecovery({ ...PREPARED, continued: true }), [BEGIN, dead]).at(-1), 'in-doubt');
});

test('the last copy is ended by nobody', () => {
  for (const [state, seen, next] of [
    [STOPPED, ends('gone', 'empty'), 'in-doubt'],
    [STOPPED, ends('gone', 'silent'), 'in-doubt'],
    [STOPPED, ends('gone', 'other'), 'in-doubt'],
    [STOPPED, ends('silent', 'loaded'), 'in-doubt'],
    [STOPPED, ends('gone', 'gone'), 'end-destination'],
    [known(), ends('gone', 'empty'), 'end-destination'],
    [known({ guestWasRunning: false }), ends('gone', 'empty'), 'in-doubt'],
    [{ ...STOPPED, guestEnded: 'it shut down' }, ends('gone', 'empty'), 'end-destination'],
  ] as const) {
    assert.equal(told(beginRecovery(state), [BEGIN, seen]).at(-1), next);
  }
});

test('a destination is left behind only by who knows that no start was sent and that nobody touched it', () => {
  const silent = [BEGIN, ends('stopped', 'silent'), SILENT] as const;
  assert.equal(told(beginUndo(PREPARED, 'cancelled'), silent).at(-1), 'cancel-migration');
  assert.equal(told(beginRecovery(STOPPED), silent).at(-1), 'cancel-migration');
  assert.equal(told(beginRecovery(PREPARED), silent).at(-1), 'in-doubt');
  const touched = [BEGIN, ends('stopped', 'silent', 'the destination was continued'), SILENT] as const;
  assert.equal(told(beginUndo(PREPARED, 'cancelled'), touched).at(-1), 'in-doubt');
  // The line of COMMIT may be on disk: somebody may act on it later.
  const written = [...UNTIL_LOOK, ends('released', 'loaded'), FAILED, ends('released', 'silent'), SILENT];
  assert.equal(told(beginHandover(RAN), written).at(-1), 'in-doubt');
});

test('a source that continues beside a copy that is left behind says so on disk before', () => {
  const left = [BEGIN, ends('stopped', 'silent'), SILENT, DONE, DONE] as const;
  const begin = beginUndo(PREPARED, 'cancelled');
  assert.deepEqual(
    told(begin, [...left, ends('stopped', 'silent'), DONE, DONE, ends('running', 'silent')]).slice(-4),
    ['record continue', 'continue-source', 'look', 'aborted'],
  );
  assert.equal(told(begin, [...left, ends('stopped', 'silent'), FAILED]).at(-1), 'in-doubt');
  assert.equal(told(begin, [...left, ends('stopped', 'silent', 'it was continued')]).at(-1), 'in-doubt');
  assert.equal(told(begin, [...left, ends('stopped', 'running')]).at(-1), 'in-doubt');
  const late = [...left, ends('stopped', 'silent'), DONE, DONE, ends('running', 'running')];
  assert.equal(told(begin, late).at(-1), 'in-doubt');
});

test('a destination that is left behind beside a source that went away is told as what may be the only copy', () => {
  const left = [BEGIN, ends('stopped', 'silent'), SILENT, DONE, DONE] as const;
  const textAfter = (last: Fact) => {
    const states = [...left, last].reduce((state, fact) => step(state, fact).state, beginUndo(PREPARED, 'x'));
    return states.outcome!.text;
  };
  for (const source of ['gone', 'silent'] as const) {
    for (const there of ['silent', 'loaded', 'empty', 'other'] as const) {
      const text = textAfter(ends(source, there));
      assert.match(text, /may hold the only copy, so end neither.*resolve --fenced source/);
      assert.doesNotMatch(text, /never continue it|no copy is left/);
    }
  }
  assert.match(textAfter(ends('gone', 'gone')), /no copy is left/);
});

test('a destination that its own controller ended after a refusal never ran', () => {
  const refused = [...UNTIL_START, REFUSED, DONE];
  assert.deepEqual(
    told(beginHandover(RAN), [...refused, ends('released', 'gone')]).at(-1),
    'end-destination',
  );
  assert.equal(told(beginHandover(RAN), [...refused, ends('released', 'loaded')]).at(-1), 'end-destination');
  assert.equal(told(beginHandover(RAN), [...refused, ends('gone', 'loaded')]).at(-1), 'in-doubt');
  const empty = [...UNTIL_START, DONE, ends('released', 'empty'), DONE, ends('released', 'gone')];
  assert.deepEqual(told(beginHandover(RAN), empty).at(-1), 'in-doubt');
});
