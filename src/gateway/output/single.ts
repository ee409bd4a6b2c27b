/**
 * The single arrangement's output: pages go from the store straight into the destination QEMU; nothing is
 * installed on the far side. A page that QEMU has goes as what changed in it, a mostly empty one as zeros and
 * what is set in it: QEMU applies XBZRLE without being asked (docs/format/qemu-stream.md, 6). Not responsible
 * for which page goes: the source gateway asks the store.
 */

import type { Socket } from 'node:net';
import { chunkOfSlot, offsetOfSlot, PageDeltas, type PageStore, SLOTS_PER_CHUNK } from '../../pages/index.ts';
import type { RamSetup } from '../../stream/index.ts';
import { PAGE_SIZE_BYTES, ZERO_PAGE_BYTES } from '../../vm/index.ts';
import { type FeedOptions, QemuFeed } from './feed.ts';
import { LinkRate } from './link-rate.ts';
import { LoadedPages } from './loaded-pages.ts';
import { PageCost } from './page-cost.ts';
import { PageWindow } from './page-window.ts';
import type { OutputEvents, OutputFacts, PageOutput, StateTail } from './types.ts';

const BATCH_PAGES_MAX = 256;
/** Batches are not cut smaller than this for lack of room: each costs a PING and two system calls. */
const BATCH_PAGES_MIN = 32;
/** be64 before a page's bytes; the same with XBZRLE's own three bytes before a delta. */
const WHOLE_RECORD_BYTES = 8;
const DELTA_RECORD_BYTES = 11;

export interface SingleOutputOptions extends FeedOptions {
  /** False: no deltas against what was sent. */
  readonly keepsReferences: boolean;
}

export class SingleOutput implements PageOutput {
  readonly keepsReferences: boolean;
  readonly #options: SingleOutputOptions;
  readonly #feed: QemuFeed;
  readonly #deltas = new PageDeltas(SLOTS_PER_CHUNK);
  readonly #loaded = new LoadedPages();
  readonly #window = new PageWindow();
  /** Where deltas leave the link idle, no stretch is long enough for the feed's own meter. */
  readonly #rateLeast = new LinkRate();
  readonly #cost = new PageCost();
  /** Of the batch being written, as BatchCost. */
  readonly #batch = { wholePages: 0, wholeBytes: 0, deltaPages: 0, deltaBytes: 0 };

  constructor(options: SingleOutputOptions, events: OutputEvents) {
    this.#options = options;
    this.keepsReferences = options.keepsReferences;
    this.#feed = new QemuFeed(options, {
      onRoom: () => events.onRoom(),
      onReturnPath: (message, raw) => events.onReturnPath(message, raw),
      onError: (error) => events.onError(error),
      onLoaded: () => this.#window.noteApplied(options.clock.nowMs(), this.#loaded.noteLoaded()),
    });
  }

  connect(signal: AbortSignal): Promise<void> {
    return this.#feed.connect(signal);
  }

  onChunk(chunk: number, memory: SharedArrayBuffer): void {
    this.#deltas.onChunk(chunk, memory);
  }

  get facts(): OutputFacts {
    const { sentBytes, deliveredBytes, bandwidthBytesPerSecond, roundTripMs } = this.#feed.meter;
    const { handedOver } = this.#loaded;
    const { wholeBytes, deltaBytes } = this.#cost;
    return {
      sentBytes,
      deliveredBytes,
      bandwidthBytesPerSecond: bandwidthBytesPerSecond ?? this.#rateLeast.bytesPerSecond,
      roundTripMs,
      wholePageBytes: wholeBytes,
      unloadedPages: this.#window.unloadedPages(handedOver) ?? 0,
      deltaPageBytes: deltaBytes,
      deltaRecordBytes: DELTA_RECORD_BYTES,
      // As long as pages go whole, QEMU is seen to load what the link carries.
      appliedPagesPerSecond: deltaBytes === null ? null : this.#window.appliedPagesPerSecondMax,
    };
  }

  forward(raw: Uint8Array): void {
    this.#feed.forward(raw);
  }

  open(setup: RamSetup): void {
    this.#feed.open(setup);
    this.#loaded.handOver(0);
  }

  measure(): void {
    const { deliveredBytes, inFlightBytes } = this.#feed.meter;
    this.#rateLeast.observe(this.#options.clock.nowMs(), deliveredBytes, inFlightBytes);
  }

  roomPages(): number {
    if (!this.#feed.isOpen || this.#feed.isFull) return 0;
    const { windowBytes, inFlightBytes, roundTripMs } = this.#feed.meter;
    const byLink = Math.floor((windowBytes - inFlightBytes) / this.#cost.wholeBytes);
    const nowMs = this.#options.clock.nowMs();
    const byQemu = this.#window.roomPages(nowMs, this.#loaded.handedOver, roundTripMs);
    const room = Math.min(BATCH_PAGES_MAX, byLink, byQemu);
    return room < BATCH_PAGES_MIN ? 0 : room;
  }

  sendPages(pages: Uint32Array, count: number, store: PageStore): void {
    Object.assign(this.#batch, { wholePages: 0, wholeBytes: 0, deltaPages: 0, deltaBytes: 0 });
    this.#feed.beginBatch();
    for (let at = 0; at < count; at++) this.#send(pages[at]!, store);
    this.#feed.endBatch();
    this.#loaded.handOver(count);
    this.#cost.observe(this.#batch);
  }

  #send(page: number, store: PageStore): void {
    const slot = store.takeSlot(page);
    if (slot < 0) {
      this.#feed.zero(page);
      store.dropReference(page);
      return;
    }
    const reference = store.referenceSlot(page);
    const changed = reference < 0 ? -1 : this.#deltas.against(reference, slot);
    if (changed < 0) this.#sendWhole(page, slot, store);
    else {
      this.#feed.delta(page, this.#deltas.bytes, 0, changed);
      this.#batch.deltaPages++;
      this.#batch.deltaBytes += DELTA_RECORD_BYTES + changed;
    }
    store.keepReference(page, slot);
  }

  #sendWhole(page: number, slot: number, store: PageStore): void {
    const set = this.#deltas.againstZeros(slot);
    this.#batch.wholePages++;
    if (set < 0) {
      this.#feed.page(page, store.chunk(chunkOfSlot(slot)), offsetOfSlot(slot));
      this.#batch.wholeBytes += WHOLE_RECORD_BYTES + PAGE_SIZE_BYTES;
    } else {
      this.#feed.zero(page);
      this.#feed.delta(page, this.#deltas.bytes, 0, set);
      this.#batch.wholeBytes += ZERO_PAGE_BYTES + DELTA_RECORD_BYTES + set;
    }
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
