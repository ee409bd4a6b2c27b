/**
 * How often a page is rewritten, in two bytes: an estimated interval between rewrites on a log scale,
 * and a saturating log count of modifications. Pure functions and tables; not responsible for where
 * the bytes are stored.
 *
 * Samples are dirty bits seen at QEMU's passes (50 ms .. 10 s apart), so an interval shorter than a pass
 * cannot be seen: such a page reads as rewritten once a pass.
 */

import { REWRITE_CLASSES } from '../vm/index.ts';

/**
 * What a heat tick counts wherever pages are put or rewritten. A u16 stamp of such ticks spans 17 minutes.
 */
export const HEAT_TICK_MS = 16;

export function heatTickOf(nowMs: number): number {
  return Math.floor(nowMs / HEAT_TICK_MS);
}

/** Longest interval told apart, in ticks (17 minutes). */
export const INTERVAL_TICKS_MAX = 65_535;

/** Interval code: 0 unknown, else 2^((code - 1) / 16) ticks: steps of 4.4 %, 1 tick .. 17 minutes. */
const CODE_STEPS_PER_OCTAVE = 16;
const CODE_MAX = 255;

const CODE_OF_TICKS = new Uint8Array(INTERVAL_TICKS_MAX + 1);
for (let ticks = 1; ticks <= INTERVAL_TICKS_MAX; ticks++) {
  CODE_OF_TICKS[ticks] = Math.min(CODE_MAX, 1 + Math.round(CODE_STEPS_PER_OCTAVE * Math.log2(ticks)));
}

const TICKS_OF_CODE = new Float64Array(256);
for (let code = 1; code <= CODE_MAX; code++) TICKS_OF_CODE[code] = 2 ** ((code - 1) / CODE_STEPS_PER_OCTAVE);

/** 0 ticks count as one: faster than a tick cannot be told. */
export function intervalCodeOfTicks(ticks: number): number {
  return CODE_OF_TICKS[ticks < 1 ? 1 : ticks > INTERVAL_TICKS_MAX ? INTERVAL_TICKS_MAX : ticks | 0]!;
}

/** The weight of a new sample: 1/4 remembers about the last 8 rewrites. */
const SAMPLE_WEIGHT = 0.25;

/**
 * Exponential average of the intervals, in the linear domain (an average of logarithms
 * would overstate the rate).
 */
export function blendIntervalCode(code: number, sampleTicks: number): number {
  const before = TICKS_OF_CODE[code]!;
  return CODE_OF_TICKS[(before + (sampleTicks - before) * SAMPLE_WEIGHT + 0.5) | 0]!;
}

/** Rewrites a second; 0 for an unknown interval (a page never seen rewritten). */
export function ratePerSecondOfCode(code: number): number {
  return code === 0 ? 0 : 1000 / (HEAT_TICK_MS * TICKS_OF_CODE[code]!);
}

/** Codes below the result mean a rate above `perSecondMax`. */
export function codeLimitOfRate(perSecondMax: number): number {
  let limit = 1;
  while (limit <= CODE_MAX && ratePerSecondOfCode(limit) > perSecondMax) limit++;
  return limit;
}

/**
 * Class of the rewrite histogram (src/vm/statistics.ts): c counts rates in [2^(c-16), 2^(c-15)) per second.
 */
export const REWRITE_CLASS_OF_CODE = new Uint8Array(256);
for (let code = 1; code <= CODE_MAX; code++) {
  const exponent = Math.floor(Math.log2(ratePerSecondOfCode(code)));
  REWRITE_CLASS_OF_CODE[code] = Math.min(REWRITE_CLASSES - 1, Math.max(0, exponent + REWRITE_CLASSES / 2));
}

/** Lower bounds of the interval, ms, of heat classes 1..6; 0 is "never rewritten", 7 what is left. */
const HEAT_CLASS_MS = [64_000, 16_000, 4_000, 2_000, 1_000, 500] as const;

/** 0 coldest .. 7 hottest. */
export const HEAT_CLASS_OF_CODE = new Uint8Array(256);
for (let code = 1; code <= CODE_MAX; code++) {
  const intervalMs = TICKS_OF_CODE[code]! * HEAT_TICK_MS;
  const found = HEAT_CLASS_MS.findIndex((lowerMs) => intervalMs >= lowerMs);
  HEAT_CLASS_OF_CODE[code] = found < 0 ? 7 : found + 1;
}

/** The modification counter: exact to 8, then two steps an octave, up to 8 * 2^11.5 = 23,170. */
const COUNTER_MAX = 31;
const COUNTER_EXACT = 8;

function countOfCounter(counter: number): number {
  return counter <= COUNTER_EXACT ? counter : COUNTER_EXACT * 2 ** ((counter - COUNTER_EXACT) / 2);
}

// A step above 8 is taken with the probability that makes the expected count right (Morris 1978).
const COUNTER_STEP_BELOW = new Float64Array(COUNTER_MAX + 1);
for (let counter = 0; counter < COUNTER_MAX; counter++) {
  COUNTER_STEP_BELOW[counter] = 2 ** 32 / (countOfCounter(counter + 1) - countOfCounter(counter));
}

/** The chance of a Morris counter comes from a hash of page and tick: no randomness, the same run twice. */
export function nextCounter(counter: number, pageIndex: number, tick: number): number {
  if (counter < COUNTER_EXACT) return counter + 1;
  let hash = Math.imul(pageIndex ^ Math.imul(tick, 0x9e3779b1), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0 < COUNTER_STEP_BELOW[counter]! ? counter + 1 : counter;
}

/** Estimated number of modifications. */
export function modificationsOfCounter(counter: number): number {
  return countOfCounter(counter);
}

/** 0, 1, 2, 3-4, 5-8, -32, -128, more. */
export const CLASS_OF_COUNTER = new Uint8Array(COUNTER_MAX + 1);
for (let counter = 0; counter <= COUNTER_MAX; counter++) {
  const found = [0, 1, 2, 4, 8, 32, 128].findIndex((upper) => countOfCounter(counter) <= upper);
  CLASS_OF_COUNTER[counter] = found < 0 ? 7 : found;
}
