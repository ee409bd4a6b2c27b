/**
 * The handover journal: one line a step, on disk before the step it announces. Each line has a number and a
 * checksum, so that a line that is torn, damaged or missing is noticed. Whoever finds it (the guardian,
 * `godwit resolve`) can finish the migration one way. Not responsible for deciding (src/handover) nor for
 * which journals there are (journals.ts).
 */

import {
  closeSync,
  constants,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncate,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  write,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { errorMessage, GodwitError, orAborted, within } from '../base/index.ts';
import { entrySchema, foldJournal, type JournalEntry, type JournalState } from './entries.ts';
import { makeFolder, syncFolder } from './folder.ts';

type Begin = Extract<JournalEntry, { step: 'begin' }>;

/** A journal has a dozen lines; a file of this size is none. */
const JOURNAL_BYTES_MAX = 1024 * 1024;
/** A disk that has not written a line by then hangs: a preference, above what a busy disk takes. */
const RECORD_MS = 10_000;
/** `{"n":3,"step":"stop","crc":"0a1b2c3d"}`: the checksum is of the line without its own member. */
const LINE = /^(\{"n":(\d+),.*),"crc":"([0-9a-f]{8})"\}$/s;

const ftruncateSoon = promisify(ftruncate);
const fsyncSoon = promisify(fsync);
const writeSoon = promisify(write);

export interface RecordOptions {
  readonly signal?: AbortSignal;
  readonly withinMs?: number;
}

export class Journal {
  readonly path: string;
  readonly #file: number;
  #isClosing = false;
  #isClosed = false;
  /** Lines that were asked for and are neither written nor failed. */
  #underWay = 0;
  #last: Promise<void> = Promise.resolve();
  #lines: number;
  /** What is whole on disk; a write that failed halfway is cut off before the next. */
  #bytes: number;

  private constructor(journalPath: string, file: number, lines: number, bytes: number) {
    this.path = journalPath;
    this.#file = file;
    this.#lines = lines;
    this.#bytes = bytes;
  }

  /**
   * A journal that exists says whose it is: it gets its name once its first line is
   * on disk. Errors: JOURNAL_WRITE.
   */
  static begin(journalPath: string, begin: Begin): Journal {
    const unnamed = `${journalPath}.new`;
    try {
      makeFolder(path.dirname(journalPath));
      const journal = new Journal(journalPath, openSync(unnamed, 'wx+', 0o600), 0, 0);
      try {
        journal.write(begin);
        renameSync(unnamed, journalPath);
        syncFolder(path.dirname(journalPath));
      } catch (error) {
        journal.close();
        rmSync(unnamed, { force: true });
        throw error;
      }
      return journal;
    } catch (error) {
      if (error instanceof GodwitError) throw error;
      throw writeError(journalPath, error);
    }
  }

  /**
   * To write on in one that is there; a torn last line is replaced by the word that it was
   * torn. Errors: JOURNAL_READ, JOURNAL_WRITE.
   */
  static async continue(journalPath: string): Promise<Journal> {
    let file: number;
    try {
      file = openSync(journalPath, 'r+');
    } catch (cause) {
      throw writeError(journalPath, cause);
    }
    return Journal.continueOpen(file, journalPath);
  }

  /** As `continue`, in a file that is open and may have no name any more. */
  static async continueOpen(file: number, name: string): Promise<Journal> {
    const { entries, wholeBytes, isTorn } = parse(textOf(file, name), name);
    const journal = new Journal(name, file, entries.length, wholeBytes);
    if (isTorn) await journal.record({ step: 'torn' });
    return journal;
  }

  /** A line that was given up has not been written yet: whoever touches that disk may hang with it. */
  get isHanging(): boolean {
    return this.#underWay > 0;
  }

  /** The open file, for a guardian that must read it whatever becomes of its folder. */
  get descriptor(): number {
    return this.#file;
  }

  /**
   * On disk when it returns; nothing else happens meanwhile, so it is for lines that no stopped VM waits for.
   * Errors: JOURNAL_WRITE (a full disk): the step must then not be taken.
   */
  write(entry: JournalEntry): void {
    try {
      if (this.#underWay > 0) throw new Error('an earlier line is still being written');
      const line = this.#lineOf(entry);
      // Also what another process, or a failed write, has left behind the last whole line.
      ftruncateSync(this.#file, this.#bytes);
      for (let done = 0; done < line.length; ) {
        done += writeSync(this.#file, line, done, line.length - done, this.#bytes + done);
      }
      fsyncSync(this.#file);
      this.#count(line);
    } catch (cause) {
      throw writeError(this.path, cause);
    }
  }

  /**
   * On disk when it resolves; other work goes on meanwhile. A disk that hangs is waited for until `signal`
   * aborts, or for `withinMs`: the line may then be written at any later time, before all that follow it.
   * Errors: JOURNAL_WRITE; the signal's reason.
   */
  async record(entry: JournalEntry, { signal, withinMs = RECORD_MS }: RecordOptions = {}): Promise<void> {
    this.#underWay++;
    const written = this.#last.then(() => this.#append(entry));
    this.#last = written.then(
      () => this.#ended(),
      () => this.#ended(),
    );
    const step = signal ? orAborted(written, signal) : written;
    await within(step, withinMs, () => hungError(this.path, withinMs));
  }

  /**
   * For what is only told: the VM is where it is, whether that can be written or not. Returns
   * why it could not.
   */
  async tryRecord(entry: JournalEntry): Promise<string | null> {
    return this.record(entry).then(() => null, errorMessage);
  }

  async #append(entry: JournalEntry): Promise<void> {
    try {
      const line = this.#lineOf(entry);
      await ftruncateSoon(this.#file, this.#bytes);
      for (let done = 0; done < line.length; ) {
        done += (await writeSoon(this.#file, line, done, line.length - done, this.#bytes + done))
          .bytesWritten;
      }
      await fsyncSoon(this.#file);
      this.#count(line);
    } catch (cause) {
      throw writeError(this.path, cause);
    }
  }

  #lineOf(entry: JournalEntry): Buffer {
    if (this.#isClosed) throw new Error('it is closed');
    const text = JSON.stringify({ n: this.#lines, ...entry });
    return Buffer.from(`${text.slice(0, -1)},"crc":"${checksum(text)}"}\n`);
  }

  #count(line: Buffer): void {
    this.#bytes += line.length;
    this.#lines++;
  }

  #ended(): void {
    this.#underWay--;
    if (this.#isClosing && this.#underWay === 0) this.#close();
  }

  /**
   * May be called again. What comes later must not be written into whatever has the descriptor then, so a
   * line that is still being written keeps it.
   */
  close(): void {
    this.#isClosing = true;
    if (this.#underWay === 0) this.#close();
  }

  #close(): void {
    if (!this.#isClosed) closeSync(this.#file);
    this.#isClosed = true;
  }
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

function writeError(journalPath: string, cause: unknown): GodwitError {
  return new GodwitError('JOURNAL_WRITE', `cannot write the handover journal ${journalPath}`, {
    cause,
    safe: 'a step that cannot be written down is not taken',
    hint: 'free space on that file system or name another folder with GODWIT_STATE_DIR',
  });
}

function hungError(journalPath: string, withinMs: number): GodwitError {
  return writeError(journalPath, new Error(`the disk has not written a line within ${withinMs} ms`));
}

/** Errors: JOURNAL_READ (no such file, no beginning), JOURNAL_DAMAGED, JOURNAL_NEWER. */
export function readJournal(journalPath: string): JournalState {
  const file = openJournal(journalPath);
  try {
    return readOpenJournal(file, journalPath);
  } finally {
    closeSync(file);
  }
}

/** Every whole line, as it is. Errors: as readJournal. */
export function readEntries(journalPath: string): readonly JournalEntry[] {
  const file = openJournal(journalPath);
  try {
    return parse(textOf(file, journalPath), journalPath).entries;
  } finally {
    closeSync(file);
  }
}

/**
 * Its path may come from a claim in a QEMU of another user, and what it says is carried out: only a file of
 * this user is read, and a pipe is not waited for.
 */
function openJournal(journalPath: string): number {
  let file: number;
  try {
    file = openSync(journalPath, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw readError(journalPath, cause);
  }
  try {
    const facts = fstatSync(file);
    if (!facts.isFile()) throw new Error('it is no file');
    if (facts.uid !== process.geteuid?.())
      throw new Error(`it is of user ${facts.uid}: run godwit as that user`);
    return file;
  } catch (cause) {
    closeSync(file);
    throw readError(journalPath, cause);
  }
}

/** As readJournal, of a file that is open and may have no name any more. */
export function readOpenJournal(file: number, name: string): JournalState {
  const { entries, isTorn } = parse(textOf(file, name), name);
  return foldJournal(entries, name, isTorn);
}

function textOf(file: number, name: string): string {
  try {
    const sizeBytes = fstatSync(file).size;
    if (sizeBytes > JOURNAL_BYTES_MAX) throw new Error(`larger than ${JOURNAL_BYTES_MAX} bytes`);
    const bytes = Buffer.alloc(sizeBytes);
    let done = 0;
    for (let count = -1; count !== 0 && done < sizeBytes; done += count) {
      count = readSync(file, bytes, done, sizeBytes - done, done);
    }
    return bytes.toString('utf8', 0, done);
  } catch (cause) {
    throw readError(name, cause);
  }
}

function readError(name: string, cause: unknown): GodwitError {
  return new GodwitError('JOURNAL_READ', `cannot read the journal ${name}`, {
    cause,
    safe: 'nothing was changed',
    hint: 'godwit resolve without a name lists the journals there are',
  });
}

interface Parsed {
  readonly entries: readonly JournalEntry[];
  /** Up to the end of the last whole line. */
  readonly wholeBytes: number;
  readonly isTorn: boolean;
}

/**
 * Only the last line may be torn, as a crash leaves it: without its end. Anything else is damage, and nobody
 * may act on it.
 */
function parse(text: string, name: string): Parsed {
  const lines = text.split('\n');
  const tail = lines.pop()!;
  const entries: JournalEntry[] = [];
  let wholeBytes = 0;
  for (const [index, line] of lines.entries()) {
    const entry = parseLine(line, index, name);
    if (entry === null) throw damagedError(name, index + 1);
    entries.push(entry);
    wholeBytes += Buffer.byteLength(line) + 1;
  }
  return { entries, wholeBytes, isTorn: tail !== '' };
}

/** null: not a whole line of this journal. Errors: JOURNAL_NEWER. */
function parseLine(line: string, index: number, name: string): JournalEntry | null {
  const match = LINE.exec(line);
  const text = `${match?.[1]}}`;
  if (match === null || Number(match[2]) !== index || checksum(text) !== match[3]) return null;
  const value = jsonOf(text);
  if (value === undefined) return null;
  const parsed = entrySchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new GodwitError(
    'JOURNAL_NEWER',
    `line ${index + 1} of ${name} is whole and not of this version of godwit`,
    {
      safe: 'nothing was changed: what it says may matter',
      hint: 'resolve it with the version that wrote it',
    },
  );
}

/** undefined: not JSON. A checksum proves what was written, not that this program wrote it. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function damagedError(name: string, line: number): GodwitError {
  return new GodwitError('JOURNAL_DAMAGED', `line ${line} of the journal ${name} is damaged`, {
    safe: 'nothing was changed: the step it named is not known',
    hint: 'look at both VMs and end the one that should not live; then godwit resolve --forget',
  });
}
