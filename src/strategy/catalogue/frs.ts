/** FRS, Inter-Iteration Frequent Reference Set. */

import type { Outlook, ParameterValues, Strategy, Verdict } from '../../vm/index.ts';
import { ABSORBING, HOLD_NONE, ITERATION_PARAMETERS, OUR_DEFINITION, parameter, value } from '../common.ts';
import { frequentSet, frequentSetParameters } from '../hold/frequent.ts';
import { isQuietNow, nextPassIsInVain, passesAreLong } from '../measures.ts';
import { learningOrder } from '../order/learning.ts';
import { DRAINED_PARAMETERS } from '../switchover/drained.ts';
import { frequentSetSwitchover } from '../switchover/frequent-set.ts';
import { NO_PATIENCE, type Patience, patientStop } from '../switchover/patience.ts';
import { trimFallParameter } from '../switchover/trim.ts';

/** Stops that may be worth a moment more; a rest that fits the limit is not. */
const MAY_WAIT: readonly string[] = ['frs-frequent-set', 'frs-flat'];

function verdict(outlook: Outlook, memory: Patience, parameters: ParameterValues): Verdict<Patience> {
  const wanted = frequentSetSwitchover(outlook, parameters);
  const mayWait = MAY_WAIT.includes(wanted.rule) && !nextPassIsInVain(outlook);
  const { decision, patience } =
    mayWait || (memory.trim !== null && wanted.action === 'continue')
      ? patientStop(outlook, memory, wanted, { rule: 'frs', fallMin: value(parameters, 'trimFallMin') })
      : { decision: wanted, patience: { ...memory, trim: null } };
  return {
    hold:
      patience.trim === null && !isQuietNow(outlook)
        ? frequentSet(parameters, passesAreLong(outlook))
        : HOLD_NONE,
    order: learningOrder(outlook),
    decision,
    memory: patience,
    withholdsPass: decision.rule === 'frs-drain' && nextPassIsInVain(outlook),
  };
}

export const frs: Strategy<Patience> = {
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
    trimFallParameter(),
    ...DRAINED_PARAMETERS,
    ...ITERATION_PARAMETERS,
  ],
  start: () => NO_PATIENCE,
  atIteration: verdict,
  atTick: verdict,
};
