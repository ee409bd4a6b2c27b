/**
 * A sink that writes each record as a line, in the words of naive.ts, and keeps the memory
 * the records leave behind.
 */

import { crc32 } from 'node:zlib';
import {
  type Configuration,
  type PassThrough,
  type RamSectionKind,
  type RamSetup,
  type SectionHeader,
  StreamDecoder,
  type StreamSink,
  type Tail,
} from '../../src/stream/index.ts';
import { PAGE_SIZE_BYTES } from '../../src/vm/index.ts';

export class Recorder implements StreamSink {
  readonly events: string[] = [];
  setup: RamSetup | null = null;
  tail: Tail | null = null;
  /** Content of every page that was sent; null for a zero page. */
  readonly memory = new Map<number, Buffer | null>();
  /** Raw bytes of all elements but RAM records, in order. */
  readonly raw: Buffer[] = [];
  #passed: Buffer[] = [];

  onHeader(raw: Uint8Array): void {
    this.raw.push(Buffer.from(raw));
    this.events.push('header');
  }
  onConfiguration(configuration: Configuration, raw: Uint8Array): void {
    this.raw.push(Buffer.from(raw));
    const { machine, capabilities, targetPageBits, uuid } = configuration;
    const facts = [
      ...(targetPageBits === null ? [] : [`bits ${targetPageBits}`]),
      ...(capabilities === null ? [] : [capabilities.join('+')]),
      ...(uuid === null ? [] : [`uuid ${uuid}`]),
    ];
    this.events.push(['configuration', machine, ...facts].join(' '));
  }
  onCommand(command: number, payload: Uint8Array, raw: Uint8Array): void {
    this.raw.push(Buffer.from(raw));
    this.events.push(`command ${command} ${Buffer.from(payload).toString('hex')}`);
  }
  onRamSetup(setup: RamSetup, raw: Uint8Array): void {
    this.raw.push(Buffer.from(raw));
    this.setup = setup;
    const blocks = setup.layout.blocks.map(({ id, pageCount }) => `${id}=${pageCount}`).join(' ');
    this.events.push(`ram ${setup.sectionId} ${setup.footers} ${blocks}`);
  }
  onEarlySection(section: SectionHeader, raw: Uint8Array): void {
    this.raw.push(Buffer.from(raw));
    this.events.push(`early ${section.name}`);
  }
  onDirtyBitmaps(raw: Uint8Array): void {
    this.raw.push(Buffer.from(raw));
    this.events.push(`bitmaps ${raw.length}`);
  }
  onPage(pageIndex: number, buffer: Uint8Array, offset: number): void {
    const page = Buffer.from(buffer.subarray(offset, offset + PAGE_SIZE_BYTES));
    this.memory.set(pageIndex, page);
    this.events.push(`page ${pageIndex} ${crc32(page)}`);
  }
  onZeroPage(pageIndex: number): void {
    this.memory.set(pageIndex, null);
    this.events.push(`zero ${pageIndex}`);
  }
  onRamSectionEnd(kind: RamSectionKind): void {
    this.events.push(kind);
  }
  onTail(tail: Tail): void {
    this.tail = tail;
    this.events.push(`tail ${tail.devices.length} ${tail.end.length} ${tail.sections?.length ?? 'unknown'}`);
  }
  onPassThrough({ reason, streamOffset }: PassThrough): void {
    this.events.push(`pass-through ${reason} ${streamOffset}`);
  }
  onPassThroughBytes(bytes: Uint8Array): void {
    this.#passed.push(Buffer.from(bytes));
  }

  /** The lines, with what was passed through as one. */
  lines(): string[] {
    return this.#passed.length === 0
      ? this.events
      : [...this.events, `bytes ${crc32(Buffer.concat(this.#passed))}`];
  }
}

/**
 * Cuts `bytes` into the given sizes, cyclically. Every chunk is overwritten after use: a decoder
 * must not keep it.
 */
export function decodeInChunks(
  bytes: Uint8Array,
  chunkBytes: readonly number[],
  recorder = new Recorder(),
  capabilities: ReadonlySet<string> | 'unknown' = 'unknown',
): { recorder: Recorder; decoder: StreamDecoder } {
  const decoder = new StreamDecoder({ capabilities }, recorder);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = Math.max(1, chunkBytes[turn % chunkBytes.length]!);
    const chunk = Buffer.from(bytes.subarray(at, at + size));
    decoder.write(chunk);
    chunk.fill(0xee);
    at += size;
  }
  return { recorder, decoder };
}
