/**
 * RAM records (docs/format/qemu-stream.md, section 6): the hot loop of the decoder. No object, closure,
 * BigInt or promise per page. Not responsible for the sections around the records.
 */

import type { RamBlock, RamLayout } from '../vm/index.ts';
import { streamError } from './errors.ts';
import { Unreadable } from './setup.ts';
import type { PassThroughReason, StreamSink } from './types.ts';
import { FLAG, latin1, readBe32 } from './wire.ts';

const PAGE = 4096;
const SAME_BLOCK_PAGE = FLAG.page | FLAG.continue;
const SAME_BLOCK_ZERO = FLAG.zero | FLAG.continue;

const UNREADABLE_FLAGS: Readonly<Record<number, PassThroughReason>> = {
  [FLAG.xbzrle]: 'xbzrle',
  [FLAG.hook]: 'rdma',
  [FLAG.compressPage]: 'compress',
  1024: 'ram-record',
  2048: 'ram-record',
};

/** Returned where a record is not whole. */
const NEED_MORE = -1;

/** Why decode() stopped: bytes are missing, EOS was read, or a record cannot be. */
export type RamStop = 'more' | 'eos' | Unreadable;

export class RamRecords {
  readonly #sink: StreamSink;
  readonly #layout: RamLayout;
  readonly #blockIndexById: ReadonlyMap<string, number>;
  /** A page of one fill byte; no QEMU since 1.x sends one, the format still has it. */
  readonly #filled = Buffer.alloc(PAGE);
  /** "The record before": its block as plain numbers. No page is below 0: CONTINUE before any block fails. */
  #lastBlock = -1;
  #firstPage = 0;
  #pageCount = 0;
  /** Stream offset of index 0 of the bytes being decoded, for errors. */
  #base = 0;
  stop: RamStop = 'more';
  pages = 0;
  zeroPages = 0;
  multifdFlushes = 0;

  constructor(sink: StreamSink, layout: RamLayout) {
    this.#sink = sink;
    this.#layout = layout;
    this.#blockIndexById = new Map(layout.blocks.map(({ id }, index) => [id, index]));
  }

  get lastBlock(): number | null {
    return this.#lastBlock < 0 ? null : this.#lastBlock;
  }

  /**
   * Decodes whole records from `start` on, one if `single`. Returns the offset behind the last of them;
   * `stop` says why it is not further.
   */
  decode(bytes: Uint8Array, start: number, end: number, single: boolean, base: number): number {
    this.#base = base;
    this.stop = 'more';
    const sink = this.#sink;
    let at = start;
    let firstPage = this.#firstPage;
    let pageCount = this.#pageCount;
    let pages = 0;
    let zeroPages = 0;
    do {
      if (at + 8 > end) break;
      const low =
        ((bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!) >>> 0;
      const flags = low & 0xfff;
      if (flags === SAME_BLOCK_PAGE || flags === SAME_BLOCK_ZERO) {
        const high =
          ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
        const page = high * 0x10_0000 + (low >>> 12);
        if (page >= pageCount) this.#refuseOffset(at);
        if (flags === SAME_BLOCK_PAGE) {
          if (at + 8 + PAGE > end) break;
          sink.onPage(firstPage + page, bytes, at + 8);
          pages++;
          at += 8 + PAGE;
        } else {
          if (at + 9 > end) break;
          if (bytes[at + 8] === 0) {
            sink.onZeroPage(firstPage + page);
            zeroPages++;
          } else {
            this.#fill(firstPage + page, bytes[at + 8]!);
          }
          at += 9;
        }
        continue;
      }
      const next = this.#rareRecord(bytes, at, end, low);
      if (next === NEED_MORE) break;
      at = next;
      if (this.stop !== 'more') break;
      firstPage = this.#firstPage;
      pageCount = this.#pageCount;
    } while (!single);
    this.pages += pages;
    this.zeroPages += zeroPages;
    return at;
  }

  /** A record that names its block, ends the section, or is none of ours. */
  #rareRecord(bytes: Uint8Array, at: number, end: number, low: number): number {
    const flags = low & 0xfff;
    if (flags === FLAG.page || flags === FLAG.zero) return this.#namedRecord(bytes, at, end, low);
    if (flags === FLAG.eos) {
      this.stop = 'eos';
      return at + 8;
    }
    if (flags === FLAG.multifdFlush) {
      this.multifdFlushes++;
      return at + 8;
    }
    const reason = UNREADABLE_FLAGS[flags & ~FLAG.continue];
    if (reason === undefined) {
      throw streamError('STREAM_RAM_RECORD', `flags 0x${flags.toString(16)}`, this.#base + at, 6, { flags });
    }
    this.stop = new Unreadable(reason, `flags 0x${flags.toString(16)}`);
    return at;
  }

  #namedRecord(bytes: Uint8Array, at: number, end: number, low: number): number {
    if (at + 9 > end) return NEED_MORE;
    const body = at + 9 + bytes[at + 8]!;
    const isPage = (low & FLAG.page) !== 0;
    if (body + (isPage ? PAGE : 1) > end) return NEED_MORE;
    const id = latin1(bytes, at + 9, body);
    const index = this.#blockIndexById.get(id);
    if (index === undefined) {
      throw streamError('STREAM_RAM_RECORD', `unknown RAM block "${id}"`, this.#base + at, 6, { block: id });
    }
    const block = this.#layout.blocks[index] as RamBlock;
    this.#lastBlock = index;
    this.#firstPage = block.firstPage;
    this.#pageCount = block.pageCount;
    const page = readBe32(bytes, at) * 0x10_0000 + (low >>> 12);
    if (page >= block.pageCount) this.#refuseOffset(at);
    if (isPage) {
      this.#sink.onPage(block.firstPage + page, bytes, body);
      this.pages++;
      return body + PAGE;
    }
    if (bytes[body] !== 0) this.#fill(block.firstPage + page, bytes[body]!);
    else {
      this.#sink.onZeroPage(block.firstPage + page);
      this.zeroPages++;
    }
    return body + 1;
  }

  #fill(pageIndex: number, value: number): void {
    this.#filled.fill(value);
    this.#sink.onPage(pageIndex, this.#filled, 0);
    this.pages++;
  }

  #refuseOffset(at: number): never {
    const message = this.#lastBlock < 0 ? 'CONTINUE before any block' : 'offset outside the block';
    throw streamError('STREAM_RAM_RECORD', message, this.#base + at, 6);
  }
}
