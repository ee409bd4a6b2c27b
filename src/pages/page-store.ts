/**
 * The newest copy of every page that waits, under a hard memory cap: PageIndex for what is known, slots for
 * contents, references for deltas. Not responsible for encoding, for I/O, or for deciding: the gateway asks
 * `roomPages` before it reads on, and rules arrive as values.
 *
 * A slot belongs to its page until `takeSlot` hands it to the caller, who gives it back with `releaseSlot` or
 * `keepReference`. So a worker may read a slot while a newer copy of the same page arrives in another one.
 */

import { assert, formatBytes, GodwitError, MIB } from '../base/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import { PageIndex } from './page-index.ts';
import { References } from './references.ts';
import { chunkOfSlot, type OnChunk, offsetOfSlot, SlotPool } from './slot-pool.ts';

/** Slots without which no migration moves: a megabyte. */
const SLOTS_MIN = MIB / PAGE_SIZE_BYTES;

export interface PageStoreOptions {
  readonly pageCount: number;
  /** Cap on contents, references and bookkeeping together. */
  readonly memoryBytesMax: number;
  /** Keep sent copies to send deltas against. */
  readonly references?: boolean;
  /** Told of every chunk taken. */
  readonly onChunk?: OnChunk;
  /** See SlotPool. */
  readonly readyChunk?: () => SharedArrayBuffer | null;
}

export class PageStore {
  readonly index: PageIndex;
  readonly memoryBytesMax: number;
  readonly #slots: Int32Array;
  readonly #pool: SlotPool;
  readonly #references: References | null;
  readonly #bookkeepingBytes: number;
  readonly #isRecent: (pageIndex: number) => boolean;
  #arrivedPages = 0;

  /** Errors: GATEWAY_MEMORY when the cap does not hold the bookkeeping and a megabyte of pages. */
  constructor(options: PageStoreOptions) {
    const { pageCount, memoryBytesMax } = options;
    const references = options.references ?? false;
    const slotCount = slotCountFor(pageCount, memoryBytesMax, references);
    this.index = new PageIndex(pageCount);
    this.memoryBytesMax = memoryBytesMax;
    this.#slots = new Int32Array(pageCount).fill(-1);
    this.#pool = new SlotPool(slotCount, options.onChunk, options.readyChunk);
    this.#references = references ? new References(pageCount) : null;
    this.#bookkeepingBytes = bookkeepingBytesFor(pageCount, slotCount, references);
    this.#isRecent = (pageIndex) => this.index.isRecent(pageIndex);
  }

  /** The smallest cap that a machine of this size can be moved with. */
  static memoryBytesMin(pageCount: number, references = false): number {
    const slots = Math.min(SLOTS_MIN, slotsUseful(pageCount, references));
    return bookkeepingBytesFor(pageCount, slots, references) + slots * PAGE_SIZE_BYTES;
  }

  /** Bookkeeping and chunks in use; never above the cap. */
  get memoryBytes(): number {
    return this.#bookkeepingBytes + this.#pool.allocatedBytes;
  }

  /** Bytes of all arrays that grow with RAM. */
  get bookkeepingBytes(): number {
    const references = this.#references === null ? 0 : this.#references.byteLength;
    return this.index.byteLength + this.#slots.byteLength + references + this.#pool.bookkeepingBytes;
  }

  /** Copies put since the beginning, of whatever page. */
  get arrivedPages(): number {
    return this.#arrivedPages;
  }

  get slotCount(): number {
    return this.#pool.slotCount;
  }

  /** Non-zero pages that can be put before anything is released. References give way to them. */
  get roomPages(): number {
    return this.#pool.freeSlots + (this.#references === null ? 0 : this.#references.count);
  }

  hasRoom(pages: number): boolean {
    return this.roomPages >= pages;
  }

  /**
   * The newest copy of a page, at `heatTick` (heatTickOf): PAGE_SIZE_BYTES of `source` from `offset`. Give
   * a Buffer where there is one, it copies without a view. Errors: GATEWAY_MEMORY when there is no room,
   * which back-pressure by `roomPages` prevents.
   */
  put(pageIndex: number, heatTick: number, source: Uint8Array, offset: number): void {
    assert(pageIndex < this.index.pageCount, 'the page lies in the layout');
    assert(offset >= 0 && offset + PAGE_SIZE_BYTES <= source.length, 'a whole page is given');
    let slot = this.#slots[pageIndex]!;
    if (slot < 0) {
      slot = this.#allocate();
      this.#slots[pageIndex] = slot;
    }
    const target = this.#pool.chunk(chunkOfSlot(slot));
    const at = offsetOfSlot(slot);
    if (source instanceof Buffer) source.copy(target, at, offset, offset + PAGE_SIZE_BYTES);
    else target.set(source.subarray(offset, offset + PAGE_SIZE_BYTES), at);
    this.#arrivedPages++;
    this.index.arrive(pageIndex, heatTick, false);
  }

  /** The newest copy is all zeros: it takes no slot. */
  putZero(pageIndex: number, heatTick: number): void {
    this.#arrivedPages++;
    this.index.arrive(pageIndex, heatTick, true);
    this.release(pageIndex);
  }

  /** The page's slot, -1 for a zero page (or one that does not wait). */
  slotOf(pageIndex: number): number {
    return this.#slots[pageIndex]!;
  }

  /** Bytes of a chunk (shared memory): a page lies at `offsetOfSlot(slot)` of chunk `chunkOfSlot(slot)`. */
  chunk(chunk: number): Buffer {
    return this.#pool.chunk(chunk);
  }

  /** Copies the newest copy, zeros for a zero page. */
  copyInto(pageIndex: number, target: Uint8Array, targetOffset: number): void {
    assert(targetOffset + PAGE_SIZE_BYTES <= target.length, 'the target holds a page');
    const slot = this.#slots[pageIndex]!;
    if (slot < 0) {
      assert(this.index.isZero(pageIndex), 'a page without a slot is zero');
      target.fill(0, targetOffset, targetOffset + PAGE_SIZE_BYTES);
      return;
    }
    const at = offsetOfSlot(slot);
    this.#pool.chunk(chunkOfSlot(slot)).copy(target, targetOffset, at, at + PAGE_SIZE_BYTES);
  }

  /** The page was taken and copied: its slot is free again. */
  release(pageIndex: number): void {
    const slot = this.#slots[pageIndex]!;
    if (slot < 0) return;
    this.#slots[pageIndex] = -1;
    this.#pool.release(slot);
  }

  /** Hands the slot of a taken page to the caller; -1 for a zero page. */
  takeSlot(pageIndex: number): number {
    const slot = this.#slots[pageIndex]!;
    this.#slots[pageIndex] = -1;
    return slot;
  }

  releaseSlot(slot: number): void {
    this.#pool.release(slot);
  }

  /**
   * The slot's content was sent and becomes the page's reference; an older one is
   * freed. Without references: released.
   */
  keepReference(pageIndex: number, slot: number): void {
    if (this.#references === null) {
      this.#pool.release(slot);
      return;
    }
    this.dropReference(pageIndex);
    this.#references.set(pageIndex, slot);
  }

  /** -1: none. */
  referenceSlot(pageIndex: number): number {
    return this.#references === null ? -1 : this.#references.slotOf(pageIndex);
  }

  /**
   * Takes the reference off the page and hands its slot over, so that no eviction can reuse it while
   * a worker reads it.
   */
  takeReferenceSlot(pageIndex: number): number {
    return this.#references === null ? -1 : this.#references.remove(pageIndex);
  }

  dropReference(pageIndex: number): void {
    const slot = this.takeReferenceSlot(pageIndex);
    if (slot >= 0) this.#pool.release(slot);
  }

  get referencePages(): number {
    return this.#references === null ? 0 : this.#references.count;
  }

  #allocate(): number {
    const free = this.#pool.allocate(this.#references === null);
    if (free >= 0) return free;
    // Memory is taken for what waits and for pages that come again, not for a copy of all of RAM.
    const cold = this.#references === null ? -1 : this.#references.evictCold(this.#isRecent);
    if (cold >= 0) return cold;
    const fresh = this.#pool.allocate(true);
    if (fresh >= 0) return fresh;
    const evicted = this.#references === null ? -1 : this.#references.evict(this.#isRecent);
    if (evicted >= 0) return evicted;
    throw new GodwitError('GATEWAY_MEMORY', `no room for a page in ${formatBytes(this.memoryBytesMax)}`, {
      safe: 'nothing was dropped; the source VM still has every page',
      hint: 'raise --gateway-memory; this is also a missing back-pressure, please report it',
      fields: { memoryBytesMax: this.memoryBytesMax, slotCount: this.#pool.slotCount },
    });
  }
}

/** Slots that can be used: every page, its reference, and as many again that workers are reading. */
function slotsUseful(pageCount: number, references: boolean): number {
  return references ? pageCount * 2 : pageCount;
}

function bookkeepingBytesFor(pageCount: number, slotCount: number, references: boolean): number {
  return (
    PageIndex.bytesFor(pageCount) +
    pageCount * 4 +
    (references ? References.bytesFor(pageCount) : 0) +
    SlotPool.bookkeepingBytesFor(slotCount)
  );
}

function slotCountFor(pageCount: number, memoryBytesMax: number, references: boolean): number {
  const memoryBytesMin = PageStore.memoryBytesMin(pageCount, references);
  if (!(memoryBytesMax >= memoryBytesMin)) {
    throw new GodwitError(
      'GATEWAY_MEMORY',
      `${formatBytes(memoryBytesMax)} of gateway memory do not hold the bookkeeping`,
      {
        safe: 'the source VM is running',
        hint: `give --gateway-memory at least ${formatBytes(Math.ceil(memoryBytesMin / MIB) * MIB)}`,
        fields: { memoryBytesMax, memoryBytesMin, pageCount },
      },
    );
  }
  const useful = slotsUseful(pageCount, references);
  let slots = Math.min(
    useful,
    Math.floor((memoryBytesMax - bookkeepingBytesFor(pageCount, 0, references)) / PAGE_SIZE_BYTES),
  );
  while (bookkeepingBytesFor(pageCount, slots, references) + slots * PAGE_SIZE_BYTES > memoryBytesMax)
    slots--;
  return slots;
}
