/**
 * Journals as a crash, a bad disk or another version left them. Written and read by the public functions;
 * only the checks are made here.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import type { Prng } from '../../../src/base/index.ts';
import { foldJournal, type JournalEntry } from '../../../src/recovery/entries.ts';
import { Journal, readJournal } from '../../../src/recovery/index.ts';
import { mutateBytes, mutateJson } from '../mutate.ts';
import type { FuzzTarget } from '../target.ts';

const END = { identity: null, claim: null, reach: null };
const BEGIN = {
  step: 'begin',
  migrationId: 'aaaa-1',
  startedAtMs: 7,
  controller: null,
  controllerNamespace: null,
  source: { qmpPath: '/run/a', ...END },
  destination: { qmpPath: '/run/b', ...END },
  sourceAfter: 'keep',
  guestWasRunning: true,
  vm: null,
  onEnd: null,
} as const;
const LATER: readonly JournalEntry[] = [
  { step: 'settings', capabilities: { xbzrle: false }, parameters: { 'downtime-limit': 300 } },
  { step: 'destination-settings', capabilities: { events: false }, parameters: {} },
  { step: 'incoming', answer: 'asked' },
  { step: 'recognised', destinationIdentity: '5@6@x' },
  { step: 'started' },
  { step: 'stop' },
  { step: 'prepared' },
  { step: 'torn' },
  { step: 'commit' },
  { step: 'post-copy' },
  { step: 'running' },
  { step: 'end', outcome: 'completed', text: 'moved' },
];
const ENTRIES = [BEGIN, ...LATER];

let folder: string | null = null;
function journalFile(name: string): string {
  if (folder === null) {
    const made = mkdtempSync(path.join(tmpdir(), 'godwit-fuzz-journal-'));
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  return path.join(folder, name);
}

/** Written by the journal itself, in whatever format that is today: the first steps, or all. */
function generate(prng: Prng): Uint8Array {
  const file = journalFile('generated');
  rmSync(file, { force: true });
  const journal = Journal.begin(file, BEGIN);
  for (const entry of LATER.slice(0, prng.below(LATER.length + 1))) journal.write(entry);
  journal.close();
  return readFileSync(file);
}

/** Each line gets its number and its checksum again: without them nothing comes past the first look. */
function signed(bytes: Uint8Array): Uint8Array {
  const lines = Buffer.from(bytes).toString('utf8').split('\n');
  const again = lines.map((line, index) => {
    const text = line.replace(/,"crc":"[^"]*"\}$/, '}').replace(/^\{"n":\d+/, `{"n":${index}`);
    if (!text.endsWith('}')) return line;
    return `${text.slice(0, -1)},"crc":"${crc32(text).toString(16).padStart(8, '0')}"}`;
  });
  return Buffer.from(again.join('\n'));
}

export const journal: FuzzTarget = {
  name: 'journal',
  codes: /^JOURNAL_/,
  generate,
  mutate: (bytes, prng) => {
    const tree = prng.below(2) === 0;
    const changed = tree ? mutateJson(bytes, prng) : mutateBytes(bytes, bytes, prng, ['\n', '{}', '\0']);
    return prng.below(3) === 0 ? changed : signed(changed);
  },
  run: async (bytes) => {
    const file = journalFile('read');
    writeFileSync(file, bytes);
    const { committed } = readJournal(file);
    // Who writes on must not lose what was there.
    const journal = await Journal.continue(file);
    journal.write({ step: 'end', outcome: 'in-doubt', text: 'fuzzed' });
    journal.close();
    assert.equal(readJournal(file).committed, committed);
  },
};

/** Each byte is a step, in any order and any number. */
export const journalFold: FuzzTarget = {
  name: 'journal-fold',
  codes: /^JOURNAL_/,
  inputBytesMax: 200,
  generate: (prng) => Uint8Array.from({ length: prng.below(12) }, () => prng.below(ENTRIES.length)),
  run: (bytes) =>
    void foldJournal(
      [...bytes].map((byte) => ENTRIES[byte % ENTRIES.length]!),
      'fuzzed',
    ),
};
