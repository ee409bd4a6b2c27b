/**
 * An output that leads nowhere: pages are looked at by a sample and dropped, so a migration into it moves
 * nothing and costs no memory. It never answers on the return path, and so never lets QEMU switch over. Not
 * responsible for ending the migration (the controller).
 */

import { chunkOfSlot, offsetOfSlot, type PageStore } from '../../pages/index.ts';
import type { RamSetup } from '../../stream/index.ts';
import { gatewayErrors } from '../errors.ts';
import { type ContentCost, ContentSample } from './content-sample.ts';
import type { OutputFacts, PageOutput } from './types.ts';

const BATCH_PAGES = 1024;

export class NullOutput implements PageOutput {
  readonly keepsReferences = false;
  readonly facts: OutputFacts = {
    sentBytes: 0,
    deliveredBytes: 0,
    bandwidthBytesPerSecond: null,
    roundTripMs: null,
  };
  readonly #sample = new ContentSample();
  /** Pages that have come at least once, zero or not. */
  #seen: Uint8Array | null = null;

  forward(): void {}

  open(setup: RamSetup): void {
    this.#seen = new Uint8Array(Math.ceil(setup.layout.pageCount / 8));
  }

  roomPages(): number {
    return this.#seen === null ? 0 : BATCH_PAGES;
  }

  sendPages(pages: Uint32Array, count: number, store: PageStore): void {
    const seen = this.#seen!;
    for (let at = 0; at < count; at++) {
      const page = pages[at]!;
      const bit = 1 << (page & 7);
      const again = (seen[page >>> 3]! & bit) !== 0;
      seen[page >>> 3]! |= bit;
      const slot = store.slotOf(page);
      if (slot < 0) continue;
      const chunk = store.chunk(chunkOfSlot(slot));
      if (again) this.#sample.again(page, chunk, offsetOfSlot(slot));
      else this.#sample.first(page, chunk, offsetOfSlot(slot));
      store.release(page);
    }
  }

  starved(): void {}

  /** What the guest's pages would cost on a link; null before any was seen. */
  cost(): ContentCost | null {
    return this.#sample.cost();
  }

  /** There is nobody who could have loaded anything. */
  complete(): Promise<void> {
    return Promise.reject(gatewayErrors.givenUp());
  }

  close(): void {}
}
