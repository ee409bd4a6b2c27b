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
/** `ofPasses`: iterations are single long passes, and twice in a row is often. */
export function frequentSet(parameters: ParameterValues, ofPasses: boolean): Hold {
  const of = value(parameters, 'of');
  return {
    kind: 'window',
    // A theta above the window could never be met: the rule would hold nothing, and nobody would be told.
    theta: thetaOf(parameters, ofPasses),
    of,
    leaveAfterClean: value(parameters, 'leaveAfterClean'),
  };
}

const THETA_OF_PASSES = 2;

export function thetaOf(parameters: ParameterValues, ofPasses: boolean): number {
  const theta = Math.min(value(parameters, 'theta'), value(parameters, 'of'));
  return ofPasses ? Math.min(theta, THETA_OF_PASSES) : theta;
}
