/**
 * MP's classes: what kind of program writes memory, read off the region histograms of a few iterations.
 * Not responsible for what follows from a class. Needs no memory of its own: the history holds the
 * histograms.
 */

import { Bitmap } from '../../base/index.ts';
import type { IterationStats } from '../../vm/index.ts';
import { dirtyPagesPerSecond, formatPercent, measured } from '../measures.ts';

export type PatternClass = 'unknown' | 'idle' | 'hot-spot' | 'sweep' | 'scattered' | 'phased';

export interface Pattern {
  readonly class: PatternClass;
  readonly text: string;
  /** Of a phased guest: busy to busy, and whether it is quiet now; null elsewhere. */
  readonly periodMs: number | null;
  readonly quiet: boolean;
}

/**
 * Share of all pages that may be dirty in an iteration of an idle guest (a running kernel dirties a few
 * hundred).
 */
const IDLE_SHARE = 0.002;
const IDLE_PAGES_MIN = 64;
/** "Most of h_k": the regions that hold this share of the dirty pages. */
const MOST = 0.8;
/** "Few regions": those may be at most this share of all regions. */
const FEW = 0.4;
/** cos(h_k, h_{k-1}) of a hot spot that stays where it is (definition). */
const COSINE_STEADY = 0.9;
/** Below this, the dirty regions have moved on. */
const COSINE_MOVED = 0.6;
/** A sweep's steps may differ by this share of their mean. */
const STEP_TOLERANCE = 0.5;
/**
 * Phases are looked for in so many iterations; the quiet one dirties at most this share of what the busy one
 * does.
 */
const PHASE_WINDOW = 16;
const PHASE_RATIO = 0.5;

export function cosine(left: Uint32Array, right: Uint32Array): number | null {
  if (left.length !== right.length) return null;
  let dot = 0;
  let leftSquare = 0;
  let rightSquare = 0;
  for (let region = 0; region < left.length; region++) {
    const a = left[region]!;
    const b = right[region]!;
    dot += a * b;
    leftSquare += a * a;
    rightSquare += b * b;
  }
  return leftSquare > 0 && rightSquare > 0 ? dot / Math.sqrt(leftSquare * rightSquare) : null;
}

/** The number of regions that hold MOST of the dirty pages, and the share they really hold. */
export function concentration(histogram: Uint32Array): { regions: number; share: number; populated: number } {
  const counts = histogram.filter((count) => count > 0).sort();
  let total = 0;
  for (const count of counts) total += count;
  let regions = 0;
  let sum = 0;
  for (let index = counts.length - 1; index >= 0 && sum < MOST * total; index--) {
    sum += counts[index]!;
    regions++;
  }
  return { regions, share: total > 0 ? sum / total : 0, populated: counts.length };
}

function centre(histogram: Uint32Array): number {
  let total = 0;
  let moment = 0;
  for (let region = 0; region < histogram.length; region++) {
    total += histogram[region]!;
    moment += histogram[region]! * region;
  }
  return total > 0 ? moment / total : 0;
}

/**
 * Two steps of the dirty centre in one direction at a steady speed; one of them may jump back to the start.
 */
function isSweep(last3: readonly IterationStats[]): boolean {
  if (last3.length < 3) return false;
  const [first, second, third] = last3.map((stats) => stats.regionHistogram) as [
    Uint32Array,
    Uint32Array,
    Uint32Array,
  ];
  const moved = (left: Uint32Array, right: Uint32Array) => {
    const similar = cosine(left, right);
    return similar !== null && similar < COSINE_MOVED;
  };
  if (!moved(first, second) || !moved(second, third)) return false;
  // A step is a speed: iterations differ in length.
  const speed = (from: Uint32Array, to: Uint32Array, stats: IterationStats) =>
    (centre(to) - centre(from)) / Math.max(1, stats.durationMs);
  const one = speed(first, second, last3[1]!);
  const two = speed(second, third, last3[2]!);
  if (Math.sign(one) !== Math.sign(two)) return concentration(third).regions <= FEW * third.length;
  return Math.abs(one - two) <= STEP_TOLERANCE * Math.abs((one + two) / 2);
}

/** Busy and quiet alternate: the dirty rate crossed its middle at least twice. */
export function phasesOf(history: readonly IterationStats[]): { periodMs: number; quiet: boolean } | null {
  const recent = measured(history).slice(-PHASE_WINDOW);
  if (recent.length < 4) return null;
  const rates = recent.map(dirtyPagesPerSecond);
  const high = Math.max(...rates);
  const low = Math.min(...rates);
  if (high <= 0 || low > PHASE_RATIO * high) return null;
  const middle = (high + low) / 2;
  const crossings: number[] = [];
  for (let index = 1; index < rates.length; index++) {
    if (rates[index]! > middle !== rates[index - 1]! > middle) crossings.push(recent[index]!.startMs);
  }
  if (crossings.length < 2) return null;
  const halfMs = (crossings.at(-1)! - crossings[0]!) / (crossings.length - 1);
  return { periodMs: 2 * halfMs, quiet: rates.at(-1)! <= middle };
}

/** The class as of the newest iteration of `history`. */
export function classify(history: readonly IterationStats[], pageCount: number): Pattern {
  const known = measured(history);
  const last = known.at(-1);
  const plain = (name: PatternClass, text: string): Pattern => ({
    class: name,
    text,
    periodMs: null,
    quiet: false,
  });
  if (last === undefined) return plain('unknown', 'no iteration after the first pass yet');
  const phases = phasesOf(history);
  if (phases !== null) {
    const text = `phased: ${phases.quiet ? 'quiet' : 'busy'} now, period ${(phases.periodMs / 1000).toFixed(1)} s`;
    return { class: 'phased', text, ...phases };
  }
  if (last.dirtyPages <= Math.max(IDLE_PAGES_MIN, IDLE_SHARE * pageCount)) {
    return plain('idle', `idle: ${last.dirtyPages} pages dirty in ${(last.durationMs / 1000).toFixed(1)} s`);
  }
  const { regions, share } = concentration(last.regionHistogram);
  const shareText = `${formatPercent(share)} of it in ${regions} of ${last.regionHistogram.length} regions`;
  const before = known.at(-2);
  const similar = before === undefined ? null : cosine(last.regionHistogram, before.regionHistogram);
  if (similar === null) return plain('unknown', `${shareText}; one iteration is not a pattern`);
  if (isSweep(known.slice(-3))) return plain('sweep', `sweep: ${shareText}, moving on`);
  if (regions <= FEW * last.regionHistogram.length && similar >= COSINE_STEADY) {
    return plain('hot-spot', `hot spot: ${shareText}, cosine to the last iteration ${similar.toFixed(2)}`);
  }
  return plain('scattered', `scattered: ${shareText}, cosine ${similar.toFixed(2)}`);
}

/** Weight of the newest histogram in the heat average, and how many histograms are averaged. */
const HEAT_WEIGHT = 0.5;
const HEAT_ITERATIONS = 6;
/** A region is hot when it has at least this share of the mean heat of the regions that hold most of it. */
const HOT_SHARE = 0.25;

/** heat[r]: exponential average of the region histograms. null before the first. */
function heatOfRegions(history: readonly IterationStats[]): Float64Array | null {
  const recent = measured(history).slice(-HEAT_ITERATIONS);
  if (recent.length === 0) return null;
  const heat = Float64Array.from(recent[0]!.regionHistogram);
  for (const stats of recent.slice(1)) {
    for (let region = 0; region < heat.length; region++) {
      const count = stats.regionHistogram[region] ?? 0;
      heat[region] = heat[region]! * (1 - HEAT_WEIGHT) + count * HEAT_WEIGHT;
    }
  }
  return heat;
}

export function hotRegions(history: readonly IterationStats[]): Bitmap | null {
  const heat = heatOfRegions(history);
  if (heat === null) return null;
  const sorted = heat.filter((amount) => amount > 0).sort();
  const total = sorted.reduce((sum, amount) => sum + amount, 0);
  let covered = 0;
  let count = 0;
  for (let index = sorted.length - 1; index >= 0 && covered < MOST * total; index--) {
    covered += sorted[index]!;
    count++;
  }
  const regions = new Bitmap(heat.length);
  const threshold = count > 0 ? (HOT_SHARE * covered) / count : Number.POSITIVE_INFINITY;
  for (let region = 0; region < heat.length; region++) if (heat[region]! >= threshold) regions.add(region);
  return regions;
}

/** The regions in which the newest iteration found dirty pages: of a sweep, those just behind its front. */
export function dirtyRegions(stats: IterationStats): Bitmap {
  const regions = new Bitmap(stats.regionHistogram.length);
  for (let region = 0; region < stats.regionHistogram.length; region++) {
    if (stats.regionHistogram[region]! > 0) regions.add(region);
  }
  return regions;
}
