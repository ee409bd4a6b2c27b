/** Journals as a crash, a bad disk or another version left them. By the public functions only, so that the format may change. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Prng } from '../../../src/base/index.ts';
import { foldJournal, Journal, type JournalEntry, readJournal } from '../../../src/recovery/index.ts';
import { mutateBytes, mutateJson } from '../mutate.ts';
import type { FuzzTarget } from '../target.ts';

const END = (qmpPath: string) => ({ qmpPath, identity: null, reach: null });
const ENTRIES: readonly JournalEntry[] = [
  {
    step: 'begin',
    migrationId: 'aaaa-1',
    controller: null,
    source: END('/run/a'),
    destination: END('/run/b'),
    sourceAfter: 'keep',
    guestWasRunning: true,
  },
  { step: 'settings', capabilities: { xbzrle: false }, parameters: { 'downtime-limit': 300 } },
  { step: 'stop' },
  { step: 'prepared' },
  { step: 'commit' },
  { step: 'running' },
  { step: 'end', outcome: 'completed', text: 'moved' },
];

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
  const journal = new Journal(file);
  for (const entry of ENTRIES.slice(0, 1 + prng.below(ENTRIES.length))) journal.write(entry);
  journal.close();
  return readFileSync(file);
}

export const journal: FuzzTarget = {
  name: 'journal',
  codes: /^JOURNAL_/,
  generate,
  mutate: (bytes, prng) =>
    prng.below(2) === 0 ? mutateJson(bytes, prng) : mutateBytes(bytes, bytes, prng, ['\n', '{}', '\0']),
  run: (bytes) => {
    const file = journalFile('read');
    writeFileSync(file, bytes);
    readJournal(file);
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
