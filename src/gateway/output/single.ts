/**
 * The single arrangement's output: pages go from the store straight into the destination QEMU; nothing is
 * installed on the far side. Not responsible for which page goes: the source gateway asks the store.
 */

import type { Socket } from 'node:net';
import { chunkOfSlot, offsetOfSlot, type PageStore } from '../../pages/index.ts';
import { RAM_RECORD_BYTES_MAX, type RamSetup } from '../../stream/index.ts';
import { type FeedOptions, QemuFeed } from './feed.ts';
import type { OutputEvents, OutputFacts, PageOutput, StateTail } from './types.ts';

const BATCH_PAGES_MAX = 256;
/** Batches are not cut smaller than this for lack of room: each costs a PING and two system calls. */
const BATCH_PAGES_MIN = 32;

export class SingleOutput implements PageOutput {
  readonly keepsReferences = false;
  readonly #feed: QemuFeed;

  constructor(options: FeedOptions, events: OutputEvents) {
    this.#feed = new QemuFeed(options, events);
  }

  connect(signal: AbortSignal): Promise<void> {
    return this.#feed.connect(signal);
  }

  get facts(): OutputFacts {
    return this.#feed.meter;
  }

  forward(raw: Uint8Array): void {
    this.#feed.forward(raw);
  }

  open(setup: RamSetup): void {
    this.#feed.open(setup);
  }

  roomPages(): number {
    if (!this.#feed.isOpen || this.#feed.isFull) return 0;
    const { windowBytes, inFlightBytes } = this.#feed.meter;
    const roomPages = Math.floor((windowBytes - inFlightBytes) / RAM_RECORD_BYTES_MAX);
    return roomPages < BATCH_PAGES_MIN ? 0 : Math.min(BATCH_PAGES_MAX, roomPages);
  }

  sendPages(pages: Uint32Array, count: number, store: PageStore): void {
    this.#feed.beginBatch();
    for (let at = 0; at < count; at++) {
      const page = pages[at]!;
      const slot = store.slotOf(page);
      if (slot < 0) this.#feed.zero(page);
      else {
        this.#feed.page(page, store.chunk(chunkOfSlot(slot)), offsetOfSlot(slot));
        store.release(page);
      }
    }
    this.#feed.endBatch();
  }

  starved(): void {
    this.#feed.meter.starved();
  }

  complete(tail: StateTail): Promise<void> {
    return this.#feed.complete(tail);
  }

  passOn(source: Socket, first: readonly Uint8Array[]): void {
    this.#feed.passOn(source, first);
  }

  close(): void {
    this.#feed.close();
  }
}
