/**
 * The incremental decoder of QEMU's migration stream: bytes in any chunking in, calls of a StreamSink out.
 * Format and section numbers: docs/format/qemu-stream.md. Not responsible for sockets, for storing pages,
 * or for deciding anything.
 *
 * The hot loop is in ram-records.ts; everything here is cold and written for reading.
 */

import { assert } from '../base/index.ts';
import { DIRTY_BITMAPS, skipDirtyBitmaps } from './dirty-bitmaps.ts';
import { ElementReader, NEED_MORE } from './element-reader.ts';
import { streamError } from './errors.ts';
import { RamRecords } from './ram-records.ts';
import { PLAIN_COMMANDS, REFUSED_CAPABILITIES } from './refused.ts';
import {
  parseBlockList,
  parseConfiguration,
  parseSectionHeader,
  skipEarlySection,
  Unreadable,
} from './setup.ts';
import { TailCollector } from './tail.ts';
import {
  type DecoderFacts,
  type DecoderOptions,
  type DecoderPhase,
  type PassThroughReason,
  type RamSectionKind,
  STREAM_LIMITS,
  type StreamEnd,
  type StreamLimits,
  type StreamSink,
} from './types.ts';
import {
  COMMAND,
  Cursor,
  FOOTER_BYTES,
  MAGIC,
  RAM_RECORD_BYTES_MAX,
  readBe32,
  TAG,
  VERSION,
} from './wire.ts';

export class StreamDecoder {
  readonly #sink: StreamSink;
  readonly #limits: StreamLimits;
  readonly #elements: ElementReader;
  #phase: DecoderPhase = 'header';
  #failed = false;

  /** Null until RAM's START was read. */
  #ram: RamRecords | null = null;
  #ramSectionId = -1;
  #bitmapsSectionId = -1;
  #bitmapsVersion = 0;
  #footers = false;
  #section: RamSectionKind = 'start';
  #earlySections = 0;
  #tail: TailCollector | null = null;
  #passThroughReason: PassThroughReason | null = null;
  #ramSections = 0;

  constructor(options: DecoderOptions, sink: StreamSink) {
    this.#sink = sink;
    this.#limits = { ...STREAM_LIMITS, ...options.limits };
    this.#elements = new ElementReader(this.#limits.setupBytes + RAM_RECORD_BYTES_MAX, {
      step: (bytes, at, end, single) => this.#step(bytes, at, end, single),
      elementBytesMax: () => (this.#phase === 'records' ? RAM_RECORD_BYTES_MAX : null),
    });
    if (options.capabilities === 'unknown') return;
    for (const [capability, reason] of REFUSED_CAPABILITIES) {
      if (options.capabilities.has(capability)) {
        this.#passThrough(0, reason, `capability ${capability}`);
        return;
      }
    }
  }

  get facts(): DecoderFacts {
    return {
      phase: this.#phase,
      bytesDecoded: this.#elements.bytesRead,
      bytesWritten: this.#elements.bytesWritten,
      pages: this.#ram?.pages ?? 0,
      zeroPages: this.#ram?.zeroPages ?? 0,
      ramSections: this.#ramSections,
      multifdFlushes: this.#ram?.multifdFlushes ?? 0,
      tailBytes: this.#tail?.sizeBytes ?? 0,
    };
  }

  /** Decodes as far as the bytes go; `chunk` is not kept. Errors: STREAM_*; the decoder is then unusable. */
  write(chunk: Uint8Array): void {
    assert(!this.#failed, 'a failed decoder is not written to');
    this.#failed = true;
    this.#elements.write(chunk);
    this.#failed = false;
  }

  /** Says whether the stream is whole; to be called when the input has ended. */
  end(): StreamEnd {
    if (this.#phase === 'end') return { complete: true, reason: null };
    if (this.#phase === 'pass-through') {
      return { complete: null, reason: `not decoded: ${this.#passThroughReason}` };
    }
    const unproven = this.#phase === 'tail' ? this.#tail!.unproven() : null;
    if (unproven) {
      this.#phase = 'end';
      this.#sink.onTail(unproven);
      return { complete: true, reason: null };
    }
    const tail = this.#phase === 'tail' ? this.#tail!.endsWithoutDescription() : false;
    if (tail === true) return { complete: true, reason: null };
    if (tail === null) return { complete: null, reason: 'neither footers nor a description show the end' };
    const where = this.#phase === 'tail' ? 'device state' : this.#ramSectionId < 0 ? 'setup' : 'RAM';
    return { complete: false, reason: `ends inside ${where}, after ${this.#elements.bytesWritten} bytes` };
  }

  /** See ElementSteps. */
  #step(bytes: Uint8Array, at: number, end: number, single: boolean): number {
    switch (this.#phase) {
      case 'records':
        return this.#records(bytes, at, end, single);
      case 'header':
        return this.#header(bytes, at, end);
      case 'configuration':
        return this.#configuration(bytes, at, end);
      case 'sections':
        return this.#sectionOrCommand(bytes, at, end);
      case 'footer':
        return this.#footer(bytes, at, end);
      case 'tail':
        return this.#collectTail(bytes, at, end);
      case 'end':
        throw streamError('STREAM_AFTER_END', `${end - at} bytes after the end`, this.#elements.base + at, 8);
      case 'pass-through':
        this.#sink.onPassThroughBytes(bytes.subarray(at, end));
        return end;
    }
  }

  /**
   * Section 6. With `single` after one record: the rest of the buffer is a copy of bytes still to
   * be read in place.
   */
  #records(bytes: Uint8Array, start: number, end: number, single: boolean): number {
    const ram = this.#ram!;
    const at = ram.decode(bytes, start, end, single, this.#elements.base);
    if (ram.stop === 'more') return at === start ? NEED_MORE : at;
    if (ram.stop === 'eos') {
      if (this.#footers) this.#phase = 'footer';
      else this.#endRamSection(at);
      return at;
    }
    return this.#passThrough(at, ram.stop.reason, ram.stop.detail);
  }

  /** Section 7. */
  #footer(bytes: Uint8Array, at: number, end: number): number {
    if (at + FOOTER_BYTES > end) return NEED_MORE;
    this.#checkFooter(bytes, at, this.#ramSectionId);
    this.#endRamSection(at + FOOTER_BYTES);
    return at + FOOTER_BYTES;
  }

  #checkFooter(bytes: Uint8Array, at: number, sectionId: number): void {
    if (bytes[at] === TAG.footer && readBe32(bytes, at + 1) === sectionId) return;
    throw streamError('STREAM_FOOTER', `no footer of section ${sectionId}`, this.#elements.base + at, 7);
  }

  /** records or footer -> sections, or -> tail after RAM's END. */
  #endRamSection(at: number): void {
    this.#ramSections++;
    if (this.#section === 'end') {
      this.#tail = new TailCollector(
        this.#limits,
        this.#elements.base + at,
        this.#footers,
        this.#earlySections,
      );
      this.#phase = 'tail';
    } else {
      this.#phase = 'sections';
    }
    this.#sink.onRamSectionEnd(this.#section);
  }

  /** Section 8. tail -> end. Returns the offset behind the end, for the next step to refuse what follows. */
  #collectTail(bytes: Uint8Array, at: number, end: number): number {
    const collector = this.#tail!;
    // QEMU ends its iterating sections in the order in which they were registered: bitmaps after RAM, too.
    if (collector.sizeBytes === 0 && this.#bitmapsSectionId >= 0 && bytes[at] === TAG.end) {
      if (at + 5 > end) return NEED_MORE;
      const sectionId = readBe32(bytes, at + 1);
      if (sectionId === this.#bitmapsSectionId) {
        return this.#bitmaps(new Cursor(bytes, at + 5, end), at, end, sectionId);
      }
    }
    const tail = collector.append(bytes.subarray(at, end));
    if (tail === null) return end;
    this.#phase = 'end';
    this.#sink.onTail(tail);
    return end - (collector.sizeBytes - tail.devices.length - tail.end.length);
  }

  /** Section 2. */
  #header(bytes: Uint8Array, at: number, end: number): number {
    if (bytes[at] === 0x16) return this.#passThrough(at, 'tls', 'TLS record');
    if (at + 4 > end) return NEED_MORE;
    const magic = readBe32(bytes, at);
    if (magic === 0x11223344) return this.#passThrough(at, 'multifd', 'multifd connection');
    if (magic !== MAGIC)
      throw streamError('STREAM_MAGIC', 'not a QEMU migration stream', this.#elements.base + at, 2);
    if (at + 8 > end) return NEED_MORE;
    const version = readBe32(bytes, at + 4);
    if (version !== VERSION)
      throw streamError('STREAM_VERSION', `version ${version}`, this.#elements.base + at, 2, { version });
    this.#phase = 'configuration';
    this.#sink.onHeader(bytes.slice(at, at + 8));
    return at + 8;
  }

  /** Section 3: the end shows only with the byte after it. configuration -> sections. */
  #configuration(bytes: Uint8Array, at: number, end: number): number {
    if (bytes[at] !== TAG.configuration) {
      this.#phase = 'sections';
      return at;
    }
    const cursor = new Cursor(bytes, at + 1, end);
    const configuration = parseConfiguration(cursor, this.#elements.base + at);
    if (configuration instanceof Unreadable) {
      return this.#passThrough(at, configuration.reason, configuration.detail);
    }
    if (cursor.short || cursor.peek() < 0) return this.#needMore(at, end);
    if (configuration.capabilities?.includes('mapped-ram'))
      return this.#passThrough(at, 'mapped-ram', 'configuration');
    this.#phase = 'sections';
    this.#sink.onConfiguration(configuration, bytes.slice(at, cursor.at));
    return cursor.at;
  }

  #sectionOrCommand(bytes: Uint8Array, at: number, end: number): number {
    switch (bytes[at]) {
      case TAG.command:
        return this.#command(bytes, at, end);
      case TAG.start:
      case TAG.full:
        return this.#setupSection(bytes, at, end);
      case TAG.part:
      case TAG.end:
        return this.#ramSection(bytes, at, end);
      default:
        throw streamError('STREAM_SECTION', `tag 0x${bytes[at]!.toString(16)}`, this.#elements.base + at, 1);
    }
  }

  /** Section 4. */
  #command(bytes: Uint8Array, at: number, end: number): number {
    const cursor = new Cursor(bytes, at + 1, end);
    const command = cursor.be16();
    const payloadBytes = cursor.be16();
    if (cursor.short) return NEED_MORE;
    if (!PLAIN_COMMANDS.has(command)) {
      const known = command >= COMMAND.postcopyListen && command <= COMMAND.receivedBitmap;
      const reason = command === COMMAND.enableColo ? 'colo' : known ? 'postcopy' : 'command';
      return this.#passThrough(at, reason, `command ${command}`);
    }
    cursor.skip(payloadBytes);
    if (cursor.short) return NEED_MORE;
    const raw = bytes.slice(at, cursor.at);
    this.#sink.onCommand(command, raw.subarray(5), raw);
    return cursor.at;
  }

  /** Section 5: RAM's START, an early FULL section, or the START of something we cannot delimit. */
  #setupSection(bytes: Uint8Array, at: number, end: number): number {
    const cursor = new Cursor(bytes, at + 1, end);
    const header = parseSectionHeader(cursor);
    if (cursor.short) return NEED_MORE;
    if (bytes[at] === TAG.full) {
      const unreadable = skipEarlySection(cursor, header, this.#limits);
      if (unreadable) return this.#passThrough(at, unreadable.reason, unreadable.detail);
      if (!this.#sectionFooter(cursor, header.sectionId)) return this.#needMore(at, end);
      this.#earlySections++;
      this.#sink.onEarlySection(header, bytes.slice(at, cursor.at));
      return cursor.at;
    }
    if (header.name === DIRTY_BITMAPS) {
      this.#bitmapsSectionId = header.sectionId;
      this.#bitmapsVersion = header.version;
      return this.#bitmaps(cursor, at, end, header.sectionId);
    }
    if (header.name !== 'ram') return this.#passThrough(at, 'iterable', header.name);
    if (this.#ram) throw streamError('STREAM_SECTION', 'RAM starts twice', this.#elements.base + at, 5);
    if (header.version !== 4) return this.#passThrough(at, 'ram-version', `version ${header.version}`);
    const list = parseBlockList(cursor, this.#limits, this.#elements.base + at);
    if (list instanceof Unreadable) return this.#passThrough(at, list.reason, list.detail);
    if (list === null) return this.#needMore(at, end);
    const footers = cursor.peek() === TAG.footer;
    if (!this.#sectionFooter(cursor, header.sectionId)) return this.#needMore(at, end);
    this.#ram = new RamRecords(this.#sink, list.layout);
    this.#ramSectionId = header.sectionId;
    this.#footers = footers;
    const { sectionId, instance, version } = header;
    const setup = { sectionId, instance, version, layout: list.layout, blockExtras: list.extras, footers };
    this.#sink.onRamSetup(setup, bytes.slice(at, cursor.at));
    this.#section = 'start';
    this.#endRamSection(cursor.at);
    return cursor.at;
  }

  /**
   * Section 5: START, PART and END of dirty bitmaps, each handed on whole. The cursor stands
   * behind the section header.
   */
  #bitmaps(cursor: Cursor, at: number, end: number, sectionId: number): number {
    const unreadable = skipDirtyBitmaps(cursor, this.#bitmapsVersion);
    if (unreadable) return this.#passThrough(at, unreadable.reason, unreadable.detail);
    if (cursor.short || !this.#sectionFooter(cursor, sectionId)) return this.#needMore(at, end);
    this.#sink.onDirtyBitmaps(cursor.bytes.slice(at, cursor.at));
    return cursor.at;
  }

  /**
   * Section 7, for setup sections: moves behind the footer if there is one; false when the bytes
   * do not tell yet.
   */
  #sectionFooter(cursor: Cursor, sectionId: number): boolean {
    const next = cursor.peek();
    if (next < 0) return false;
    const mustBe = this.#ram !== null && this.#footers;
    if (next !== TAG.footer && !mustBe) return true;
    const at = cursor.at;
    cursor.skip(FOOTER_BYTES);
    if (cursor.short) return false;
    this.#checkFooter(cursor.bytes, at, sectionId);
    return true;
  }

  /** Section 6. sections -> records. */
  #ramSection(bytes: Uint8Array, at: number, end: number): number {
    if (at + 5 > end) return NEED_MORE;
    const sectionId = readBe32(bytes, at + 1);
    if (sectionId === this.#bitmapsSectionId) {
      return this.#bitmaps(new Cursor(bytes, at + 5, end), at, end, sectionId);
    }
    if (sectionId !== this.#ramSectionId) {
      throw streamError(
        'STREAM_SECTION',
        `section ${sectionId} was never started`,
        this.#elements.base + at,
        6,
        {
          sectionId,
        },
      );
    }
    this.#section = bytes[at] === TAG.part ? 'part' : 'end';
    this.#phase = 'records';
    return at + 5;
  }

  #needMore(at: number, end: number): number {
    if (end - at > this.#limits.setupBytes) {
      throw streamError(
        'STREAM_LIMIT',
        `setup of more than ${this.#limits.setupBytes} bytes`,
        this.#elements.base + at,
        11,
      );
    }
    return NEED_MORE;
  }

  /** Section 9. any -> pass-through. */
  #passThrough(at: number, reason: PassThroughReason, detail: string): number {
    const open = this.#phase === 'records' && this.#section !== 'start' ? this.#section : null;
    this.#phase = 'pass-through';
    this.#passThroughReason = reason;
    this.#sink.onPassThrough({
      reason,
      detail,
      streamOffset: this.#elements.base + at,
      openRamSection: open,
      lastBlock: this.#ram?.lastBlock ?? null,
    });
    return at;
  }
}
