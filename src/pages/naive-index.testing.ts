/**
 * A second, naive page index for the tests: a Map of plain objects, every question answered by looking at all
 * pages. It shares only the interval and counter tables (heat.ts) with the fast one. Not for production.
 */

import type { Hold, Order } from '../vm/index.ts';
import {
  blendIntervalCode,
  codeLimitOfRate,
  HEAT_CLASS_OF_CODE,
  heatTickOf,
  intervalCodeOfTicks,
} from './heat.ts';

export interface NaivePage {
  where: 'none' | 'queued' | 'held';
  zero: boolean;
  sent: boolean;
  member: boolean;
  class: number;
  /** Iterations in which the page was dirty. */
  readonly dirtyIn: Set<number>;
  rewrites: number;
  code: number;
  boundOnly: boolean;
  lastTick: number | null;
  recent: boolean;
}

export class NaiveIndex {
  readonly pages = new Map<number, NaivePage>();
  readonly regionPages: number;
  iteration = 0;
  hold: Hold = { kind: 'none' };
  order: Order = { kind: 'address' };
  stopAndCopy = false;
  sentPages = 0;
  resentPages = 0;
  tick = 0;
  firstTick: number | null = null;
  readonly cursors = new Array<number>(8).fill(0);
  frontier = 0;
  frontierTaken = 0;

  constructor(regionPages: number) {
    this.regionPages = regionPages;
  }

  arrive(index: number, tick: number, zero: boolean): void {
    this.tick = tick;
    this.firstTick ??= tick;
    const page = this.pages.get(index) ?? newPage();
    const isNew = !this.pages.has(index);
    this.pages.set(index, page);
    if (isNew) this.frontier = index;
    if (isNew && this.iteration === 0) page.dirtyIn.add(-1);
    if (this.iteration > 0) this.#rewrite(page, tick);
    const again = page.where !== 'none';
    page.member ||= this.#entersAtArrival(page);
    let holds = page.member;
    if (this.hold.kind === 'regions') holds = this.#inRegion(index, page);
    if (this.hold.kind === 'dirty-again') holds = again;
    page.zero = zero;
    page.where = holds && !this.stopAndCopy ? 'held' : 'queued';
    this.#classify(index, page, page.code);
  }

  #rewrite(page: NaivePage, tick: number): void {
    if (page.lastTick === null) {
      if (page.code === 0) page.code = intervalCodeOfTicks(tick - this.firstTick!);
      page.boundOnly = true;
    } else {
      const ticks = Math.max(1, tick - page.lastTick);
      page.code = page.boundOnly ? intervalCodeOfTicks(ticks) : blendIntervalCode(page.code, ticks);
      page.boundOnly = false;
    }
    page.lastTick = tick;
    page.rewrites++;
    page.dirtyIn.add(this.iteration);
    page.recent = true;
  }

  #dirtyCount(page: NaivePage, lastIteration: number, of: number): number {
    let count = 0;
    for (let back = 0; back < of; back++)
      if (page.dirtyIn.has(lastIteration - back) && lastIteration - back > 0) count++;
    return count;
  }

  #effectiveCode(page: NaivePage): number {
    return page.lastTick === null
      ? page.code
      : Math.max(page.code, intervalCodeOfTicks(this.tick - page.lastTick));
  }

  #entersAtArrival(page: NaivePage): boolean {
    if (this.hold.kind === 'window')
      return this.#dirtyCount(page, this.iteration, this.hold.of) >= this.hold.theta;
    return (
      this.hold.kind === 'rate' && page.code !== 0 && page.code < codeLimitOfRate(this.hold.perSecondMax)
    );
  }

  #inRegion(index: number, page: NaivePage): boolean {
    if (this.hold.kind !== 'regions' || !this.hold.regions.has(Math.floor(index / this.regionPages)))
      return false;
    return this.hold.onlyRewritten !== true || page.rewrites > 0;
  }

  #memberJudged(page: NaivePage, lastIteration: number): boolean {
    if (this.hold.kind === 'rate') {
      const code = this.#effectiveCode(page);
      return code !== 0 && code < codeLimitOfRate(this.hold.perSecondMax);
    }
    if (this.hold.kind !== 'window') return false;
    if (this.#dirtyCount(page, lastIteration, this.hold.of) >= this.hold.theta) return true;
    return page.member && this.#dirtyCount(page, lastIteration, this.hold.leaveAfterClean) > 0;
  }

  isMember(index: number): boolean {
    const page = this.pages.get(index);
    if (!page) return false;
    if (this.hold.kind === 'regions') return this.#inRegion(index, page);
    return this.hold.kind === 'dirty-again' ? page.where === 'held' : page.member;
  }

  setHold(hold: Hold): void {
    if (JSON.stringify(describe(hold)) === JSON.stringify(describe(this.hold))) return;
    const before = this.hold;
    const heldRegionBefore = (index: number) =>
      before.kind === 'regions' &&
      hold.kind === 'regions' &&
      (before.onlyRewritten ?? false) === (hold.onlyRewritten ?? false) &&
      before.regions.has(Math.floor(index / this.regionPages));
    this.hold = hold;
    for (const [index, page] of this.pages) {
      const was = hold.kind === before.kind && page.member;
      page.member = was;
      page.member = page.recent && (this.#memberJudged(page, this.iteration) || this.#judgedWhileClean(page));
      const enters =
        hold.kind === 'regions'
          ? this.#inRegion(index, page) && !heldRegionBefore(index)
          : page.member && !was;
      if (page.where === 'queued' && enters && !this.stopAndCopy) page.where = 'held';
      else if (page.where === 'held' && !this.isMember(index)) {
        page.where = 'queued';
        this.#classify(index, page, page.code);
      }
    }
  }

  #judgedWhileClean(page: NaivePage): boolean {
    return !page.dirtyIn.has(this.iteration) && this.#memberJudged(page, this.iteration - 1);
  }

  setOrder(order: Order): void {
    if (JSON.stringify(describe(order)) === JSON.stringify(describe(this.order))) return;
    this.order = order;
    for (const [index, page] of this.pages)
      if (page.where === 'queued') this.#classify(index, page, page.code);
  }

  #classify(index: number, page: NaivePage, code: number): void {
    if (this.order.kind === 'address') page.class = 0;
    else if (this.order.kind === 'coldest') page.class = HEAT_CLASS_OF_CODE[code]!;
    else if (this.order.kind === 'region')
      page.class = this.order.classOfRegion[Math.floor(index / this.regionPages)]!;
    else page.class = [0, 1, 2, 4, 8].findIndex((upper) => page.rewrites <= upper);
  }

  take(max: number): number[] {
    const taken: number[] = [];
    const zeros = this.indexes((page) => page.where === 'queued' && page.zero).length;
    const others = max - Math.min(zeros, Math.floor(max / 2));
    if (this.order.kind !== 'address' && this.frontier !== this.frontierTaken) {
      this.frontierTaken = this.frontier;
      const from = Math.max(0, this.frontier - 1024);
      this.cursors.fill(from);
      const freshest = this.indexes((page) => page.where === 'queued' && !page.zero).filter(
        (index) => index >= from,
      );
      freshest.sort((a, b) => this.pages.get(a)!.class - this.pages.get(b)!.class || a - b);
      taken.push(...freshest.slice(0, others));
    }
    for (let at = 0; at <= 8; at++) {
      const limit = at === 8 ? max : others;
      const queued = this.indexes(
        (page) => page.where === 'queued' && (page.zero ? 8 : page.class) === at,
      ).filter((index) => !taken.includes(index));
      const cursor = this.cursors[at] ?? 0;
      const chosen = [
        ...queued.filter((index) => index >= cursor),
        ...queued.filter((index) => index < cursor),
      ];
      chosen.length = Math.min(chosen.length, Math.max(0, limit - taken.length));
      if (chosen.length > 0 && at < 8) this.cursors[at] = chosen.at(-1)! + 1;
      taken.push(...chosen);
    }
    for (const index of taken) this.send(index);
    return taken;
  }

  send(index: number): void {
    const page = this.pages.get(index)!;
    page.where = 'none';
    this.sentPages++;
    if (page.sent) this.resentPages++;
    page.sent = true;
  }

  toQueue(index: number): void {
    const page = this.pages.get(index)!;
    page.where = 'queued';
    this.#classify(index, page, page.code);
  }

  endIteration(nowMs: number): { dirty: number; outside: number } {
    this.tick = Math.max(this.tick, heatTickOf(nowMs));
    this.firstTick ??= this.tick;
    for (const [index, page] of this.pages) if (page.recent) this.#closePage(index, page);
    if (this.hold.kind === 'dirty-again')
      for (const index of this.indexes((page) => page.where === 'held')) this.toQueue(index);
    const counts = this.dirtyCounts();
    for (const page of this.pages.values()) if (page.recent && this.#coolsNow(page)) this.#cool(page);
    this.iteration++;
    return counts;
  }

  #closePage(index: number, page: NaivePage): void {
    const was = page.member;
    page.member = this.#memberJudged(page, this.iteration);
    if (page.member && !was && page.where === 'queued' && !this.stopAndCopy) page.where = 'held';
    const marks = this.hold.kind === 'window' || this.hold.kind === 'rate';
    if (marks && was && !page.member && page.where === 'held') page.where = 'queued';
    if (page.where === 'queued') this.#classify(index, page, this.#effectiveCode(page));
  }

  #coolsNow(page: NaivePage): boolean {
    return !page.member && this.#dirtyCount(page, this.iteration, 8) === 0;
  }

  #cool(page: NaivePage): void {
    page.code = this.#effectiveCode(page);
    page.lastTick = null;
    page.recent = false;
  }

  /** |D_k| and |D_k \ F_k| of the running iteration; in the first pass the seen pages. */
  dirtyCounts(): { dirty: number; outside: number } {
    const dirty = this.indexes((page) => page.dirtyIn.has(this.iteration === 0 ? -1 : this.iteration));
    const inSet = (index: number) => this.hold.kind !== 'dirty-again' && this.isMember(index);
    return { dirty: dirty.length, outside: dirty.filter((index) => !inSet(index)).length };
  }

  indexes(which: (page: NaivePage) => boolean): number[] {
    const found = [...this.pages].filter(([, page]) => which(page)).map(([index]) => index);
    return found.sort((left, right) => left - right);
  }
}

function newPage(): NaivePage {
  return {
    where: 'none',
    zero: false,
    sent: false,
    member: false,
    class: 0,
    dirtyIn: new Set(),
    rewrites: 0,
    code: 0,
    boundOnly: false,
    lastTick: null,
    recent: false,
  };
}

function describe(value: Hold | Order): unknown {
  if (value.kind === 'regions') return [value.kind, [...value.regions.words], value.onlyRewritten ?? false];
  return value.kind === 'region' ? [value.kind, [...value.classOfRegion]] : value;
}
