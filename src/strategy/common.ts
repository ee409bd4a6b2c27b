/**
 * What every strategy is composed with: decisions, shared parameters, iteration lengths. Not responsible for
 * any rule.
 */

import type { Decision, Hold, Order, Outlook, ParameterSpec, ParameterValues, Verdict } from '../vm/index.ts';
import { bytesPerPage, passesAreLong, remainingBytes } from './measures.ts';

export const HOLD_NONE: Hold = { kind: 'none' };
export const ADDRESS_ORDER: Order = { kind: 'address' };
export const COLDEST_FIRST: Order = { kind: 'coldest' };

export function goOn(rule: string, text: string): Decision {
  return { action: 'continue', rule, text };
}

export function stop(rule: string, text: string): Decision {
  return { action: 'stop-and-copy', rule, text };
}

export function abort(rule: string, text: string): Decision {
  return { action: 'abort', rule, text };
}

/** QEMU's pre-copy as it is: nothing held, pages in address order. */
export function plain<Memory>(decision: Decision, memory: Memory): Verdict<Memory> {
  return { hold: HOLD_NONE, order: ADDRESS_ORDER, decision, memory };
}

export function value(parameters: ParameterValues, name: string): number {
  const found = parameters[name];
  if (found === undefined) throw new RangeError(`parameter ${name} is missing`);
  return found;
}

/** Shorthand for a spec: [name, default, min, max, unit, meaning, source]. */
export function parameter(
  name: string,
  standard: number,
  range: readonly [number, number],
  unit: string,
  meaning: string,
  source: string,
): ParameterSpec {
  return { name, default: standard, min: range[0], max: range[1], unit, meaning, source };
}

/**
 * Iteration bounds. The definition is T = clamp((queue + held) / B, 1 s, 10 s). With absorb, nearly all RAM
 * waits at the gateway at first: T would be 10 s until the queue is drained, and a window of 4 iterations
 * would close long after that. With 1.5 s such a window closes within the 6 s that 150 MiB take on 200 Mb/s,
 * and an iteration still has six passes of 250 ms: enough to see a page that is written every few seconds.
 */
export const ITERATION_PARAMETERS: readonly ParameterSpec[] = [
  parameter('iterationMsMin', 1000, [50, 60_000], 'ms', 'shortest iteration', 'definition of an iteration'),
  parameter(
    'iterationMsMax',
    1500,
    [100, 600_000],
    'ms',
    'longest iteration',
    'ours: a 4-iteration window must close before an absorbed queue is drained',
  ),
  parameter(
    'iterationsMax',
    30,
    [1, 10_000],
    'iterations',
    'iterations after the queue was drained before --on-timeout is followed',
    'cap of the definition; Xen stops after 29',
  ),
];

/**
 * T = clamp((queue + held) / B, iterationMsMin, iterationMsMax); the shortest while the link rate is unknown.
 * The first iteration after QEMU's first pass is a single pass. It tells where the guest writes at all, and a
 * guest that hardly writes need not wait for a second of statistics. Where passes are long, each is one.
 */
function iterationByBacklog(outlook: Outlook, parameters: ParameterValues): number {
  if (outlook.history.length === 1 || passesAreLong(outlook)) return 0;
  const given = value(parameters, 'iterationMsMin');
  const link = outlook.linkBytesPerSecond;
  if (link === null || link <= 0) return given;
  // A window of iterations must close while what was absorbed is being sent, however short that takes.
  const allMs = (outlook.pageCount * bytesPerPage(outlook.snapshot) * 1000) / link;
  const scaleMs = Math.max(ITERATION_MS_LEAST, allMs / ITERATIONS_A_TRANSFER);
  const min = Math.min(given, scaleMs);
  const max = Math.min(Math.max(given, value(parameters, 'iterationMsMax')), Math.max(min, scaleMs));
  return Math.min(max, Math.max(min, (remainingBytes(outlook) * 1000) / link));
}

/** All of the guest's memory takes the link at least as long as so many iterations. */
const ITERATIONS_A_TRANSFER = 4;
/** The passes that a gateway keeps apart are no closer. */
const ITERATION_MS_LEAST = 150;

/** Why a threshold of `frs` and `mp` is what it is: both were published as ideas. */
export const OUR_DEFINITION = 'our definition; the published description gives the idea, not the threshold';

/** Every pass is an iteration, as in the systems that have no other notion of it. */
export function iterationIsPass(): number {
  return 0;
}

/** What the rules of others have in common: they stand on pre-copy as it is, and decide once a pass. */
export const PER_PASS = {
  mechanism: 'gateway',
  simulatorOnly: null,
  absorb: false,
  promisesDowntimeLimit: false,
  delta: false,
  iterationMs: iterationIsPass,
} as const;

/**
 * What the rules have in common that were made for a gateway which drains QEMU and keeps the newest copies.
 */
export const ABSORBING = {
  mechanism: 'gateway',
  simulatorOnly: null,
  absorb: true,
  promisesDowntimeLimit: false,
  delta: true,
  iterationMs: iterationByBacklog,
} as const;
