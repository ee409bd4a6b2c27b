/**
 * Writes a trace record by record into a callback; what was written so far is always readable. Keeps one
 * payload, nothing that grows.
 * Not responsible for files, nor for knowing what was dirtied when.
 */

import { crc32 } from 'node:zlib';
import { assert, type Bitmap } from '../base/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import {
  CHECK_BYTES,
  MAGIC,
  PAYLOAD_BYTES_MAX,
  RECORD_CONTENT,
  RECORD_COST,
  RECORD_END,
  RECORD_MORE,
  RECORD_SET,
  type TraceHeader,
} from './format.ts';
import type { PageCost } from './types.ts';
import { VARINT_BYTES_MAX, writeVarint } from './varint.ts';

const MICROSECONDS = 1000;
const RECORD_HEAD_BYTES = 1 + VARINT_BYTES_MAX;

export interface TraceWriterOptions {
  readonly pageCount: number;
  readonly about?: string;
  readonly source: TraceHeader['source'];
  /** Gets bytes of its own; called in order, never with half a record. */
  readonly write: (bytes: Uint8Array) => void;
}

export class TraceWriter {
  readonly #options: TraceWriterOptions;
  readonly #payload = new Uint8Array(PAYLOAD_BYTES_MAX);
  #filled = 0;
  #type = 0;
  /** End of the last SET, µs: times are rounded once, so that they do not drift. */
  #endUs = 0;
  /** The page after the last run of the open SET. */
  #next = 0;
  #sets = 0;
  #dirtyPages = 0;
  #ended = false;

  constructor(options: TraceWriterOptions) {
    this.#options = options;
    const { pageCount, about = '', source } = options;
    const header: TraceHeader = {
      pageCount,
      pageSizeBytes: PAGE_SIZE_BYTES,
      about: about.slice(0, 1024),
      source,
    };
    const json = Buffer.from(JSON.stringify(header));
    const bytes = Buffer.alloc(MAGIC.length + VARINT_BYTES_MAX + json.length + CHECK_BYTES);
    let at = bytes.write(MAGIC, 'latin1');
    at = writeVarint(bytes, at, json.length);
    at += json.copy(bytes, at);
    at = bytes.writeUInt32LE(crc32(bytes.subarray(0, at)), at);
    options.write(bytes.subarray(0, at));
  }

  /** The pages written between two moments; `endMs` of one is at most `startMs` of the next. */
  set(startMs: number, endMs: number, dirty: Bitmap): void {
    this.beginSet(startMs, endMs);
    this.#runs(dirty);
    this.endSet();
  }

  /** The pages that were not zero when the recording began; before the first set, once. */
  content(pages: Bitmap): void {
    assert(!this.#ended && this.#type === 0 && this.#sets === 0, 'content is told before the first set');
    this.#type = RECORD_CONTENT;
    this.#next = 0;
    this.#filled = 0;
    this.#runs(pages);
    this.endSet();
  }

  /** What pages cost on a link, as sampled; between two sets, the last one counts. */
  cost(cost: PageCost): void {
    assert(!this.#ended && this.#type === 0, 'costs are told between sets');
    this.#type = RECORD_COST;
    this.#filled = writeVarint(this.#payload, 0, Math.round(cost.packedBytes));
    this.#filled = writeVarint(this.#payload, this.#filled, Math.round(cost.deltaBytes));
    this.endSet();
  }

  #runs(pages: Bitmap): void {
    let page = pages.next(0);
    while (page >= 0) {
      let end = page + 1;
      while (end < pages.sizeBits && pages.has(end)) end++;
      this.run(page, end - page);
      page = pages.next(end);
    }
  }

  beginSet(startMs: number, endMs: number): void {
    assert(!this.#ended && this.#type === 0, 'one set after the other');
    const startUs = Math.max(this.#endUs, Math.round(startMs * MICROSECONDS));
    const endUs = Math.max(startUs, Math.round(endMs * MICROSECONDS));
    this.#type = RECORD_SET;
    this.#next = 0;
    this.#filled = writeVarint(this.#payload, 0, startUs - this.#endUs);
    this.#filled = writeVarint(this.#payload, this.#filled, endUs - startUs);
    this.#endUs = endUs;
    this.#sets++;
  }

  /** Ascending, and not next to each other: two adjacent runs are one. */
  run(firstPage: number, pages: number): void {
    assert(this.#type !== 0 && pages >= 1, 'a run of pages lies in a set');
    assert(firstPage > this.#next || (this.#next === 0 && firstPage === 0), 'runs ascend with gaps between');
    assert(firstPage + pages <= this.#options.pageCount, 'a run lies in the guest');
    if (this.#filled + 2 * VARINT_BYTES_MAX > PAYLOAD_BYTES_MAX) {
      this.#flush();
      if (this.#type === RECORD_SET) this.#type = RECORD_MORE;
    }
    this.#filled = writeVarint(this.#payload, this.#filled, firstPage - this.#next);
    this.#filled = writeVarint(this.#payload, this.#filled, pages);
    this.#next = firstPage + pages;
    if (this.#type !== RECORD_CONTENT) this.#dirtyPages += pages;
  }

  endSet(): void {
    assert(this.#type !== 0, 'a set is open');
    this.#flush();
    this.#type = 0;
  }

  /** The trace is whole. */
  end(): void {
    assert(!this.#ended && this.#type === 0, 'the last set is closed');
    this.#type = RECORD_END;
    this.#filled = writeVarint(this.#payload, 0, this.#sets);
    this.#filled = writeVarint(this.#payload, this.#filled, this.#dirtyPages);
    this.#flush();
    this.#ended = true;
  }

  #flush(): void {
    const record = Buffer.alloc(RECORD_HEAD_BYTES + this.#filled + CHECK_BYTES);
    record[0] = this.#type;
    let at = writeVarint(record, 1, this.#filled);
    record.set(this.#payload.subarray(0, this.#filled), at);
    at += this.#filled;
    at = record.writeUInt32LE(crc32(record.subarray(0, at)), at);
    this.#filled = 0;
    this.#options.write(record.subarray(0, at));
  }
}
