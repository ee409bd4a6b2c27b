/**
 * Page-sized slots in shared memory: chunks are taken when first needed and kept to the end, never more slots
 * than the cap allows. The lowest free slot is used first, so that no more memory is taken than was needed at
 * once. Not responsible for who owns a slot.
 */

import { assert, MIB } from '../base/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import { LayeredBitmap } from './layered-bitmap.ts';

/** A reference in an array. */
const CHUNK_ENTRY_BYTES = 8;

export const SLOTS_PER_CHUNK = (16 * MIB) / PAGE_SIZE_BYTES;

/** A chunk was taken, for good: workers that read slots need to know. */
export type OnChunk = (chunk: number, memory: SharedArrayBuffer) => void;

export class SlotPool {
  readonly slotCount: number;
  readonly #free: LayeredBitmap;
  readonly #chunks: (Buffer | null)[];
  readonly #onChunk: OnChunk;
  readonly #readyChunk: () => SharedArrayBuffer | null;
  #allocatedBytes = 0;

  /** `readyChunk`: memory of SLOTS_PER_CHUNK zero pages that was touched before, or null. */
  constructor(
    slotCount: number,
    onChunk: OnChunk = () => undefined,
    readyChunk = (): SharedArrayBuffer | null => null,
  ) {
    this.#readyChunk = readyChunk;
    this.#onChunk = onChunk;
    this.slotCount = slotCount;
    this.#free = new LayeredBitmap(slotCount);
    this.#free.fill();
    const chunkCount = Math.ceil(slotCount / SLOTS_PER_CHUNK);
    this.#chunks = new Array<Buffer | null>(chunkCount).fill(null);
  }

  static bookkeepingBytesFor(slotCount: number): number {
    return LayeredBitmap.bytesFor(slotCount) + Math.ceil(slotCount / SLOTS_PER_CHUNK) * CHUNK_ENTRY_BYTES;
  }

  get freeSlots(): number {
    return this.#free.count;
  }
  /** Chunk memory taken from the system. */
  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }
  get bookkeepingBytes(): number {
    return this.#free.byteLength + this.#chunks.length * CHUNK_ENTRY_BYTES;
  }

  /** A free slot, or -1. `fresh`: a chunk that nobody has touched may be taken for it. */
  allocate(fresh: boolean): number {
    const slot = this.#free.next(0);
    if (slot < 0) return -1;
    const chunk = chunkOfSlot(slot);
    if (this.#chunks[chunk] === null && !this.#takeChunk(chunk, fresh)) return -1;
    this.#free.delete(slot);
    return slot;
  }

  release(slot: number): void {
    assert(slot >= 0 && slot < this.slotCount && !this.#free.has(slot), 'a released slot was in use');
    this.#free.add(slot);
  }

  /** The chunk's bytes on a SharedArrayBuffer. */
  chunk(chunk: number): Buffer {
    const bytes = this.#chunks[chunk];
    assert(bytes, 'a chunk in use is allocated');
    return bytes;
  }

  #takeChunk(chunk: number, fresh: boolean): boolean {
    const slots = Math.min(SLOTS_PER_CHUNK, this.slotCount - chunk * SLOTS_PER_CHUNK);
    const ready = slots === SLOTS_PER_CHUNK ? this.#readyChunk() : null;
    if (ready === null && !fresh) return false;
    const shared = ready ?? new SharedArrayBuffer(slots * PAGE_SIZE_BYTES);
    const memory = Buffer.from(shared);
    this.#chunks[chunk] = memory;
    this.#allocatedBytes += memory.byteLength;
    this.#onChunk(chunk, shared);
    return true;
  }
}

export function chunkOfSlot(slot: number): number {
  return Math.floor(slot / SLOTS_PER_CHUNK);
}

/** Byte offset within the chunk. */
export function offsetOfSlot(slot: number): number {
  return (slot % SLOTS_PER_CHUNK) * PAGE_SIZE_BYTES;
}
