/**
 * What a guest's pages would cost on a link, from a sample of those that pass: whole ones packed, rewritten
 * ones as deltas against the copy seen before. By the codec that a paired migration uses. Not responsible for
 * which pages are written when.
 */

import { BatchEncoder, NO_SLOT, SlotMemory } from '../../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';

/** 256 KiB: zstd finds little more in a longer batch. */
const BATCH_PAGES = 64;
const WHOLE_BATCHES_MAX = 64;
const DELTA_BATCHES_MAX = 64;
/** Copies kept to compare with; with the batches 2.5 MiB in all. */
const TRACKED_PAGES = 512;
/** An odd stride through the stream, so that fixed structures are not missed. */
const WHOLE_EVERY = 37;
const TRACK_EVERY = 7;
const WHOLE_FIRST = 0;
const DELTA_FIRST = BATCH_PAGES;
const TRACKED_FIRST = 2 * BATCH_PAGES;

export interface ContentCost {
  /** Bytes of a whole page as packed. */
  readonly packedBytes: number;
  /** Bytes of a rewritten page as a delta; null where too few came twice. */
  readonly deltaBytes: number | null;
  readonly sampledPages: number;
}

export class ContentSample {
  readonly #bytes = new Uint8Array((TRACKED_FIRST + TRACKED_PAGES) * PAGE_SIZE_BYTES);
  readonly #encoder: BatchEncoder;
  readonly #whole = new Tally();
  readonly #deltas = new Tally();
  /** Page to its slot of copies. */
  readonly #tracked = new Map<number, number>();
  readonly #wholePages: number[] = [];
  readonly #deltaPages: number[] = [];
  #seen = 0;
  #rewritten = 0;

  constructor() {
    const memory = new SlotMemory(TRACKED_FIRST + TRACKED_PAGES);
    memory.set(0, this.#bytes.buffer);
    this.#encoder = new BatchEncoder(memory);
  }

  /** A page of the first pass: 4,096 bytes at source[offset], not all zeros. */
  first(pageIndex: number, source: Uint8Array, offset: number): void {
    if (this.#seen++ % WHOLE_EVERY !== 0 || this.#whole.batches >= WHOLE_BATCHES_MAX) return;
    this.#copy(WHOLE_FIRST + this.#wholePages.length, source, offset);
    this.#wholePages.push(pageIndex);
    if (this.#wholePages.length === BATCH_PAGES) this.#encodeWhole();
  }

  /** A page that was written since the pass before. */
  again(pageIndex: number, source: Uint8Array, offset: number): void {
    if (this.#deltas.batches >= DELTA_BATCHES_MAX) return;
    const slot = this.#tracked.get(pageIndex);
    if (slot === undefined) {
      if (this.#tracked.size === TRACKED_PAGES || this.#rewritten++ % TRACK_EVERY !== 0) return;
      const fresh = TRACKED_FIRST + this.#tracked.size;
      this.#copy(fresh, source, offset);
      this.#tracked.set(pageIndex, fresh);
      return;
    }
    if (this.#deltaPages.includes(pageIndex)) this.#encodeDeltas();
    this.#copy(DELTA_FIRST + this.#deltaPages.length, source, offset);
    this.#deltaPages.push(pageIndex);
    if (this.#deltaPages.length === BATCH_PAGES) this.#encodeDeltas();
  }

  /** null before anything was sampled. */
  cost(): ContentCost | null {
    this.#encodeWhole();
    this.#encodeDeltas();
    const packedBytes = this.#whole.bytesAPage;
    if (packedBytes === null) return null;
    const sampledPages = this.#whole.pages + this.#deltas.pages;
    return { packedBytes, deltaBytes: this.#deltas.bytesAPage, sampledPages };
  }

  #copy(slot: number, source: Uint8Array, offset: number): void {
    this.#bytes.set(source.subarray(offset, offset + PAGE_SIZE_BYTES), slot * PAGE_SIZE_BYTES);
  }

  #encodeWhole(): void {
    const pages = this.#wholePages;
    if (pages.length === 0) return;
    const slots = Int32Array.from(pages, (_, at) => WHOLE_FIRST + at);
    this.#encode(this.#whole, pages, slots, new Int32Array(pages.length).fill(NO_SLOT));
    pages.length = 0;
  }

  #encodeDeltas(): void {
    const pages = this.#deltaPages;
    if (pages.length === 0) return;
    const slots = Int32Array.from(pages, (_, at) => DELTA_FIRST + at);
    this.#encode(
      this.#deltas,
      pages,
      slots,
      Int32Array.from(pages, (page) => this.#tracked.get(page)!),
    );
    for (const [at, page] of pages.entries()) {
      const from = (DELTA_FIRST + at) * PAGE_SIZE_BYTES;
      this.#copy(this.#tracked.get(page)!, this.#bytes, from);
    }
    pages.length = 0;
  }

  #encode(tally: Tally, pages: readonly number[], slots: Int32Array, referenceSlots: Int32Array): void {
    const request = { pages: Uint32Array.from(pages), slots, referenceSlots, pack: true };
    tally.add(pages.length, this.#encoder.encode(request).bytes.length);
  }
}

class Tally {
  pages = 0;
  bytes = 0;
  batches = 0;

  add(pages: number, bytes: number): void {
    this.pages += pages;
    this.bytes += bytes;
    this.batches++;
  }

  get bytesAPage(): number | null {
    return this.pages === 0 ? null : this.bytes / this.pages;
  }
}
