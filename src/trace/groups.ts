/**
 * Ways in which a set of pages is written, sampled a step at a time: in turn, at random, by Zipf's law. Dense
 * sets are thinned 32 pages at a time and sparse ones drawn write by write, so the cost of a step is in
 * proportion to the pages that it dirties.
 * Not responsible for which groups make a workload (workload.ts).
 */

import { Prng } from '../base/index.ts';
import { thinLarge } from './large-sets.ts';
import type { DirtySink, RateGroup } from './types.ts';

export interface WriteGroup {
  readonly rates: readonly RateGroup[];
  /** Writes between two moments of guest time, ms; `seed` is the step's own. */
  write(fromMs: number, toMs: number, seed: number, sink: DirtySink): void;
}

/** Writes `count` pages from `firstPage` on in turn, over and over. */
export function inTurn(firstPage: number, count: number, pagesPerSecond: number): WriteGroup {
  return {
    rates: [{ pages: count, perSecond: pagesPerSecond / count }],
    write(fromMs, toMs, _seed, sink) {
      const from = Math.floor((pagesPerSecond * fromMs) / 1000);
      const written = Math.floor((pagesPerSecond * toMs) / 1000) - from;
      if (written >= count) {
        sink.range(firstPage, count);
        return;
      }
      if (written <= 0) return;
      const at = from % count;
      const untilEnd = Math.min(written, count - at);
      sink.range(firstPage + at, untilEnd);
      if (written > untilEnd) sink.range(firstPage, written - untilEnd);
    },
  };
}

/** Writes `count` pages from `firstPage` on, each write to one of them at random; `large`: large-sets.ts. */
export function atRandom(
  firstPage: number,
  count: number,
  pagesPerSecond: number,
  large = false,
): WriteGroup {
  return {
    rates: [{ pages: count, perSecond: pagesPerSecond / count }],
    write(fromMs, toMs, seed, sink) {
      const writes = wholeWrites(pagesPerSecond, fromMs, toMs);
      if (writes <= 0 || (large && sink.settled?.(firstPage, count))) return;
      if (large && isThinned(count, writes, DENSE_LARGE)) {
        thinLarge(seed, firstPage, count, 1 - Math.exp(-writes / count), sink);
      } else writeAtRandom(new Prng(seed), firstPage, count, writes, sink);
    },
  };
}

/** Above this many writes a page, thinning 32 pages at once is cheaper than drawing each write. */
const DENSE = 0.1;
/** The same for thinLarge, which draws less than half as much a word. */
const DENSE_LARGE = 0.03;
/** Above this many writes a page, the chance that one of 2^26 pages is missed is below 1e-4. */
const CERTAIN = 30;

function isThinned(count: number, writes: number, dense: number): boolean {
  return writes / count >= dense && writes / count < CERTAIN && count >= 64;
}

function writeAtRandom(prng: Prng, firstPage: number, count: number, writes: number, sink: DirtySink): void {
  const perPage = writes / count;
  if (perPage >= CERTAIN) sink.range(firstPage, count);
  else if (isThinned(count, writes, DENSE)) thin(prng, firstPage, count, 1 - Math.exp(-perPage), sink);
  else for (let write = 0; write < writes; write++) sink.page(firstPage + prng.below(count));
}

/** Each page with probability `share`, rounded to 16 bits, independently. */
function thin(prng: Prng, firstPage: number, count: number, share: number, sink: DirtySink): void {
  const end = firstPage + count;
  const lastWord = Math.floor((end - 1) / 32);
  const bits = Math.min(0xffff, Math.max(1, Math.round(share * 0x10000)));
  const lowest = Math.log2(bits & -bits);
  for (let word = Math.floor(firstPage / 32); word <= lastWord; word++) {
    // Bernoulli bits by the binary digits of the probability, least significant first: OR halves the way up
    // to 1, AND the way to 0.
    let mask = prng.i32();
    for (let digit = lowest + 1; digit < 16; digit++) {
      const random = prng.i32();
      mask = ((bits >>> digit) & 1) === 1 ? mask | random : mask & random;
    }
    if (word * 32 < firstPage) mask &= -1 << (firstPage & 31);
    if (word === lastWord && (end & 31) !== 0) mask &= (1 << (end & 31)) - 1;
    if (mask !== 0) sink.word(word, mask);
  }
}

/**
 * Writes by Zipf's law in its continuous form; ranks are scattered over the region by a stride, as the bare
 * guest does.
 */
export function byZipf(
  firstPage: number,
  count: number,
  pagesPerSecond: number,
  exponent: number,
  large = false,
): WriteGroup {
  const octaves = zipfOctaves(count, exponent);
  const pageOf = scatter(firstPage, count);
  return {
    rates: octaves.map(({ first, pages, share }) => ({
      first,
      pages,
      perSecond: (pagesPerSecond * share) / pages,
    })),
    write(fromMs, toMs, seed, sink) {
      const writes = wholeWrites(pagesPerSecond, fromMs, toMs);
      if (writes <= 0 || (large && sink.settled?.(firstPage, count))) return;
      const prng = new Prng(seed);
      for (const { first, pages, share } of octaves) {
        const perPage = (writes * share) / pages;
        const certain = perPage >= CERTAIN;
        const draws = writes * share;
        // A fraction of a write is one with that chance.
        const whole = Math.floor(draws) + (prng.unit() < draws % 1 ? 1 : 0);
        if (!certain && perPage < 1) {
          for (let write = 0; write < whole; write++) sink.page(pageOf(first + prng.below(pages)));
          continue;
        }
        const chance = 1 - Math.exp(-perPage);
        for (let rank = first; rank < first + pages; rank++) {
          if (certain || prng.unit() < chance) sink.page(pageOf(rank));
        }
      }
    },
  };
}

interface Octave {
  readonly first: number;
  readonly pages: number;
  /** Of all writes. */
  readonly share: number;
}

/**
 * Ranks 0, 1-2, 3-6, 7-14 ...: within one, rates differ by at most a factor of two and are taken as equal.
 */
function zipfOctaves(count: number, exponent: number): Octave[] {
  const power = 1 - exponent;
  const integral = (position: number) =>
    Math.abs(power) < 1e-6 ? Math.log(position) : (position ** power - 1) / power;
  const whole = integral(count + 1);
  const octaves: Octave[] = [];
  for (let first = 0; first < count; first = 2 * first + 1) {
    const pages = Math.min(first + 1, count - first);
    octaves.push({ first, pages, share: (integral(first + pages + 1) - integral(first + 1)) / whole });
  }
  return octaves;
}

/**
 * Where the page of a rank is. The remainder is taken by a reciprocal: `%` on numbers beyond 2^31 takes
 * longer than all else here.
 */
function scatter(firstPage: number, count: number): (rank: number) => number {
  const stride = scatteringStride(count);
  const perCount = 1 / count;
  return (rank) => {
    const at = rank * stride;
    const rest = at - Math.floor(at * perCount) * count;
    // The quotient may be off by one.
    if (rest < 0) return firstPage + rest + count;
    return firstPage + (rest < count ? rest : rest - count);
  };
}

/**
 * Odd and near 0.618 of the count, coprime to it: neighbours in heat are far apart in address. The bare
 * guest's choice.
 */
function scatteringStride(count: number): number {
  for (let stride = Math.floor((count * 618) / 1000) | 1; ; stride += 2) {
    let left = stride;
    let right = count;
    while (right > 0) [left, right] = [right, left % right];
    if (left === 1) return stride;
  }
}

/** Writes only in the busy part of the guest's period. Writes of the quiet part are not made up for. */
export function whileBusy(group: WriteGroup, busyMs: number, quietMs: number): WriteGroup {
  const periodMs = busyMs + quietMs;
  return {
    rates: group.rates,
    write(fromMs, toMs, seed, sink) {
      const period = Math.floor(fromMs / periodMs) * periodMs;
      for (let startMs = period; startMs < toMs; startMs += periodMs) {
        const from = Math.max(fromMs, startMs);
        const to = Math.min(toMs, startMs + busyMs);
        if (to > from) group.write(from, to, seed ^ startMs, sink);
      }
    },
  };
}

/** Writes are counted from the beginning, so that fractions of a write add up over steps. */
function wholeWrites(pagesPerSecond: number, fromMs: number, toMs: number): number {
  return Math.floor((pagesPerSecond * toMs) / 1000) - Math.floor((pagesPerSecond * fromMs) / 1000);
}
