/**
 * The histogram of pages that were rewritten once and have been clean for the whole window since. Nobody
 * visits them, yet their rate must fall as they stay clean, or a forecast would count a boot-time write for
 * ever. So the histogram ages as a whole: a page whose age doubles falls by one class, which takes as long as
 * the page is old. Not responsible for recently dirty pages.
 */

import { REWRITE_CLASSES } from '../vm/index.ts';
import { REWRITE_CLASS_OF_CODE } from './heat.ts';

export class CooledPages {
  readonly #pages = new Float64Array(REWRITE_CLASSES);

  add(code: number): void {
    this.#pages[REWRITE_CLASS_OF_CODE[code]!]!++;
  }

  /** A page of this stored interval was rewritten: it is in its class or, by age, in one below. */
  remove(code: number): void {
    let left = 1;
    for (let at = REWRITE_CLASS_OF_CODE[code]!; at >= 0 && left > 0; at--) {
      const taken = Math.min(left, this.#pages[at]!);
      this.#pages[at]! -= taken;
      left -= taken;
    }
  }

  age(durationMs: number): void {
    for (let at = 1; at < REWRITE_CLASSES; at++) {
      // From the upper rate of the class to its lower one: from an age of 2^(15-c) s to one of 2^(16-c) s.
      const intervalMs = 1000 * 2 ** (REWRITE_CLASSES / 2 - 1 - at);
      const moved = this.#pages[at]! * Math.min(1, durationMs / intervalMs);
      this.#pages[at]! -= moved;
      this.#pages[at - 1]! += moved;
    }
  }

  addTo(histogram: Float64Array): void {
    for (let at = 0; at < REWRITE_CLASSES; at++) histogram[at]! += this.#pages[at]!;
  }
}
