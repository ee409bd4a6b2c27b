/**
 * Counts what a migration stream holds while it is decoded. Not responsible for reading files or for showing
 * anything.
 */

import {
  COMMAND,
  type Configuration,
  type DeviceSection,
  type PassThrough,
  type RamSetup,
  type SectionHeader,
  type StreamSink,
  type Tail,
} from '../../stream/index.ts';

/** Send counts are allocated as pages come, because a stream may claim terabytes that it never sends. */
const CHUNK_PAGES = 4096;
const COUNTED_PAGES_MAX = 256 * 1024 * 1024;
const COUNT_MAX = 255;
/** Commands and early sections kept by name; a stream of nothing but PINGs must not fill memory. */
const LISTED_MAX = 256;

export interface BlockCounts {
  pages: number;
  zeroPages: number;
}

export class InspectCollector implements StreamSink {
  configuration: Configuration | null = null;
  setup: RamSetup | null = null;
  tail: Tail | null = null;
  passThrough: PassThrough | null = null;
  passedBytes = 0;
  commandCount = 0;
  /** The first ones. */
  readonly commands: { command: number; name: string; payload: string }[] = [];
  readonly earlySections: DeviceSection[] = [];
  readonly ramSections = { start: 0, part: 0, end: 0 };
  readonly blocks: BlockCounts[] = [];
  /** Everything that is neither RAM nor tail nor passed through. */
  setupBytes = 0;
  readonly #counts = new Map<number, Uint8Array>();
  /** False once there were too many pages to count sends of. */
  countsKnown = true;
  #blockIndex = 0;

  onHeader(raw: Uint8Array): void {
    this.setupBytes += raw.length;
  }

  onConfiguration(configuration: Configuration, raw: Uint8Array): void {
    this.configuration = configuration;
    this.setupBytes += raw.length;
  }

  onCommand(command: number, payload: Uint8Array, raw: Uint8Array): void {
    this.commands.push({
      command,
      name: commandName(command),
      payload: Buffer.from(payload).toString('hex'),
    });
    this.setupBytes += raw.length;
  }

  onRamSetup(setup: RamSetup): void {
    this.setup = setup;
    for (let index = 0; index < setup.layout.blocks.length; index++)
      this.blocks.push({ pages: 0, zeroPages: 0 });
  }

  onDirtyBitmaps(raw: Uint8Array): void {
    this.setupBytes += raw.length;
  }

  onEarlySection(section: SectionHeader, raw: Uint8Array): void {
    this.setupBytes += raw.length;
    if (this.earlySections.length < LISTED_MAX) {
      this.earlySections.push({ ...section, sizeBytes: raw.length });
    }
  }

  onPage(pageIndex: number): void {
    this.#block(pageIndex).pages++;
    this.#count(pageIndex);
  }

  onZeroPage(pageIndex: number): void {
    this.#block(pageIndex).zeroPages++;
    this.#count(pageIndex);
  }

  onRamSectionEnd(kind: 'start' | 'part' | 'end'): void {
    this.ramSections[kind]++;
  }

  onTail(tail: Tail): void {
    this.tail = tail;
  }

  onPassThrough(passThrough: PassThrough): void {
    this.passThrough = passThrough;
  }

  onPassThroughBytes(bytes: Uint8Array): void {
    this.passedBytes += bytes.length;
  }

  /**
   * Pages by how often they were sent; index 255 stands for 255 times and more. Null when there were too
   * many.
   */
  sendHistogram(): number[] | null {
    if (!this.countsKnown) return null;
    const histogram: number[] = new Array(COUNT_MAX + 1).fill(0);
    for (const counts of this.#counts.values())
      for (const count of counts) if (count > 0) histogram[count]!++;
    return histogram;
  }

  #block(pageIndex: number): BlockCounts {
    const { blocks } = this.setup!.layout;
    let block = blocks[this.#blockIndex]!;
    if (pageIndex < block.firstPage || pageIndex >= block.firstPage + block.pageCount) {
      this.#blockIndex = blocks.findIndex((other) => pageIndex < other.firstPage + other.pageCount);
      block = blocks[this.#blockIndex]!;
    }
    return this.blocks[this.#blockIndex]!;
  }

  #count(pageIndex: number): void {
    if (!this.countsKnown) return;
    const chunk = Math.floor(pageIndex / CHUNK_PAGES);
    let counts = this.#counts.get(chunk);
    if (counts === undefined) {
      if ((this.#counts.size + 1) * CHUNK_PAGES > COUNTED_PAGES_MAX) {
        this.countsKnown = false;
        this.#counts.clear();
        return;
      }
      counts = new Uint8Array(CHUNK_PAGES);
      this.#counts.set(chunk, counts);
    }
    const at = pageIndex % CHUNK_PAGES;
    if (counts[at]! < COUNT_MAX) counts[at]!++;
  }
}

/** QEMU's own name of a command: OPEN_RETURN_PATH, PING. */
function commandName(command: number): string {
  const found = Object.entries(COMMAND).find(([, number]) => number === command);
  return found ? found[0].replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase() : `command ${command}`;
}
