/**
 * The handover journal: one JSON line a step, on disk before the step it announces. Whoever finds it (the guardian,
 * `godwit resolve`) can finish the migration one way. Not responsible for deciding: see recover.ts.
 */

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { GodwitError } from '../base/index.ts';

const endpoint = z.object({
  qmpPath: z.string(),
  /** Its process, as process-identity.ts names it: another QEMU may listen at that path later. null: not visible from here. */
  identity: z.string().nullable().default(null),
  /** How to reach its host; null: this one. */
  reach: z
    .object({
      command: z.array(z.string()),
      host: z.string().nullable(),
      linkTimeoutMs: z.number().default(60_000),
      /** A far side that was started by hand; its TLS files by their paths. */
      listener: z
        .object({
          host: z.string(),
          port: z.number(),
          session: z.string(),
          tls: z
            .object({
              certPath: z.string(),
              keyPath: z.string(),
              caPath: z.string(),
              serverName: z.string().nullish(),
            })
            .nullable(),
        })
        .nullish(),
    })
    .nullable()
    .default(null),
});
export type Endpoint = z.infer<typeof endpoint>;

const entry = z.discriminatedUnion('step', [
  z.object({
    step: z.literal('begin'),
    migrationId: z.string(),
    /** The controller's process: while it lives, the migration is under way and not unfinished. */
    controller: z.string().nullable().default(null),
    source: endpoint,
    destination: endpoint,
    sourceAfter: z.enum(['keep', 'quit']),
    /** The guest was running when the migration began: only then is it started again, on whichever side. */
    guestWasRunning: z.boolean(),
  }),
  /** Settings of the source before we changed them; restored if the migration does not complete. */
  z.object({
    step: z.literal('settings'),
    capabilities: z.record(z.string(), z.boolean()),
    parameters: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  }),
  /** The guest ended by itself: nothing is left to be started, on either side. */
  z.object({ step: z.literal('guest-ended'), text: z.string() }),
  /** Written before `stop` is sent to the source. */
  z.object({ step: z.literal('stop') }),
  /** Written before QEMU is told to go on in post-copy: only QEMU knows how far that came. */
  z.object({ step: z.literal('post-copy') }),
  /** The destination answered our nonce: RAM and every device are loaded. */
  z.object({ step: z.literal('prepared') }),
  /** Written before `cont` is sent to the destination: from here on the destination may have run. */
  z.object({ step: z.literal('commit') }),
  /** Seen: the destination runs (or is paused on purpose, as the guest was). */
  z.object({ step: z.literal('running') }),
  /** The end, either way. */
  z.object({
    step: z.literal('end'),
    outcome: z.enum(['completed', 'aborted', 'in-doubt']),
    text: z.string(),
  }),
]);

export type JournalEntry = z.infer<typeof entry>;

/** Everything a recovery needs to know, folded from the entries. */
export interface JournalState {
  readonly begin: Extract<JournalEntry, { step: 'begin' }>;
  readonly settings: Extract<JournalEntry, { step: 'settings' }> | null;
  readonly guestEnded: Extract<JournalEntry, { step: 'guest-ended' }> | null;
  readonly stopSent: boolean;
  readonly postCopy: boolean;
  readonly prepared: boolean;
  readonly committed: boolean;
  readonly running: boolean;
  readonly end: Extract<JournalEntry, { step: 'end' }> | null;
}

export class Journal {
  readonly path: string;
  readonly #file: number;

  /** Errors: JOURNAL_WRITE. */
  constructor(journalPath: string) {
    this.path = journalPath;
    try {
      mkdirSync(path.dirname(journalPath), { recursive: true, mode: 0o700 });
      this.#file = openSync(journalPath, 'a', 0o600);
    } catch (cause) {
      throw writeError(journalPath, cause);
    }
  }

  /** On disk when it returns. Errors: JOURNAL_WRITE (a full disk): the step must then not be taken. */
  write(line: JournalEntry): void {
    try {
      writeSync(this.#file, `${JSON.stringify(line)}\n`);
      fsyncSync(this.#file);
    } catch (cause) {
      throw writeError(this.path, cause);
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}

function writeError(journalPath: string, cause: unknown): GodwitError {
  return new GodwitError('JOURNAL_WRITE', `cannot write the handover journal ${journalPath}`, {
    cause,
    safe: 'a step that cannot be written down is not taken',
    hint: 'free space on that file system or name another folder with GODWIT_STATE_DIR',
  });
}

/** Reads what is there; a torn last line is what a crash leaves and is ignored. Errors: JOURNAL_READ. */
export function readJournal(journalPath: string): JournalState {
  const entries: JournalEntry[] = [];
  for (const line of textOf(journalPath).split('\n')) {
    const parsed = parseLine(line);
    if (parsed) entries.push(parsed);
  }
  return foldJournal(entries, journalPath);
}

/** A journal has a dozen lines; a file of this size is none. */
const JOURNAL_BYTES_MAX = 1024 * 1024;

function textOf(journalPath: string): string {
  try {
    if (statSync(journalPath).size > JOURNAL_BYTES_MAX)
      throw new Error(`larger than ${JOURNAL_BYTES_MAX} bytes`);
    return readFileSync(journalPath, 'utf8');
  } catch (cause) {
    throw new GodwitError('JOURNAL_READ', `cannot read the journal ${journalPath}`, {
      cause,
      safe: 'nothing was changed',
      hint: 'godwit resolve without a name lists the journals there are',
    });
  }
}

function parseLine(line: string): JournalEntry | null {
  if (line === '') return null;
  try {
    return entry.parse(JSON.parse(line));
  } catch {
    return null;
  }
}

export function foldJournal(entries: readonly JournalEntry[], name: string): JournalState {
  const find = <Step extends JournalEntry['step']>(step: Step) =>
    (entries.findLast((line) => line.step === step) ?? null) as Extract<JournalEntry, { step: Step }> | null;
  const begin = find('begin');
  if (!begin) {
    throw new GodwitError('JOURNAL_READ', `${name} is not the journal of a migration`, {
      hint: 'the migration had not begun: the source VM was not touched',
    });
  }
  return {
    begin,
    settings: find('settings'),
    guestEnded: find('guest-ended'),
    stopSent: find('stop') !== null,
    postCopy: find('post-copy') !== null,
    prepared: find('prepared') !== null,
    committed: find('commit') !== null,
    running: find('running') !== null,
    end: find('end'),
  };
}

export function journalPathOf(stateFolder: string, migrationId: string): string {
  return path.join(stateFolder, 'migrations', migrationId, 'journal.jsonl');
}

/** Every journal of a state folder that can be read, oldest first. An empty one belongs to a migration that never began. */
export function listJournals(stateFolder: string): { readonly path: string; readonly state: JournalState }[] {
  const journals: { path: string; state: JournalState; atMs: number }[] = [];
  for (const migrationId of namesIn(path.join(stateFolder, 'migrations'))) {
    const journalPath = journalPathOf(stateFolder, migrationId);
    try {
      journals.push({
        path: journalPath,
        state: readJournal(journalPath),
        atMs: statSync(journalPath).mtimeMs,
      });
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
    }
  }
  return journals.sort((one, other) => one.atMs - other.atMs);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Where journals, control sockets and reports of this user live: GODWIT_STATE_DIR, else the customary place. */
export function stateDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment['GODWIT_STATE_DIR']) return environment['GODWIT_STATE_DIR'];
  if (process.getuid?.() === 0) return '/var/lib/godwit';
  return path.join(
    environment['XDG_STATE_HOME'] ?? path.join(environment['HOME'] ?? '/tmp', '.local/state'),
    'godwit',
  );
}
