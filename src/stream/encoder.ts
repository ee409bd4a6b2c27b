/**
 * Writes QEMU's migration stream into buffers of the caller: RAM sections of our own records, and commands.
 * Everything else of a stream is forwarded as the decoder handed it over. Not responsible for choosing pages
 * or for sending buffers.
 *
 * Methods take (out, at) and return the offset behind what they wrote. `out` must have room:
 * RAM_RECORD_BYTES_MAX for a record, SECTION_BYTES_MAX for an opening or a closing.
 */

import { assert } from '../base/index.ts';
import { PAGE_SIZE_BYTES, type RamLayout } from '../vm/index.ts';
import { COMMAND, FLAG, FOOTER_BYTES, latin1Bytes, RAM_RECORD_BYTES_MAX, TAG, writeBe32 } from './wire.ts';

/** Most that openSection or closeSection writes. */
export const SECTION_BYTES_MAX = 8 + FOOTER_BYTES;
const XBZRLE_ENCODING = 1;
const XBZRLE_HEADER_BYTES = 3;

export interface EncoderOptions {
  readonly layout: RamLayout;
  readonly sectionId: number;
  readonly footers: boolean;
}

export class StreamEncoder {
  readonly #layout: RamLayout;
  readonly #sectionId: number;
  readonly #footers: boolean;
  /** str8 of each block id. */
  readonly #names: readonly Uint8Array[];
  /** The loader's "last block" (section 6), as a range of pages; nothing before the first record. */
  #block = -1;
  #firstPage = 0;
  #endPage = 0;
  #open = false;

  constructor(options: EncoderOptions) {
    this.#layout = options.layout;
    this.#sectionId = options.sectionId;
    this.#footers = options.footers;
    this.#names = options.layout.blocks.map(({ id }) => Uint8Array.of(id.length, ...latin1Bytes(id)));
  }

  /** Index of the block that a CONTINUE would refer to now, or null. */
  get lastBlock(): number | null {
    return this.#block < 0 ? null : this.#block;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  openSection(out: Uint8Array, at: number, kind: 'part' | 'end'): number {
    assert(!this.#open, 'one RAM section at a time');
    this.#open = true;
    out[at] = kind === 'part' ? TAG.part : TAG.end;
    writeBe32(out, at + 1, this.#sectionId);
    return at + 5;
  }

  /** EOS, and the footer where the source writes footers. */
  closeSection(out: Uint8Array, at: number): number {
    assert(this.#open, 'a RAM section is open');
    this.#open = false;
    writeBe32(out, at, 0);
    writeBe32(out, at + 4, FLAG.eos);
    if (!this.#footers) return at + 8;
    out[at + 8] = TAG.footer;
    writeBe32(out, at + 9, this.#sectionId);
    return at + 8 + FOOTER_BYTES;
  }

  /** A page record; the 4,096 bytes at source[sourceOffset] are copied. */
  page(out: Uint8Array, at: number, pageIndex: number, source: Uint8Array, sourceOffset: number): number {
    const body = this.pageHeader(out, at, pageIndex);
    copyPage(source, sourceOffset, out, body);
    return body + PAGE_SIZE_BYTES;
  }

  /** What precedes a page's bytes, for gather-writing: the caller sends 4,096 bytes behind it. */
  pageHeader(out: Uint8Array, at: number, pageIndex: number): number {
    return this.#record(out, at, pageIndex, FLAG.page);
  }

  zeroPage(out: Uint8Array, at: number, pageIndex: number): number {
    const body = this.#record(out, at, pageIndex, FLAG.zero);
    out[body] = 0;
    return body + 1;
  }

  /**
   * XBZRLE, `source[from, to)`: what changed in a page that the loader has (section 6). Where nothing
   * did, nothing is written.
   */
  pageDelta(
    out: Uint8Array,
    at: number,
    pageIndex: number,
    source: Uint8Array,
    from: number,
    to: number,
  ): number {
    const sizeBytes = to - from;
    assert(sizeBytes <= PAGE_SIZE_BYTES - XBZRLE_HEADER_BYTES, 'a delta is shorter than its page');
    if (sizeBytes === 0) return at;
    const header = this.#record(out, at, pageIndex, FLAG.xbzrle);
    out[header] = XBZRLE_ENCODING;
    out[header + 1] = sizeBytes >>> 8;
    out[header + 2] = sizeBytes;
    const body = header + XBZRLE_HEADER_BYTES;
    // Most are a few bytes, for which a view costs more than the bytes.
    for (let byte = 0; byte < sizeBytes; byte++) out[body + byte] = source[from + byte]!;
    return body + sizeBytes;
  }

  #record(out: Uint8Array, at: number, pageIndex: number, flag: number): number {
    assert(
      this.#open && at + RAM_RECORD_BYTES_MAX <= out.length,
      'a RAM section is open and the record has room',
    );
    const sameBlock = pageIndex >= this.#firstPage && pageIndex < this.#endPage;
    if (!sameBlock) this.#switchBlock(pageIndex);
    const page = pageIndex - this.#firstPage;
    // offset = page * 4096 as two u32: page / 2^20 above, its low 20 bits shifted below.
    const high = Math.floor(page / 0x10_0000);
    const low = ((page << 12) | flag | (sameBlock ? FLAG.continue : 0)) >>> 0;
    out[at] = high >>> 24;
    out[at + 1] = high >>> 16;
    out[at + 2] = high >>> 8;
    out[at + 3] = high;
    out[at + 4] = low >>> 24;
    out[at + 5] = low >>> 16;
    out[at + 6] = low >>> 8;
    out[at + 7] = low;
    if (sameBlock) return at + 8;
    const name = this.#names[this.#block]!;
    out.set(name, at + 8);
    return at + 8 + name.length;
  }

  #switchBlock(pageIndex: number): void {
    const { blocks } = this.#layout;
    let low = 0;
    let high = blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (blocks[middle]!.firstPage <= pageIndex) low = middle;
      else high = middle - 1;
    }
    const block = blocks[low]!;
    assert(
      pageIndex >= block.firstPage && pageIndex < block.firstPage + block.pageCount,
      'the page is in the layout',
    );
    this.#block = low;
    this.#firstPage = block.firstPage;
    this.#endPage = block.firstPage + block.pageCount;
  }
}

/** COMMAND PING: QEMU answers PONG with the same nonce once all before it is loaded. */
export function encodePing(nonce: number): Uint8Array {
  const bytes = Uint8Array.of(TAG.command, 0, COMMAND.ping, 0, 4, 0, 0, 0, 0);
  writeBe32(bytes, 5, nonce);
  return bytes;
}

function copyPage(source: Uint8Array, from: number, out: Uint8Array, at: number): void {
  out.set(source.subarray(from, from + PAGE_SIZE_BYTES), at);
}
