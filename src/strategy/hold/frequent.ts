/**
 * The frequent set: pages that are dirty in most of the last iterations. FRS's hold, and that of its older
 * relatives.
 */

import type { Hold, ParameterSpec, ParameterValues } from '../../vm/index.ts';
import { parameter, value } from '../common.ts';

/** `thetaMeaning` says what the strategy at hand does with a page that reaches theta. */
export function frequentSetParameters(thetaMeaning: string, source: string): readonly ParameterSpec[] {
  return [
    parameter('theta', 3, [1, 8], 'iterations', thetaMeaning, source),
    parameter('of', 4, [1, 8], 'iterations', 'window of the dirty history', source),
    parameter('leaveAfterClean', 2, [1, 8], 'iterations', 'clean for this long: no longer frequent', source),
  ];
}

/**
 * F_k: dirty in at least theta of the last `of` iterations; out after `leaveAfterClean` clean ones, so that F
 * does not flicker.
 */
export function frequentSet(parameters: ParameterValues): Hold {
  const of = value(parameters, 'of');
  return {
    kind: 'window',
    // A theta above the window could never be met: the rule would hold nothing, and nobody would be told.
    theta: Math.min(value(parameters, 'theta'), of),
    of,
    leaveAfterClean: value(parameters, 'leaveAfterClean'),
  };
}
