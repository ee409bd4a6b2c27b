/** Which iteration runs, since when, and what was sent within it. Not responsible for dirty pages. */

import { assert } from '../base/index.ts';
import type { IterationStats } from '../vm/index.ts';

export type IterationPart = Pick<
  IterationStats,
  'index' | 'startMs' | 'durationMs' | 'sentPages' | 'resentPages' | 'sentBytes'
>;

export class IterationLog {
  #index = 0;
  #startMs = 0;
  #sentBytes = 0;
  #sentPagesBefore = 0;
  #resentPagesBefore = 0;
  #sentBytesBefore = 0;

  get sentBytes(): number {
    return this.#sentBytes;
  }
  get startMs(): number {
    return this.#startMs;
  }

  countSentBytes(sizeBytes: number): void {
    this.#sentBytes += sizeBytes;
  }

  /** Ends the running iteration and begins the next; the arguments are totals since `migrate`. */
  end(nowMs: number, sentPages: number, resentPages: number): IterationPart {
    assert(nowMs >= this.#startMs, 'time does not go back');
    const part: IterationPart = {
      index: this.#index,
      startMs: this.#startMs,
      durationMs: nowMs - this.#startMs,
      sentPages: sentPages - this.#sentPagesBefore,
      resentPages: resentPages - this.#resentPagesBefore,
      sentBytes: this.#sentBytes - this.#sentBytesBefore,
    };
    this.#index++;
    this.#startMs = nowMs;
    this.#sentPagesBefore = sentPages;
    this.#resentPagesBefore = resentPages;
    this.#sentBytesBefore = this.#sentBytes;
    return part;
  }
}
