/**
 * The order of batches on each lane of the link. A page belongs to one lane, so the lane's order is the
 * page's order, whichever thread encodes faster. Not responsible for encoding, nor for sending.
 */

import { laneOfPage } from '../../link/index.ts';

interface LaneQueue {
  /** Settles when the lane's newest batch has been handed on. */
  last: Promise<void>;
  readonly pages: Uint32Array;
  count: number;
}

export class LaneOrder {
  readonly #lanes: readonly LaneQueue[];

  constructor(laneCount: number, batchPagesMax: number) {
    this.#lanes = Array.from({ length: laneCount }, () => ({
      last: Promise.resolve(),
      pages: new Uint32Array(batchPagesMax),
      count: 0,
    }));
  }

  /** Calls `each` with the pages of every lane that has some. */
  split(pages: Uint32Array, count: number, each: (lane: number, pages: Uint32Array) => void): void {
    for (let at = 0; at < count; at++) {
      const lane = this.#lanes[laneOfPage(pages[at]!, this.#lanes.length)]!;
      lane.pages[lane.count++] = pages[at]!;
    }
    for (const [index, lane] of this.#lanes.entries()) {
      if (lane.count > 0) each(index, lane.pages.slice(0, lane.count));
      lane.count = 0;
    }
  }

  /**
   * Calls `handOn` with what `encoded` yields, after every earlier batch of the lane; `onFailed`
   * with what either throws.
   */
  inOrder<T>(
    lane: number,
    encoded: Promise<T> | T,
    handOn: (batch: T) => void,
    onFailed: (error: Error) => void,
  ) {
    const queue = this.#lanes[lane]!;
    queue.last = Promise.all([encoded, queue.last])
      .then(([batch]) => handOn(batch))
      .catch(onFailed);
  }

  /** Resolves when every batch so far has been handed on. */
  async allHandedOn(): Promise<void> {
    await Promise.all(this.#lanes.map(({ last }) => last));
  }
}
