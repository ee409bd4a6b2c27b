import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JournalEntry } from '../../src/recovery/entries.ts';
import { replay } from './replay.ts';

const END = { qmpPath: '/q', identity: null, claim: 'm', reach: null };
const BEGIN: JournalEntry = {
  ...{ step: 'begin', migrationId: 'm', startedAtMs: 0, controller: null, controllerNamespace: null },
  ...{ source: END, destination: END, sourceAfter: 'keep', guestWasRunning: true, vm: null, onEnd: null },
};

type Word = 'stop' | 'post-copy' | 'prepared' | 'commit' | 'continue' | 'running' | 'torn';
type Outcome = 'completed' | 'aborted' | 'in-doubt' | 'forgotten';

/** `guardian: aborted` is an end that the guardian wrote. */
function lines(text: string, begin: JournalEntry = BEGIN): JournalEntry[] {
  const rest = text.split(', ').map((word): JournalEntry => {
    if (word === 'settings') return { step: 'settings', capabilities: {}, parameters: {} };
    if (word === 'guest-ended') return { step: 'guest-ended', text: 'it shut down' };
    const end = /^(?:(guardian|resolve): )?(completed|aborted|in-doubt|forgotten)$/.exec(word);
    if (end === null) return { step: word as Word };
    const by = end[1] === undefined ? '' : `${end[1]}: `;
    return { step: 'end', outcome: end[2] as Outcome, text: `${by}so it is` };
  });
  return [begin, ...rest];
}

test('what the parties can write', () => {
  for (const text of [
    'settings',
    'aborted',
    'settings, stop, prepared, commit, running, completed',
    'settings, stop, aborted',
    'settings, stop, guardian: aborted',
    'settings, stop, prepared, torn, guardian: in-doubt, resolve: in-doubt, running, resolve: completed',
    'settings, stop, prepared, commit, aborted',
    // The destination died since it was seen running.
    'settings, stop, prepared, commit, running, in-doubt',
    // The line "prepared" could not be written, and the source died: what is known from memory decides.
    'settings, stop, commit, running, completed',
    'settings, stop, prepared, commit, guardian: in-doubt, forgotten',
    'settings, stop, prepared, commit, running, guardian: completed',
    'settings, stop, prepared, continue, aborted',
    'settings, stop, guest-ended, aborted',
    'settings, post-copy, commit, running, completed',
    'settings, post-copy, stop, prepared, commit, running, completed',
    'settings, post-copy, in-doubt, resolve: in-doubt',
  ]) {
    assert.equal(replay(lines(text)), null, text);
  }
});

test('what nobody writes', () => {
  for (const [text, line] of [
    ['settings, commit', 3],
    ['settings, prepared', 3],
    ['settings, stop, stop', 4],
    ['settings, stop, prepared, running', 5],
    ['settings, stop, running, completed', 4],
    ['settings, stop, prepared, completed', 5],
    ['settings, stop, prepared, guardian: completed', 5],
    ['settings, stop, prepared, commit, continue', 6],
    ['settings, stop, prepared, commit, prepared', 6],
    ['settings, stop, aborted, guardian: aborted', 5],
    ['settings, stop, prepared, commit, running, completed, stop', 8],
    ['settings, post-copy, guardian: completed, running', 5],
  ] as const) {
    assert.match(replay(lines(text)) ?? 'nothing', new RegExp(`^line ${line} `), text);
  }
  assert.match(replay([]) ?? '', /line 1/);
});

test('a paused VM is moved without a stop of its own', () => {
  const paused = { ...BEGIN, guestWasRunning: false } as JournalEntry;
  assert.equal(replay(lines('settings, prepared, commit, running, completed', paused)), null);
});
