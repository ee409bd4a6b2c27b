import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Journal, type JournalEntry, journalPathOf } from '../../src/recovery/index.ts';
import { replayJournals } from './journals.ts';

const END = { qmpPath: '/q', identity: null, claim: 'm', reach: null };
const BEGIN: Omit<Extract<JournalEntry, { step: 'begin' }>, 'migrationId'> = {
  step: 'begin',
  ...{ startedAtMs: 0, controller: null, controllerNamespace: null, vm: null, onEnd: null },
  ...{ source: END, destination: END, guestWasRunning: true },
  sourceAfter: 'keep',
};

test('a journal that nobody can have written is a violation, with its migration and its line', () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-test-'));
  try {
    for (const [migrationId, steps] of [
      ['right', ['stop', 'prepared', 'commit', 'running']],
      ['wrong', ['stop', 'prepared', 'running']],
    ] as const) {
      const journal = Journal.begin(journalPathOf(folder, migrationId), { ...BEGIN, migrationId });
      for (const step of steps) journal.write({ step } as JournalEntry);
      journal.close();
    }
    const [violation, ...more] = replayJournals(folder);
    assert.deepEqual(more, []);
    assert.match(violation!.text, /^journal wrong: line 4 is "running"/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
