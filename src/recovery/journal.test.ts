/** The journal on disk: what was written is read, and what a crash leaves behind does no harm. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  open,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import type { JournalEntry } from './entries.ts';
import { Journal, readEntries, readJournal } from './journal.ts';
import {
  forgottenPathOf,
  journalPathOf,
  laterJournal,
  listJournals,
  pruneJournals,
  stateDirectory,
} from './journals.ts';

const folder = mkdtempSync(join(tmpdir(), 'godwit-journal-test-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const end = { claim: 'one', reach: null };
const begin = {
  step: 'begin',
  migrationId: 'one',
  startedAtMs: 7,
  controller: '12@34@x',
  controllerNamespace: null,
  source: { qmpPath: '/run/a', identity: '5@6@x', ...end },
  destination: { qmpPath: '/run/b', identity: null, ...end },
  sourceAfter: 'keep',
  guestWasRunning: true,
  vm: null,
  onEnd: null,
} as const;

function written(id: string, ...lines: JournalEntry[]): string {
  const path = journalPathOf(folder, id);
  const journal = Journal.begin(path, begin);
  for (const line of lines) journal.write(line);
  journal.close();
  return path;
}

test('steps come back folded, the last word of a kind counts', () => {
  const path = written(
    'one',
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
    [true, true, 'no', false],
  );
  assert.deepEqual([state.end?.outcome, state.end?.text], ['aborted', 'y']);
});

test('cut at any byte it says a prefix of what was written, and that a step may have followed', () => {
  const path = written('cut', { step: 'stop' }, { step: 'prepared' }, { step: 'commit' });
  const text = readFileSync(path, 'utf8');
  const ends = [...text.matchAll(/\n/g)].map(({ index }) => index + 1);
  for (let length = text.length; length >= 0; length--) {
    truncateSync(path, length);
    const whole = ends.filter((end) => end <= length).length;
    if (whole === 0) {
      assert.throws(() => readJournal(path), { code: 'JOURNAL_READ' });
      continue;
    }
    const { stopSent, prepared, committed } = readJournal(path);
    assert.deepEqual([stopSent, prepared], [whole > 1, whole > 2]);
    const isTorn = !ends.includes(length);
    assert.equal(committed, whole > 3 ? 'yes' : whole === 3 && isTorn ? 'perhaps' : 'no');
  }
});

test('who writes on after a torn line cuts it off and keeps the doubt', async () => {
  const path = written('torn', { step: 'stop' }, { step: 'prepared' });
  appendFileSync(path, '{"n":3,"step":"com');
  const journal = await Journal.continue(path);
  journal.write({ step: 'end', outcome: 'in-doubt', text: 'x' });
  journal.close();
  const state = readJournal(path);
  assert.deepEqual([state.committed, state.end?.outcome], ['perhaps', 'in-doubt']);
});

test('a byte that changed anywhere is noticed, and nobody acts on what is left', () => {
  const path = written('flipped', { step: 'stop' }, { step: 'prepared' });
  const bytes = readFileSync(path);
  for (let index = 0; index < bytes.length; index++) {
    const flipped = Buffer.from(bytes);
    flipped[index]! ^= 1;
    writeFileSync(path, flipped);
    // Without its end the last line is torn: a step that may have happened.
    if (index === bytes.length - 1) assert.equal(readJournal(path).prepared, false);
    else assert.throws(() => readJournal(path), { code: /^JOURNAL_(DAMAGED|READ)$/ }, `byte ${index}`);
  }
});

test('steps of a newer version, missing and repeated lines are in doubt; another file is no journal', () => {
  const path = written('odd', { step: 'stop' }, { step: 'prepared' });
  const lines = readFileSync(path, 'utf8').split('\n');
  const newer = '{"n":3,"step":"unheard-of"}';
  const sum = crc32(newer).toString(16).padStart(8, '0');
  const noJson = '{"n":0,"step":x}';
  const noJsonSum = crc32(noJson).toString(16).padStart(8, '0');
  for (const [text, code] of [
    [`${noJson.slice(0, -1)},"crc":"${noJsonSum}"}\n`, 'JOURNAL_DAMAGED'],
    [`${lines.join('\n')}${newer.slice(0, -1)},"crc":"${sum}"}\n`, 'JOURNAL_NEWER'],
    [[lines[0], lines[2], ''].join('\n').concat(`${lines[2]}\n`), 'JOURNAL_DAMAGED'],
    [[lines[0], lines[1], lines[1], lines[2], ''].join('\n'), 'JOURNAL_DAMAGED'],
    ['', 'JOURNAL_READ'],
    ['hello\n', 'JOURNAL_DAMAGED'],
  ] as const) {
    writeFileSync(path, text);
    assert.throws(() => readJournal(path), { code }, text.slice(0, 40));
  }
  assert.throws(() => readJournal(join(folder, 'none')), { code: 'JOURNAL_READ' });
});

test('a folder that cannot be written refuses before the step is taken', () => {
  writeFileSync(join(folder, 'file'), '');
  for (const at of [join(folder, 'file', 'journal.jsonl'), '/proc/nowhere/migrations/one/journal.jsonl']) {
    assert.throws(() => Journal.begin(at, begin), { code: 'JOURNAL_WRITE' });
  }
});

test('journals are listed, unreadable ones too, those that never began are not; they are private', () => {
  mkdirSync(join(folder, 'migrations', 'never'));
  const found = listJournals(folder);
  const named = (id: string) => found.find(({ migrationId }) => migrationId === id);
  assert.equal(named('one')?.state?.begin.migrationId, 'one');
  assert.equal(named('odd')?.error?.code, 'JOURNAL_DAMAGED');
  assert.equal(named('never'), undefined);
  assert.equal(statSync(journalPathOf(folder, 'one')).mode & 0o077, 0);
  assert.deepEqual(listJournals(join(folder, 'nowhere')), []);
});

test('folders of migrations that never began go in the end, what was put aside stays', () => {
  const place = mkdtempSync(join(tmpdir(), 'godwit-prune-'));
  const at = (id: string) => join(place, 'migrations', id);
  for (const id of ['killed', 'aside', 'open']) mkdirSync(at(id), { recursive: true });
  writeFileSync(join(at('killed'), 'journal.jsonl.new'), '');
  writeFileSync(forgottenPathOf(journalPathOf(place, 'aside')), 'unreadable');
  Journal.begin(journalPathOf(place, 'open'), begin).close();
  const later = (days: number) => pruneJournals(place, Date.now() + days * 86_400_000);
  later(29);
  assert.deepEqual(readdirSync(join(place, 'migrations')).sort(), ['aside', 'killed', 'open']);
  later(31);
  assert.deepEqual(readdirSync(join(place, 'migrations')).sort(), ['aside', 'open']);
  rmSync(place, { recursive: true });
});

test('what makes an open journal void is kept for as long as that one is', async () => {
  const place = mkdtempSync(join(tmpdir(), 'godwit-prune-'));
  const begun = (id: string, startedAtMs: number, vm: string, outcome: 'aborted' | 'in-doubt' | null) => {
    const source = { ...begin.source, identity: `${id}@6@x` };
    const journal = Journal.begin(journalPathOf(place, id), {
      ...begin,
      ...{ migrationId: id, startedAtMs, vm, source },
    });
    if (outcome !== null) journal.write({ step: 'end', outcome, text: 'x' });
    journal.close();
  };
  begun('before', 1, 'vm', 'aborted');
  begun('open', 2, 'vm', 'in-doubt');
  begun('voids', 3, 'vm', 'aborted');
  begun('other', 4, 'another', 'aborted');
  const left = () => {
    pruneJournals(place, Date.now());
    return readdirSync(join(place, 'migrations')).sort();
  };
  assert.deepEqual(left(), ['open', 'voids']);
  const all = listJournals(place);
  const open = all.find(({ migrationId }) => migrationId === 'open');
  assert.ok(open !== undefined && open.state !== null);
  assert.equal(laterJournal(open, all)?.migrationId, 'voids');
  const closed = await Journal.continue(open.path);
  closed.write({ step: 'end', outcome: 'forgotten', text: 'x' });
  closed.close();
  assert.deepEqual(left(), []);
  // One that only a newer version can read may name any VM.
  begun('newer', 5, 'vm', null);
  begun('later', 6, 'another', 'aborted');
  const text = JSON.stringify({ n: 1, step: 'from-the-future' });
  const crc = crc32(text).toString(16).padStart(8, '0');
  appendFileSync(journalPathOf(place, 'newer'), `${text.slice(0, -1)},"crc":"${crc}"}\n`);
  assert.deepEqual(left(), ['later', 'newer']);
  writeFileSync(journalPathOf(place, 'newer'), 'damaged\n');
  assert.deepEqual(left(), ['newer']);
  rmSync(place, { recursive: true });
});

test('the state folder is where the environment says', () => {
  assert.equal(stateDirectory({ GODWIT_STATE_DIR: '/x' }), '/x');
});

/** Every thread that does the file work of this process waits for a pipe that nobody writes to. */
function hangDisk(place: string): () => void {
  const pipe = join(place, 'hangs');
  execFileSync('mkfifo', [pipe]);
  // As many as libuv has threads; each gets a descriptor once somebody writes.
  const hanging = Array.from({ length: 4 }, () => promisify(open)(pipe, 'r'));
  return () => {
    const writer = openSync(pipe, 'r+');
    void Promise.all(hanging).then((all) => {
      for (const one of [...all, writer]) closeSync(one);
    });
  };
}

test('a disk that hangs ends the wait for a line; what was asked for comes later, in its order', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'godwit-hang-'));
  t.after(() => rmSync(place, { recursive: true }));
  const path = journalPathOf(place, 'one');
  const journal = Journal.begin(path, begin);
  await journal.record({ step: 'stop' });
  const thaw = hangDisk(place);
  await assert.rejects(journal.record({ step: 'prepared' }, { withinMs: 20 }), { code: 'JOURNAL_WRITE' });
  const cancelled = new AbortController();
  const commit = journal.record({ step: 'commit' }, { signal: cancelled.signal });
  cancelled.abort(new Error('the operator cancelled'));
  await assert.rejects(commit, /the operator cancelled/);
  assert.throws(() => journal.write({ step: 'running' }), { code: 'JOURNAL_WRITE' });
  assert.equal(readJournal(path).prepared, false);
  const ended = journal.tryRecord({ step: 'end', outcome: 'aborted', text: 'x' });
  // It keeps its descriptor for as long as a line is under way.
  journal.close();
  thaw();
  assert.equal(await ended, null);
  assert.deepEqual(
    readEntries(path).map(({ step }) => step),
    ['begin', 'stop', 'prepared', 'commit', 'end'],
  );
  assert.match((await journal.tryRecord({ step: 'running' })) ?? '', /closed|journal/);
});

test('a pipe is not waited for, another user’s file is not acted on, a closed journal writes nowhere', async () => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  assert.throws(() => readJournal(pipe), { code: 'JOURNAL_READ' });
  const path = written('closed', { step: 'stop' });
  if (process.geteuid?.() === 0) {
    chownSync(path, 12_345, 12_345);
    assert.throws(() => readJournal(path), { code: 'JOURNAL_READ' });
    chownSync(path, 0, 0);
  }
  const journal = await Journal.continue(path);
  journal.close();
  journal.close();
  const other = join(folder, 'other');
  writeFileSync(other, 'not ours');
  const descriptor = openSync(other, 'r+');
  assert.match((await journal.tryRecord({ step: 'prepared' })) ?? '', /journal/);
  closeSync(descriptor);
  assert.equal(readFileSync(other, 'utf8'), 'not ours');
  assert.equal(readJournal(path).prepared, false);
});
