/** The destination's reference copies: page -> content, within a cap. Memory grows with references, not with RAM. */

import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { codecError } from './format.ts';

const CHUNK_SLOTS = 1024;
const DIRECTORY_LOG2 = 12;

export class ReferenceCopies {
  readonly #pagesMax: number;
  readonly #chunks: Buffer[] = [];
  readonly #free: number[] = [];
  /** Slot + 1 by page, in lazily made pieces of 4,096 pages. */
  readonly #directory = new Map<number, Int32Array>();
  #slotsMade = 0;
  #count = 0;

  constructor(pagesMax: number) {
    this.#pagesMax = pagesMax;
  }

  get count(): number {
    return this.#count;
  }

  get memoryBytes(): number {
    return this.#chunks.length * CHUNK_SLOTS * PAGE_SIZE_BYTES + this.#directory.size * 4 * 4096;
  }

  slotOf(pageIndex: number): number {
    const piece = this.#directory.get(pageIndex >>> DIRECTORY_LOG2);
    return piece === undefined ? -1 : piece[pageIndex & 4095]! - 1;
  }

  chunk(slot: number): Buffer {
    return this.#chunks[Math.floor(slot / CHUNK_SLOTS)]!;
  }

  offset(slot: number): number {
    return (slot % CHUNK_SLOTS) * PAGE_SIZE_BYTES;
  }

  /** The page's slot, a new one where it had none; its content is not defined then. Errors: CODEC_REFERENCE_LIMIT. */
  slotFor(pageIndex: number): number {
    const known = this.slotOf(pageIndex);
    if (known >= 0) return known;
    if (this.#count >= this.#pagesMax) {
      throw codecError('CODEC_REFERENCE_LIMIT', `more than ${this.#pagesMax} references`, {
        referencePagesMax: this.#pagesMax,
      });
    }
    const slot = this.#free.pop() ?? this.#makeSlot();
    const key = pageIndex >>> DIRECTORY_LOG2;
    let piece = this.#directory.get(key);
    if (piece === undefined) {
      piece = new Int32Array(4096);
      this.#directory.set(key, piece);
    }
    piece[pageIndex & 4095] = slot + 1;
    this.#count++;
    return slot;
  }

  #makeSlot(): number {
    if (this.#slotsMade % CHUNK_SLOTS === 0) {
      this.#chunks.push(Buffer.allocUnsafeSlow(CHUNK_SLOTS * PAGE_SIZE_BYTES));
    }
    return this.#slotsMade++;
  }

  drop(pageIndex: number): void {
    const piece = this.#directory.get(pageIndex >>> DIRECTORY_LOG2);
    const slot = piece === undefined ? -1 : piece[pageIndex & 4095]! - 1;
    if (piece === undefined || slot < 0) return;
    piece[pageIndex & 4095] = 0;
    this.#free.push(slot);
    this.#count--;
  }
}
