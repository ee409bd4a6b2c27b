/**
 * Collects what follows RAM's END and finds QEMU's end-of-file in it (docs/format/qemu-stream.md, section 8).
 * Not responsible for the meaning of device state.
 */

import { describedDevices, splitDevices } from './devices.ts';
import { streamError } from './errors.ts';
import type { StreamLimits, Tail } from './types.ts';
import { FOOTER_BYTES, readBe32, TAG } from './wire.ts';

const END_MARK = Buffer.from([TAG.eof, TAG.description]);
/** EOF, tag and length before the text. */
const END_HEADER_BYTES = 6;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

export class TailCollector {
  readonly #limits: StreamLimits;
  readonly #streamOffset: number;
  readonly #footers: boolean;
  readonly #earlySections: number;
  #bytes = Buffer.alloc(64 * 1024);
  #length = 0;
  /** Next position where an end could begin. */
  #scanned = 0;
  /** Where the text of each candidate would end, and the latest candidate that would end there. */
  readonly #startByEnd = new Map<number, number>();
  #unproven: Tail | null = null;

  constructor(limits: StreamLimits, streamOffset: number, footers: boolean, earlySections: number) {
    this.#limits = limits;
    this.#streamOffset = streamOffset;
    this.#footers = footers;
    this.#earlySections = earlySections;
  }

  get sizeBytes(): number {
    return this.#length;
  }

  /** The tail, if its end is proven. It is the decoder's to refuse bytes behind it. */
  append(chunk: Uint8Array): Tail | null {
    this.#grow(chunk.length);
    this.#bytes.set(chunk, this.#length);
    this.#length += chunk.length;
    this.#scan();
    for (const [end, start] of this.#startByEnd) {
      if (end > this.#length) continue;
      this.#startByEnd.delete(end);
      const tail = this.#accept(start, end);
      if (tail === null) continue;
      if (tail.sections !== null) return tail;
      if (end === this.#length) this.#unproven = tail;
    }
    return null;
  }

  /**
   * Once the input has ended: a tail whose description does not match its sections, ending with the input.
   */
  unproven(): Tail | null {
    const tail = this.#unproven;
    return tail && tail.devices.length + tail.end.length === this.#length ? tail : null;
  }

  /**
   * Section 8, last paragraph: whether the input that ends here is whole although no description was found.
   */
  endsWithoutDescription(): boolean | null {
    const last = this.#length - 1;
    if (last < 0 || this.#bytes[last] !== TAG.eof) return false;
    if (!this.#footers) return null;
    // A footer of a section that began here, so that device bytes which merely look like one are
    // not taken for it.
    const footer = last - FOOTER_BYTES;
    if (footer < 0 || this.#bytes[footer] !== TAG.footer) return false;
    const header = Buffer.from([TAG.full, ...this.#bytes.subarray(footer + 1, last)]);
    for (
      let at = this.#bytes.indexOf(header);
      at >= 0 && at < footer;
      at = this.#bytes.indexOf(header, at + 1)
    ) {
      if (at === 0 || this.#bytes[at - FOOTER_BYTES] === TAG.footer) return true;
    }
    return false;
  }

  #grow(by: number): void {
    const needed = this.#length + by;
    if (needed > this.#limits.tailBytes) {
      throw streamError(
        'STREAM_LIMIT',
        `more than ${this.#limits.tailBytes} bytes of device state`,
        this.#streamOffset,
        11,
      );
    }
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.alloc(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }

  #scan(): void {
    const bytes = this.#bytes.subarray(0, this.#length);
    for (;;) {
      const start = bytes.indexOf(END_MARK, this.#scanned);
      if (start < 0) {
        this.#scanned = Math.max(this.#scanned, this.#length - 1);
        return;
      }
      this.#scanned = start;
      if (start + END_HEADER_BYTES >= this.#length) return;
      this.#scanned = start + 1;
      if (bytes[start + END_HEADER_BYTES] !== OPEN_BRACE || !this.#followsFooter(start)) continue;
      const textBytes = readBe32(bytes, start + 2);
      if (textBytes < 2 || textBytes > this.#limits.descriptionBytes) continue;
      const end = start + END_HEADER_BYTES + textBytes;
      this.#startByEnd.set(end, start);
      if (this.#startByEnd.size > this.#limits.tailCandidates) {
        throw streamError('STREAM_LIMIT', 'device state full of false ends', this.#streamOffset, 11);
      }
    }
  }

  #followsFooter(start: number): boolean {
    return !this.#footers || start === 0 || this.#bytes[start - FOOTER_BYTES] === TAG.footer;
  }

  #accept(start: number, end: number): Tail | null {
    const text = this.#bytes.subarray(start + END_HEADER_BYTES, end);
    // A false candidate costs one look at its last byte, seldom more; a text that holds a 0 byte is not JSON.
    if (text[text.length - 1] !== CLOSE_BRACE || text.includes(0)) return null;
    const described = describedDevices(text);
    if (described === null) return null;
    const devices = this.#bytes.subarray(0, start);
    const sections = splitDevices(devices, described, this.#footers, this.#earlySections);
    return { devices, end: this.#bytes.subarray(start, end), sections };
  }
}
