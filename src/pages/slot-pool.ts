/**
 * Page-sized slots in shared memory: chunks taken when first needed, never more slots than the cap allows, the lowest
 * free slot first so that upper chunks run empty and can be dropped. Not responsible for who owns a slot.
 */

import { assert, MIB } from '../base/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import { LayeredBitmap } from './layered-bitmap.ts';

export const SLOTS_PER_CHUNK = (16 * MIB) / PAGE_SIZE_BYTES;

/** A chunk was taken (its memory) or given back (null): workers that read slots need to know. */
export type OnChunk = (chunk: number, memory: SharedArrayBuffer | null) => void;

export class SlotPool {
  readonly slotCount: number;
  readonly #free: LayeredBitmap;
  readonly #chunks: (Buffer | null)[];
  readonly #usedInChunk: Int32Array;
  /** Chunks found empty by the last trim. */
  readonly #idle: Uint8Array;
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
    this.#usedInChunk = new Int32Array(chunkCount);
    this.#idle = new Uint8Array(chunkCount);
  }

  static bookkeepingBytesFor(slotCount: number): number {
    return LayeredBitmap.bytesFor(slotCount) + Math.ceil(slotCount / SLOTS_PER_CHUNK) * 16;
  }

  get freeSlots(): number {
    return this.#free.count;
  }
  /** Chunk memory taken from the system. */
  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }
  get bookkeepingBytes(): number {
    return (
      this.#free.byteLength + this.#chunks.length * 8 + this.#usedInChunk.byteLength + this.#idle.byteLength
    );
  }

  /** A free slot, or -1. */
  allocate(): number {
    const slot = this.#free.next(0);
    if (slot < 0) return -1;
    this.#free.delete(slot);
    const chunk = chunkOfSlot(slot);
    if (this.#chunks[chunk] === null) this.#takeChunk(chunk);
    this.#usedInChunk[chunk]!++;
    return slot;
  }

  release(slot: number): void {
    assert(slot >= 0 && slot < this.slotCount && !this.#free.has(slot), 'a released slot was in use');
    this.#free.add(slot);
    this.#usedInChunk[chunkOfSlot(slot)]!--;
  }

  isFree(slot: number): boolean {
    return this.#free.has(slot);
  }

  /** The chunk's bytes on a SharedArrayBuffer. */
  chunk(chunk: number): Buffer {
    const bytes = this.#chunks[chunk];
    assert(bytes, 'a chunk in use is allocated');
    return bytes;
  }

  /** Drops chunks that were empty at the last call and still are; returns the bytes given back. */
  trim(): number {
    let bytes = 0;
    for (let chunk = 0; chunk < this.#chunks.length; chunk++) {
      const empty = this.#usedInChunk[chunk] === 0;
      const memory = this.#chunks[chunk];
      if (empty && this.#idle[chunk] === 1 && memory) {
        bytes += memory.byteLength;
        this.#chunks[chunk] = null;
        this.#onChunk(chunk, null);
      }
      this.#idle[chunk] = empty ? 1 : 0;
    }
    this.#allocatedBytes -= bytes;
    return bytes;
  }

  #takeChunk(chunk: number): void {
    const slots = Math.min(SLOTS_PER_CHUNK, this.slotCount - chunk * SLOTS_PER_CHUNK);
    const ready = slots === SLOTS_PER_CHUNK ? this.#readyChunk() : null;
    const shared = ready ?? new SharedArrayBuffer(slots * PAGE_SIZE_BYTES);
    const memory = Buffer.from(shared);
    this.#chunks[chunk] = memory;
    this.#idle[chunk] = 0;
    this.#allocatedBytes += memory.byteLength;
    this.#onChunk(chunk, shared);
  }
}

export function chunkOfSlot(slot: number): number {
  return Math.floor(slot / SLOTS_PER_CHUNK);
}

/** Byte offset within the chunk. */
export function offsetOfSlot(slot: number): number {
  return (slot % SLOTS_PER_CHUNK) * PAGE_SIZE_BYTES;
}
