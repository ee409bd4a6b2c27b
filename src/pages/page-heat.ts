/**
 * Heat of all pages: when each was rewritten last, how often on average, how many times. Owns the stamp and
 * estimate bits of the page words and the interval and counter bits of the heat words. Not responsible for
 * history, holds or queues.
 */

import { assert } from '../base/index.ts';
import { CooledPages } from './cooled-pages.ts';
import {
  blendIntervalCode,
  INTERVAL_TICKS_MAX,
  intervalCodeOfTicks,
  modificationsOfCounter,
  nextCounter,
} from './heat.ts';
import {
  BOUND_ONLY,
  COOLED,
  COUNTER_MASK,
  COUNTER_SHIFT,
  INTERVAL_MASK,
  LOW_HALF,
  STAMP_MODULUS,
  STAMP_SHIFT,
} from './layout.ts';

const NOT_HEAT = ~(INTERVAL_MASK | (COUNTER_MASK << COUNTER_SHIFT));

/** Older stamps are pinned here, long before the u16 wraps around. */
const AGE_TICKS_MAX = INTERVAL_TICKS_MAX >>> 1;

export class PageHeat {
  readonly #heat: Uint16Array;
  readonly #cooled = new CooledPages();
  #tick = -1;
  #firstTick = 0;
  #stamp = 1;

  constructor(heat: Uint16Array) {
    this.#heat = heat;
  }

  get tick(): number {
    return this.#tick;
  }

  advance(tick: number): void {
    if (tick === this.#tick) return;
    assert(tick > this.#tick, 'time does not go back');
    if (this.#tick < 0) this.#firstTick = tick;
    this.#tick = tick;
    this.#stamp = (tick % STAMP_MODULUS) + 1;
  }

  /** The page was rewritten: interval, counter, stamp. Returns the page's word with the new stamp. */
  noteRewrite(pageIndex: number, word: number): number {
    const heat = this.#heat[pageIndex]!;
    let code = heat & INTERVAL_MASK;
    let flags = word & LOW_HALF & ~BOUND_ONLY;
    const stamp = word >>> STAMP_SHIFT;
    if (stamp === 0) {
      // There is no earlier rewrite to measure from, so only a bound is known.
      if ((flags & COOLED) !== 0) this.#cooled.remove(code);
      if (code === 0) code = intervalCodeOfTicks(this.#tick - this.#firstTick);
      flags = (flags & ~COOLED) | BOUND_ONLY;
    } else {
      const ticks = this.#ageTicks(stamp) || 1;
      code = (word & BOUND_ONLY) !== 0 ? intervalCodeOfTicks(ticks) : blendIntervalCode(code, ticks);
    }
    const counter = nextCounter((heat >>> COUNTER_SHIFT) & COUNTER_MASK, pageIndex, this.#tick);
    this.#heat[pageIndex] = (heat & NOT_HEAT) | code | (counter << COUNTER_SHIFT);
    return flags | (this.#stamp << STAMP_SHIFT);
  }

  codeOf(pageIndex: number): number {
    return this.#heat[pageIndex]! & INTERVAL_MASK;
  }

  /** The interval, or the time since the last rewrite where that is longer already. */
  effectiveCode(pageIndex: number, word: number): number {
    const code = this.#heat[pageIndex]! & INTERVAL_MASK;
    const stamp = word >>> STAMP_SHIFT;
    return stamp === 0 ? code : Math.max(code, intervalCodeOfTicks(this.#ageTicks(stamp)));
  }

  /** Since the first pass. */
  wasRewritten(pageIndex: number): boolean {
    return ((this.#heat[pageIndex]! >>> COUNTER_SHIFT) & COUNTER_MASK) !== 0;
  }

  modificationsOf(pageIndex: number): number {
    return modificationsOfCounter((this.#heat[pageIndex]! >>> COUNTER_SHIFT) & COUNTER_MASK);
  }

  /**
   * The page was clean for the whole window: its age becomes its interval. Returns the word without a stamp.
   */
  cool(pageIndex: number, word: number, effectiveCode: number): number {
    this.#heat[pageIndex] = (this.#heat[pageIndex]! & ~INTERVAL_MASK) | effectiveCode;
    this.#cooled.add(effectiveCode);
    return (word & LOW_HALF) | COOLED;
  }

  /** The word, its stamp pinned at the longest age that is told apart. */
  pin(word: number): number {
    if (this.#ageTicks(word >>> STAMP_SHIFT) <= AGE_TICKS_MAX) return word;
    const pinned = this.#stamp - AGE_TICKS_MAX;
    return (word & LOW_HALF) | ((pinned <= 0 ? pinned + STAMP_MODULUS : pinned) << STAMP_SHIFT);
  }

  ageCooled(durationMs: number): void {
    this.#cooled.age(durationMs);
  }

  addCooledTo(rewriteHistogram: Float64Array): void {
    this.#cooled.addTo(rewriteHistogram);
  }

  #ageTicks(stamp: number): number {
    const age = this.#stamp - stamp;
    return age < 0 ? age + STAMP_MODULUS : age;
  }
}
