/**
 * The page copies that are being encoded: their slots are out of the store meanwhile, and become the pages'
 * references afterwards. Not responsible for encoding.
 */

import type { PageStore } from '../../pages/index.ts';

export interface CopiesOfBatch {
  readonly number: number;
  readonly pages: Uint32Array;
  readonly slots: Int32Array;
  readonly referenceSlots: Int32Array;
}

export class EncodingCopies {
  /**
   * Page to the number of the newest batch that encodes it. The next batch of the page has
   * no reference to use.
   */
  readonly #batchOfPage = new Map<number, number>();
  #batchNumber = 0;
  #pageCount = 0;

  /** Pages taken and not settled. */
  get pageCount(): number {
    return this.#pageCount;
  }

  /** Takes the newest copies of `pages` out of the store, and the references to encode them against. */
  take(pages: Uint32Array, store: PageStore): CopiesOfBatch {
    const number = ++this.#batchNumber;
    const slots = new Int32Array(pages.length);
    const referenceSlots = new Int32Array(pages.length);
    for (let at = 0; at < pages.length; at++) {
      const page = pages[at]!;
      slots[at] = store.takeSlot(page);
      referenceSlots[at] = store.takeReferenceSlot(page);
      this.#batchOfPage.set(page, number);
    }
    this.#pageCount += pages.length;
    return { number, pages, slots, referenceSlots };
  }

  /** The batch is encoded: its copies become references, and the references before them are freed. */
  settle(batch: CopiesOfBatch, store: PageStore): void {
    const { number, pages, slots, referenceSlots } = batch;
    for (let at = 0; at < pages.length; at++) {
      const page = pages[at]!;
      const isNewest = this.#batchOfPage.get(page) === number;
      if (isNewest) this.#batchOfPage.delete(page);
      if (referenceSlots[at]! >= 0) store.releaseSlot(referenceSlots[at]!);
      if (slots[at]! < 0) continue;
      // Where a newer copy is being encoded, the destination will have that one, and this one is
      // no reference any more.
      if (isNewest) store.keepReference(page, slots[at]!);
      else store.releaseSlot(slots[at]!);
    }
    this.#pageCount -= pages.length;
  }
}
