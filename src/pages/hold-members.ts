/**
 * The pages that the hold in force keeps back (F): who belongs to it, and what changes when the hold does.
 * Moves pages between the queue and the held set. Not responsible for arrivals and the end of an iteration
 * (page-index.ts).
 */

import type { Hold } from '../vm/index.ts';
import {
  type CompiledHold,
  compileHold,
  HOLD_DIRTY_AGAIN,
  HOLD_RATE,
  HOLD_REGIONS,
  HOLD_WINDOW,
  memberAtEnd,
  memberBetween,
  sameHold,
  sumOutside,
} from './hold.ts';
import type { IterationTally } from './iteration-tally.ts';
import type { LayeredBitmap } from './layered-bitmap.ts';
import { DIRTY_NOW, historyBits, MEMBER, STATE_HELD, STATE_MASK, STATE_QUEUED } from './layout.ts';
import type { PageHeat } from './page-heat.ts';
import type { SendQueue } from './send-queue.ts';

export interface HoldMembersOptions {
  readonly meta: Int32Array;
  readonly heat: PageHeat;
  readonly queue: SendQueue;
  /** Dirty lately, or a member. */
  readonly recent: LayeredBitmap;
  readonly tally: IterationTally;
  readonly regionPages: number;
}

export class HoldMembers {
  readonly #meta: Int32Array;
  readonly #heat: PageHeat;
  readonly #queue: SendQueue;
  readonly #recent: LayeredBitmap;
  readonly #tally: IterationTally;
  readonly #regionPages: number;
  readonly #regionShift: number;
  #hold: CompiledHold;
  /** The VM is stopped: members are sent too. */
  stopAndCopy = false;

  constructor(options: HoldMembersOptions) {
    this.#meta = options.meta;
    this.#heat = options.heat;
    this.#queue = options.queue;
    this.#recent = options.recent;
    this.#tally = options.tally;
    this.#regionPages = options.regionPages;
    this.#regionShift = Math.log2(options.regionPages);
    this.#hold = compileHold({ kind: 'none' }, this.#regionCount);
  }

  get #regionCount(): number {
    return this.#tally.regionHistogram.length;
  }

  get hold(): CompiledHold {
    return this.#hold;
  }

  has(pageIndex: number): boolean {
    const word = this.#meta[pageIndex]!;
    if (this.#hold.kind === HOLD_REGIONS) return this.inHeldRegion(pageIndex);
    if (this.#hold.kind === HOLD_DIRTY_AGAIN) return (word & STATE_MASK) === STATE_HELD;
    return (word & MEMBER) !== 0;
  }

  inHeldRegion(pageIndex: number): boolean {
    if (this.#hold.regions[pageIndex >>> this.#regionShift] === 0) return false;
    return !this.#hold.onlyRewritten || this.#heat.wasRewritten(pageIndex);
  }

  /** Members are re-evaluated; pages that are none any more go back to the queue. */
  set(hold: Hold, firstPassDone: boolean): void {
    const before = this.#hold;
    const after = compileHold(hold, this.#regionCount);
    if (sameHold(before, after)) return;
    this.#hold = after;
    const outside = this.#remark(before, after);
    for (let page = this.#queue.nextHeld(0); page >= 0; page = this.#queue.nextHeld(page + 1)) {
      if (!this.has(page)) this.#queue.move(page, STATE_QUEUED);
    }
    if (after.kind === HOLD_REGIONS) this.#holdRegions(before, after);
    const tally = this.#tally;
    // In the first pass nothing is dirty yet: the seen pages count, which only regions can hold.
    if (after.kind === HOLD_REGIONS && (firstPassDone || !after.onlyRewritten)) {
      tally.dirtyOutsideHoldPages = sumOutside(after.regions, tally.regionHistogram);
    } else tally.dirtyOutsideHoldPages = firstPassDone ? outside : tally.dirtyPages;
    this.#queue.restartHeldWalk();
  }

  /** Marks the members of a window or rate hold; returns how many dirty pages are none. */
  #remark(before: CompiledHold, after: CompiledHold): number {
    const marked = after.kind === HOLD_WINDOW || after.kind === HOLD_RATE;
    let outside = 0;
    for (let page = this.#recent.next(0); page >= 0; page = this.#recent.next(page + 1)) {
      const word = this.#meta[page]!;
      const was = after.kind === before.kind && (word & MEMBER) !== 0;
      const member =
        marked && memberBetween(after, historyBits(word), this.#heat.effectiveCode(page, word), was);
      this.#meta[page] = member ? word | MEMBER : word & ~MEMBER;
      if (member && !was && (word & STATE_MASK) === STATE_QUEUED) this.#holdBack(page);
      if (!member && (word & DIRTY_NOW) !== 0) outside++;
    }
    return outside;
  }

  #holdRegions(before: CompiledHold, after: CompiledHold): void {
    for (let region = 0; region < this.#regionCount; region++) {
      const isNew = before.regions[region] === 0 || before.onlyRewritten !== after.onlyRewritten;
      if (after.regions[region] === 0 || !isNew) continue;
      const end = (region + 1) * this.#regionPages;
      let page = this.#queue.nextQueued(region * this.#regionPages, end);
      for (; page >= 0; page = this.#queue.nextQueued(page + 1, end)) {
        if (this.inHeldRegion(page)) this.#holdBack(page);
      }
    }
  }

  #holdBack(page: number): void {
    if (!this.stopAndCopy) this.#queue.move(page, STATE_HELD);
  }

  /** A page whose iteration is over enters or leaves a window or rate hold; returns its word after that. */
  reevaluate(page: number, word: number, code: number): number {
    const { kind } = this.#hold;
    if (kind !== HOLD_WINDOW && kind !== HOLD_RATE) return word;
    const was = (word & MEMBER) !== 0;
    const member = memberAtEnd(this.#hold, historyBits(word), code, was);
    if (member === was) return word;
    if ((word & DIRTY_NOW) !== 0) this.#tally.dirtyOutsideHoldPages += member ? -1 : 1;
    this.#meta[page] = word ^ MEMBER;
    const state = word & STATE_MASK;
    if (member && state === STATE_QUEUED) this.#holdBack(page);
    else if (!member && state === STATE_HELD) this.#queue.move(page, STATE_QUEUED);
    return this.#meta[page]!;
  }
}
