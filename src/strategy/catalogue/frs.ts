/** FRS, Inter-Iteration Frequent Reference Set. */

import type { Outlook, ParameterValues, Strategy, Verdict } from '../../vm/index.ts';
import { ABSORBING, ITERATION_PARAMETERS, OUR_DEFINITION, parameter } from '../common.ts';
import { frequentSet, frequentSetParameters } from '../hold/frequent.ts';
import { learningOrder } from '../order/learning.ts';
import { DRAINED_PARAMETERS } from '../switchover/drained.ts';
import { frequentSetSwitchover } from '../switchover/frequent-set.ts';

function verdict(outlook: Outlook, parameters: ParameterValues): Verdict<null> {
  return {
    hold: frequentSet(parameters),
    order: learningOrder(outlook),
    decision: frequentSetSwitchover(outlook, parameters),
    memory: null,
  };
}

export const frs: Strategy<null> = {
  ...ABSORBING,
  name: 'frs',
  idea: 'Pages dirty in most of the last iterations wait; stop when only they are dirty or dirtying stops falling.',
  source: 'Inter-Iteration Frequent Reference Set, published idea; thresholds are ours',
  label: 'R',
  parameters: [
    ...frequentSetParameters(
      'dirty in at least this many of the last `of` iterations: frequent',
      OUR_DEFINITION,
    ),
    parameter(
      'epsilon',
      0.05,
      [0, 1],
      'share',
      'dirty pages outside the frequent set that count as none',
      OUR_DEFINITION,
    ),
    parameter('delta', 0.05, [0, 1], 'share', 'a smaller fall of |D| counts as flat', OUR_DEFINITION),
    parameter(
      'flatIterations',
      2,
      [1, 16],
      'iterations',
      'flat for this long: more iterations buy nothing',
      OUR_DEFINITION,
    ),
    ...DRAINED_PARAMETERS,
    ...ITERATION_PARAMETERS,
  ],
  start: () => null,
  atIteration: (outlook, _memory, parameters) => verdict(outlook, parameters),
  atTick: (outlook, _memory, parameters) => verdict(outlook, parameters),
};
