/** Hold rules over the dirty history of iterations: FRS's frequent reference set and its older relatives. */

import type { Hold, ParameterValues } from '../../vm/index.ts';
import { value } from '../common.ts';

/** F_k: dirty in at least theta of the last `of` iterations; out after `leaveAfterClean` clean ones, so that F does not flicker. */
export function frequentSet(parameters: ParameterValues): Hold {
  const of = value(parameters, 'of');
  return {
    kind: 'window',
    // theta above the window could never be met, and would silently hold nothing.
    theta: Math.min(value(parameters, 'theta'), of),
    of,
    leaveAfterClean: value(parameters, 'leaveAfterClean'),
  };
}
