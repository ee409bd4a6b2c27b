/**
 * Reads a trace in any chunking and tells a sink what it finds. Everything that arrives is hostile until
 * checked; memory is one payload.
 * Not responsible for files (the caller reads them), nor for keeping anything (recording.ts).
 */

import { crc32 } from 'node:zlib';
import { errorMessage } from '../base/index.ts';
import { traceError } from './errors.ts';
import {
  CHECK_BYTES,
  HEADER_BYTES_MAX,
  headerOf,
  MAGIC,
  PAYLOAD_BYTES_MAX,
  RECORD_CONTENT,
  RECORD_COST,
  RECORD_END,
  RECORD_MORE,
  RECORD_OPTIONAL_MIN,
  RECORD_SET,
  type TraceHeader,
} from './format.ts';
import type { PageCost } from './types.ts';
import { readVarint, VARINT_BYTES_MAX } from './varint.ts';

export interface TraceSink {
  onHeader(header: TraceHeader): void;
  /** A set begins; its runs follow. Milliseconds since the trace began. */
  onSet(startMs: number, endMs: number): void;
  onRun(firstPage: number, pages: number): void;
  /** Pages that were not zero when the recording began. */
  onContent?(firstPage: number, pages: number): void;
  onCost?(cost: PageCost): void;
}

export interface TraceEnd {
  /** It ended with END. */
  readonly whole: boolean;
  readonly reason: string | null;
  readonly sets: number;
  readonly dirtyPages: number;
}

/** A page and what a record adds to it. */
const COST_BYTES_MAX = 8192;

export class TraceReader {
  readonly #sink: TraceSink;
  #pending: Buffer = Buffer.alloc(0);
  /** Bytes before `pending`. */
  #offset = 0;
  #header: TraceHeader | null = null;
  #endUs = 0;
  #next = -1;
  #begun = false;
  /** As #next, of the CONTENT records; negative before the first. */
  #contentNext = -1;
  #sets = 0;
  #dirtyPages = 0;
  #ended = false;

  constructor(sink: TraceSink) {
    this.#sink = sink;
  }

  /** Errors: TRACE_MAGIC, TRACE_HEADER, TRACE_RECORD, TRACE_CHECK. */
  write(chunk: Uint8Array): void {
    this.#pending = this.#pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#pending, chunk]);
    let used = 0;
    for (;;) {
      const end: number | null = this.#header === null ? this.#readHeader() : this.#readRecord(used);
      if (end === null) break;
      used = end;
    }
    this.#pending = this.#pending.subarray(used);
    this.#offset += used;
  }

  /** No more bytes come. A cut file is an answer, not an error; one without a header is no trace. */
  end(): TraceEnd {
    if (this.#header === null)
      throw traceError('TRACE_HEADER', 'the file ends within the header', this.#offset);
    const reason = this.#ended
      ? null
      : this.#pending.length > 0
        ? `it ends within a record that begins at byte ${this.#offset}`
        : 'it ends without END: the recording still runs, or was cut off';
    return { whole: this.#ended, reason, sets: this.#sets, dirtyPages: this.#dirtyPages };
  }

  /** Section 2. Returns the position after the header, null when more bytes are needed. */
  #readHeader(): number | null {
    const bytes = this.#pending;
    const magic = Math.min(bytes.length, MAGIC.length);
    if (bytes.toString('latin1', 0, magic) !== MAGIC.slice(0, magic)) {
      throw traceError('TRACE_MAGIC', 'this is no trace', 0);
    }
    const length = readVarint(bytes, MAGIC.length, bytes.length);
    if (length === null) return null;
    if (length === 'malformed' || length.value > HEADER_BYTES_MAX) {
      throw traceError('TRACE_HEADER', `a header has at most ${HEADER_BYTES_MAX} bytes`, MAGIC.length);
    }
    const end = length.end + length.value;
    if (bytes.length < end + CHECK_BYTES) return null;
    this.#check(0, end);
    let parsed: unknown;
    try {
      parsed = JSON.parse(bytes.toString('utf8', length.end, end));
    } catch (error) {
      throw traceError('TRACE_HEADER', `the header is no JSON: ${errorMessage(error)}`, length.end);
    }
    const header = headerOf(parsed);
    if (header === null)
      throw traceError('TRACE_HEADER', 'a field of the header is missing or wrong', length.end);
    this.#header = header;
    this.#sink.onHeader(header);
    return end + CHECK_BYTES;
  }

  /** Section 3. */
  #readRecord(at: number): number | null {
    const bytes = this.#pending;
    if (at >= bytes.length) return null;
    const type = bytes[at]!;
    if (this.#ended) throw this.#wrong('bytes follow END', at);
    if (type !== RECORD_SET && type !== RECORD_MORE && type !== RECORD_END && type < RECORD_OPTIONAL_MIN) {
      throw this.#wrong(`a record has the unknown type ${type}`, at);
    }
    const length = readVarint(bytes, at + 1, Math.min(bytes.length, at + 1 + VARINT_BYTES_MAX));
    if (length === null) return null;
    if (length === 'malformed' || length.value > PAYLOAD_BYTES_MAX) {
      throw this.#wrong(`a payload has at most ${PAYLOAD_BYTES_MAX} bytes`, at);
    }
    const end = length.end + length.value;
    if (bytes.length < end + CHECK_BYTES) return null;
    this.#check(at, end);
    if (type === RECORD_SET) this.#readSet(length.end, end);
    else if (type === RECORD_MORE) this.#readMore(length.end, end);
    else if (type === RECORD_END) this.#readEnd(length.end, end);
    else if (type === RECORD_CONTENT) this.#readContent(length.end, end);
    else if (type === RECORD_COST) this.#readCost(length.end, end);
    return end + CHECK_BYTES;
  }

  #readSet(at: number, end: number): void {
    const since = this.#number(at, end);
    const duration = this.#number(since.end, end);
    const startUs = this.#endUs + since.value;
    this.#endUs = startUs + duration.value;
    if (this.#endUs > Number.MAX_SAFE_INTEGER) throw this.#wrong('time exceeds 2^53 microseconds', at);
    this.#sets++;
    this.#next = 0;
    this.#begun = false;
    this.#sink.onSet(startUs / 1000, this.#endUs / 1000);
    this.#readDirty(duration.end, end);
  }

  #readMore(at: number, end: number): void {
    if (this.#next < 0) throw this.#wrong('MORE continues no SET', at);
    this.#readDirty(at, end);
  }

  #readDirty(at: number, end: number): void {
    this.#next = this.#readRuns(at, end, this.#next, this.#begun, (firstPage, pages) => {
      this.#begun = true;
      this.#dirtyPages += pages;
      this.#sink.onRun(firstPage, pages);
    });
  }

  #readContent(at: number, end: number): void {
    if (this.#sets > 0) throw this.#wrong('CONTENT follows a SET', at);
    const begun = this.#contentNext > 0;
    this.#contentNext = this.#readRuns(at, end, Math.max(0, this.#contentNext), begun, (firstPage, pages) =>
      this.#sink.onContent?.(firstPage, pages),
    );
  }

  #readCost(at: number, end: number): void {
    const packed = this.#number(at, end);
    const delta = this.#number(packed.end, end);
    if (delta.end !== end || packed.value > COST_BYTES_MAX || delta.value > COST_BYTES_MAX) {
      throw this.#wrong(`COST is two numbers of at most ${COST_BYTES_MAX}`, at);
    }
    this.#sink.onCost?.({ packedBytes: packed.value, deltaBytes: delta.value });
  }

  /** Returns the page after the last run. */
  #readRuns(
    at: number,
    end: number,
    from: number,
    wasBegun: boolean,
    onRun: (firstPage: number, pages: number) => void,
  ): number {
    const pageCount = this.#header!.pageCount;
    let position = at;
    let next = from;
    let begun = wasBegun;
    while (position < end) {
      const gap = this.#number(position, end);
      const pages = this.#number(gap.end, end);
      if (gap.value === 0 && begun) throw this.#wrong('two runs touch', position);
      const first = next + gap.value;
      if (pages.value < 1 || first + pages.value > pageCount) {
        throw this.#wrong(
          `a run of ${pages.value} pages from ${first} does not lie in ${pageCount} pages`,
          position,
        );
      }
      begun = true;
      next = first + pages.value;
      onRun(first, pages.value);
      position = pages.end;
    }
    return next;
  }

  #readEnd(at: number, end: number): void {
    const sets = this.#number(at, end);
    const pages = this.#number(sets.end, end);
    if (pages.end !== end) throw this.#wrong('END has trailing bytes', pages.end);
    if (sets.value !== this.#sets || pages.value !== this.#dirtyPages) {
      throw this.#wrong(
        `END counts ${sets.value} sets and ${pages.value} pages; there are ${this.#sets} and ${this.#dirtyPages}`,
        at,
      );
    }
    this.#ended = true;
  }

  #number(at: number, end: number): { value: number; end: number } {
    const number = readVarint(this.#pending, at, end);
    if (number === null || number === 'malformed') throw this.#wrong('a number is cut or malformed', at);
    return number;
  }

  #check(from: number, end: number): void {
    const stated = this.#pending.readUInt32LE(end);
    if (crc32(this.#pending.subarray(from, end)) !== stated) {
      throw traceError('TRACE_CHECK', 'bytes are damaged: their check disagrees', this.#offset + from);
    }
  }

  #wrong(message: string, at: number) {
    return traceError('TRACE_RECORD', message, this.#offset + at);
  }
}
