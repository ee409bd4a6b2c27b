/** The journal on disk: what was written is read, and what a crash leaves behind does no harm. */

import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import {
  Journal,
  type JournalEntry,
  journalPathOf,
  listJournals,
  readJournal,
  stateDirectory,
} from './journal.ts';

const folder = mkdtempSync(join(tmpdir(), 'godwit-journal-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const begin: JournalEntry = {
  step: 'begin',
  migrationId: 'one',
  controller: '12@34',
  source: { qmpPath: '/run/a', identity: '5@6', reach: null },
  destination: { qmpPath: '/run/b', identity: null, reach: null },
  sourceAfter: 'keep',
  guestWasRunning: true,
};

function written(id: string, ...lines: JournalEntry[]): string {
  const path = journalPathOf(folder, id);
  const journal = new Journal(path);
  for (const line of lines) journal.write(line);
  journal.close();
  return path;
}

test('steps come back folded, the last word of a kind counts', () => {
  const path = written(
    'one',
    begin,
    { step: 'settings', capabilities: {}, parameters: {} },
    { step: 'settings', capabilities: { events: false }, parameters: { 'downtime-limit': 300 } },
    { step: 'stop' },
    { step: 'prepared' },
    { step: 'end', outcome: 'in-doubt', text: 'x' },
    { step: 'end', outcome: 'aborted', text: 'y' },
  );
  const state = readJournal(path);
  assert.deepEqual(state.begin, begin);
  assert.deepEqual(state.settings?.parameters, { 'downtime-limit': 300 });
  assert.deepEqual(
    [state.stopSent, state.prepared, state.committed, state.running],
    [true, true, false, false],
  );
  assert.deepEqual([state.end?.outcome, state.end?.text], ['aborted', 'y']);
});

test('cut at any byte it reads as a prefix of what was written, or as none', () => {
  const path = written('cut', begin, { step: 'stop' }, { step: 'prepared' }, { step: 'commit' });
  const size = statSync(path).size;
  const first = readFileSync(path).indexOf('\n');
  let steps = 4;
  for (let length = size; length >= 0; length--) {
    truncateSync(path, length);
    if (length < first) {
      assert.throws(() => readJournal(path), { code: 'JOURNAL_READ' });
      continue;
    }
    const { stopSent, prepared, committed } = readJournal(path);
    const now = [true, stopSent, prepared, committed].filter(Boolean).length;
    assert.ok(now <= steps, 'a shorter file never says more');
    assert.ok(!(committed && !prepared) && !(prepared && !stopSent));
    steps = now;
  }
});

test('lines that are no steps are ignored, another file is no journal', () => {
  const path = written('odd', begin);
  appendFileSync(path, 'null\n{"step":"commit","x":\n{"step":"unheard-of"}\n');
  assert.equal(readJournal(path).committed, false);
  writeFileSync(join(folder, 'other'), 'hello\n');
  assert.throws(() => readJournal(join(folder, 'other')), { code: 'JOURNAL_READ' });
  assert.throws(() => readJournal(join(folder, 'none')), { code: 'JOURNAL_READ' });
});

test('a folder that cannot be written refuses before the step is taken', () => {
  writeFileSync(join(folder, 'file'), '');
  assert.throws(() => new Journal(join(folder, 'file', 'journal.jsonl')), { code: 'JOURNAL_WRITE' });
});

test('journals are listed, empty ones left out; they are private', () => {
  new Journal(journalPathOf(folder, 'empty')).close();
  const ids = listJournals(folder).map(({ path }) => path);
  assert.ok(ids.includes(journalPathOf(folder, 'one')));
  assert.ok(!ids.includes(journalPathOf(folder, 'empty')));
  assert.equal(statSync(journalPathOf(folder, 'one')).mode & 0o077, 0);
  assert.deepEqual(listJournals(join(folder, 'nowhere')), []);
});

test('the state folder is where the environment says', () => {
  assert.equal(stateDirectory({ GODWIT_STATE_DIR: '/x' }), '/x');
});
