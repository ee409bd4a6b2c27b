/** What waiting pages cost on the link: whole ones as encoded lately, and, where they pay, deltas. Pure. */

import { assert } from '../base/index.ts';
import { type Backlog, ZERO_PAGE_BYTES } from '../vm/index.ts';

export interface Waiting {
  readonly queuedPages: number;
  readonly queuedZeroPages: number;
  readonly heldPages: number;
  readonly heldZeroPages: number;
}

export class Prices {
  #wholeBytes: number;
  /** null: deltas do not pay. */
  #deltaBytes: number | null = null;

  constructor(wholeBytes: number) {
    this.#wholeBytes = wholeBytes;
  }

  set wholeBytes(bytes: number) {
    assert(bytes >= 0, 'an encoded page has a size');
    this.#wholeBytes = bytes;
  }

  get deltaBytes(): number | null {
    return this.#deltaBytes;
  }

  set deltaBytes(bytes: number | null) {
    this.#deltaBytes = bytes;
  }

  /**
   * Zero pages exactly, others by the estimates. Queued pages beyond the number of pages never sent are taken
   * to have an older copy at the destination.
   */
  backlog(waiting: Waiting, neverSentPages: number): Backlog {
    const { queuedPages, queuedZeroPages, heldPages, heldZeroPages } = waiting;
    const written = queuedPages - queuedZeroPages;
    const again = this.#deltaBytes === null ? 0 : Math.max(0, written - neverSentPages);
    const againBytes = again * (this.#deltaBytes ?? 0);
    return {
      queuedPages,
      queuedBytes: (written - again) * this.#wholeBytes + againBytes + queuedZeroPages * ZERO_PAGE_BYTES,
      zeroPages: queuedZeroPages + heldZeroPages,
      heldPages,
      heldBytes:
        (heldPages - heldZeroPages) * (this.#deltaBytes ?? this.#wholeBytes) +
        heldZeroPages * ZERO_PAGE_BYTES,
    };
  }

  /**
   * What a page that the guest writes next costs: a delta where deltas pay, unless the page was never sent.
   */
  writtenPageBytes(neverSentShare: number): number {
    if (this.#deltaBytes === null) return this.#wholeBytes;
    return neverSentShare * this.#wholeBytes + (1 - neverSentShare) * this.#deltaBytes;
  }
}
