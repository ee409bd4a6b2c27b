/** FRS, Inter-Iteration Frequent Reference Set. */

import type { Outlook, ParameterValues, Strategy, Verdict } from '../../vm/index.ts';
import { ITERATION_PARAMETERS, iterationByBacklog, parameter } from '../common.ts';
import { frequentSet } from '../hold/frequent.ts';
import { learningOrder } from '../order/learning.ts';
import { frequentSetSwitchover } from '../switchover/frequent-set.ts';

const OURS = 'our definition; the published description gives the idea, not the threshold';

function verdict(outlook: Outlook, parameters: ParameterValues): Verdict<null> {
  return {
    hold: frequentSet(parameters),
    order: learningOrder(outlook),
    decision: frequentSetSwitchover(outlook, parameters),
    memory: null,
  };
}

export const frs: Strategy<null> = {
  name: 'frs',
  idea: 'Pages dirty in most of the last iterations wait; stop when only they are dirty or dirtying stops falling.',
  source: 'Inter-Iteration Frequent Reference Set, published idea; thresholds are ours',
  label: 'R',
  mechanism: 'gateway',
  absorb: true,
  promisesDowntimeLimit: false,
  delta: true,
  parameters: [
    parameter(
      'theta',
      3,
      [1, 8],
      'iterations',
      'dirty in at least this many of the last `of` iterations: frequent',
      OURS,
    ),
    parameter('of', 4, [1, 8], 'iterations', 'window of the dirty history', OURS),
    parameter('leaveAfterClean', 2, [1, 8], 'iterations', 'clean for this long: no longer frequent', OURS),
    parameter(
      'epsilon',
      0.05,
      [0, 1],
      'share',
      'dirty pages outside the frequent set that count as none',
      OURS,
    ),
    parameter('delta', 0.05, [0, 1], 'share', 'a smaller fall of |D| counts as flat', OURS),
    parameter(
      'flatIterations',
      2,
      [1, 16],
      'iterations',
      'flat for this long: more iterations buy nothing',
      OURS,
    ),
    parameter(
      'heldShare',
      0.05,
      [0, 1],
      'share',
      "the rest may take this share of the held set's time",
      OURS,
    ),
    parameter(
      'yieldMin',
      0.1,
      [0, 1],
      'share',
      'less of the sent bytes lasting than this counts as drained',
      OURS,
    ),
    ...ITERATION_PARAMETERS,
  ],
  start: () => null,
  atIteration: (outlook, _memory, parameters) => verdict(outlook, parameters),
  atTick: (outlook, _memory, parameters) => verdict(outlook, parameters),
  iterationMs: iterationByBacklog,
};
