/** A `Hold` value compiled to tables that the hot path can index. Not responsible for moving pages. */

import { assert, unreachable } from '../base/index.ts';
import type { Hold } from '../vm/index.ts';
import { codeLimitOfRate } from './heat.ts';

const HOLD_NONE = 0;
export const HOLD_WINDOW = 1;
export const HOLD_RATE = 2;
export const HOLD_REGIONS = 3;
export const HOLD_DIRTY_AGAIN = 4;

export interface CompiledHold {
  readonly kind: 0 | 1 | 2 | 3 | 4;
  /** window: 1 for the histories (bit 0 = running iteration) that make a page a member. */
  readonly enters: Uint8Array;
  /** window: 1 for the histories that end membership when an iteration ends. */
  readonly leaves: Uint8Array;
  /** rate: interval codes below this one are too fast. */
  readonly codeLimit: number;
  /** regions: 1 for a held region. */
  readonly regions: Uint8Array;
  /** regions: pages never rewritten since the first pass are not held. */
  readonly onlyRewritten: boolean;
}

const HISTORIES = 256;

export function compileHold(hold: Hold, regionCount: number): CompiledHold {
  const base = {
    enters: new Uint8Array(HISTORIES),
    leaves: new Uint8Array(HISTORIES),
    codeLimit: 0,
    regions: new Uint8Array(regionCount),
    onlyRewritten: false,
  };
  switch (hold.kind) {
    case 'none':
      return { ...base, kind: HOLD_NONE };
    case 'dirty-again':
      return { ...base, kind: HOLD_DIRTY_AGAIN };
    case 'rate':
      assert(hold.perSecondMax >= 0, 'a rate hold has a limit');
      return { ...base, kind: HOLD_RATE, codeLimit: codeLimitOfRate(hold.perSecondMax) };
    case 'regions':
      for (let region = 0; region < Math.min(regionCount, hold.regions.sizeBits); region++) {
        base.regions[region] = hold.regions.has(region) ? 1 : 0;
      }
      return { ...base, kind: HOLD_REGIONS, onlyRewritten: hold.onlyRewritten ?? false };
    case 'window':
      fillWindow(hold, base.enters, base.leaves);
      return { ...base, kind: HOLD_WINDOW };
    default:
      return unreachable(hold, 'compileHold');
  }
}

function fillWindow(hold: Extract<Hold, { kind: 'window' }>, enters: Uint8Array, leaves: Uint8Array): void {
  const { theta, of, leaveAfterClean } = hold;
  assert(of >= 1 && of <= 8 && theta >= 1 && theta <= of, 'a window hold asks for 1 <= theta <= of <= 8');
  assert(leaveAfterClean >= 1 && leaveAfterClean <= 8, 'a page leaves after 1 to 8 clean iterations');
  for (let history = 0; history < HISTORIES; history++) {
    let dirty = 0;
    for (let bit = 0; bit < of; bit++) dirty += (history >>> bit) & 1;
    enters[history] = dirty >= theta ? 1 : 0;
    leaves[history] = (history & ((1 << leaveAfterClean) - 1)) === 0 ? 1 : 0;
  }
}

/** Engines repeat their answer at every tick: an equal value must cost nothing. */
export function sameHold(left: CompiledHold, right: CompiledHold): boolean {
  return (
    left.kind === right.kind &&
    left.codeLimit === right.codeLimit &&
    left.onlyRewritten === right.onlyRewritten &&
    equalBytes(left.enters, right.enters) &&
    equalBytes(left.leaves, right.leaves) &&
    equalBytes(left.regions, right.regions)
  );
}

export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}

/** The histogram's total over the regions that are not held. */
export function sumOutside(regions: Uint8Array, histogram: Uint32Array): number {
  let outside = 0;
  for (let region = 0; region < histogram.length; region++) {
    if (regions[region] === 0) outside += histogram[region]!;
  }
  return outside;
}

/*
 * Membership in F, for the window and rate holds. `history` has the running iteration in bit 0; `code` is an
 * interval code (heat.ts), 0 when nothing is known.
 */

/** A page just arrived: does it enter? Nothing leaves before the iteration ends. */
export function entersNow(hold: CompiledHold, history: number, code: number): boolean {
  return hold.kind === HOLD_WINDOW ? hold.enters[history] === 1 : code !== 0 && code < hold.codeLimit;
}

/** The iteration in bit 0 is over. */
export function memberAtEnd(hold: CompiledHold, history: number, code: number, was: boolean): boolean {
  return entersNow(hold, history, code) || (hold.kind === HOLD_WINDOW && was && hold.leaves[history] === 0);
}

/** In the middle of an iteration a page that is clean so far is judged by the finished iterations. */
export function memberBetween(hold: CompiledHold, history: number, code: number, was: boolean): boolean {
  if (memberAtEnd(hold, history, code, was)) return true;
  return (history & 1) === 0 && memberAtEnd(hold, history >>> 1, code, was);
}
