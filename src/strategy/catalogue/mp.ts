/** MP, Inter-Iteration Memory Pattern. */

import type { Hold, Outlook, ParameterValues, Strategy, Verdict } from '../../vm/index.ts';
import { ABSORBING, HOLD_NONE, ITERATION_PARAMETERS, OUR_DEFINITION, parameter, value } from '../common.ts';
import { frequentSetParameters } from '../hold/frequent.ts';
import { holdByPattern } from '../hold/pattern.ts';
import { nextPassIsInVain } from '../measures.ts';
import { learningOrder } from '../order/learning.ts';
import { DRAINED_PARAMETERS } from '../switchover/drained.ts';
import { isIntensive, type PatternMemory, patternSwitchover } from '../switchover/pattern.ts';
import { classify } from '../switchover/pattern-class.ts';
import { trimFallParameter } from '../switchover/trim.ts';

interface MpMemory extends PatternMemory {
  /** Worked out at the end of an iteration, kept between. */
  readonly hold: Hold;
}

function start(): MpMemory {
  return {
    pattern: { class: 'unknown', text: 'nothing known about dirtying yet', periodMs: null, quiet: false },
    sameClass: 0,
    intensive: false,
    waitingSinceMs: null,
    quietSinceMs: null,
    trim: null,
    hold: HOLD_NONE,
  };
}

function answer(outlook: Outlook, memory: MpMemory, parameters: ParameterValues): Verdict<MpMemory> {
  const { decision, waitingSinceMs, trim } = patternSwitchover(outlook, memory, parameters);
  const hold = trim === null ? memory.hold : HOLD_NONE;
  return {
    hold,
    order: learningOrder(outlook),
    decision,
    memory: { ...memory, waitingSinceMs, trim },
    withholdsPass: decision.rule === 'mp-drain' && nextPassIsInVain(outlook),
  };
}

function atIteration(outlook: Outlook, memory: MpMemory, parameters: ParameterValues): Verdict<MpMemory> {
  const pattern = classify(outlook.history, outlook.pageCount);
  const intensive = isIntensive(outlook, parameters);
  const same = pattern.class === memory.pattern.class && pattern.class !== 'unknown';
  const quietSinceMs = pattern.quiet
    ? (memory.quietSinceMs ?? outlook.history.at(-1)?.startMs ?? outlook.nowMs)
    : null;
  const next: MpMemory = {
    pattern,
    sameClass: same ? Math.min(memory.sameClass + 1, value(parameters, 'sameIterations')) : 1,
    intensive,
    waitingSinceMs: same ? memory.waitingSinceMs : null,
    quietSinceMs,
    trim: memory.trim,
    hold: holdByPattern(pattern, intensive, outlook, parameters),
  };
  return answer(outlook, next, parameters);
}

export const mp: Strategy<MpMemory> = {
  ...ABSORBING,
  name: 'mp',
  idea: 'Recognise how the guest writes (hot spot, sweep, scattered, phased); if it outruns the link and stays so, stop early.',
  source: 'Inter-Iteration Memory Pattern, published idea; classes and thresholds are ours',
  label: 'R',
  parameters: [
    parameter(
      'sameIterations',
      2,
      [1, 16],
      'iterations',
      'the same class for this long: settled',
      OUR_DEFINITION,
    ),
    parameter(
      'sweepPatience',
      4,
      [0, 64],
      'iterations',
      "longest wait for a sweep's least backlog",
      OUR_DEFINITION,
    ),
    trimFallParameter(),
    ...frequentSetParameters('scattered writes: hold as frs does', 'as frs'),
    ...DRAINED_PARAMETERS,
    ...ITERATION_PARAMETERS,
  ],
  start,
  atIteration,
  atTick: answer,
};
