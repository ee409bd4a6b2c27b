/**
 * adaptive, ours: holds by rewrite rate, sends the coldest first, and stops when waiting costs more than it
 * buys.
 */

import type { Outlook, ParameterValues, Strategy, Verdict } from '../../vm/index.ts';
import { ABSORBING, HOLD_NONE, ITERATION_PARAMETERS, parameter } from '../common.ts';
import { holdHotterThan } from '../hold/hottest.ts';
import { isQuietNow, nextPassIsInVain } from '../measures.ts';
import { learningOrder } from '../order/learning.ts';
import { heldShareParameter } from '../switchover/drained.ts';
import { forecast, NOTHING_KNOWN } from '../switchover/forecast.ts';
import { type LeastCostMemory, leastCostSwitchover } from '../switchover/least-cost.ts';

const OURS = 'ours; see docs/strategies.md';
/** The link carries a rest of half a second before an iteration of one second has told anything about it. */
const SHORT_ITERATIONS = 'ours: four passes; found on drawn guests (plans/regret-training.yaml)';

/**
 * What a second of downtime is worth where nobody says. The simulator's regret and oracle count with the
 * same.
 */
export const DOWNTIME_WEIGHT = 2.5;
/**
 * While a stop is near, passes are close, but no longer than this: each costs the guest a round of write
 * protection.
 */
const CLOSE_PASSES_MS = 3000;

interface AdaptiveMemory extends LeastCostMemory {
  /** The first moment at which a stop was near; null before. */
  readonly stopNearSinceMs: number | null;
}

function answer(
  outlook: Outlook,
  memory: AdaptiveMemory,
  parameters: ParameterValues,
): Verdict<AdaptiveMemory> {
  const { decision, least, settling, stopIsNear } = leastCostSwitchover(outlook, memory, parameters);
  const stopNearSinceMs = memory.stopNearSinceMs ?? (stopIsNear ? outlook.nowMs : null);
  const { known, phase, boundary } = memory.forecast;
  // In a trough hot pages have cooled, and the whole backlog is worth sending.
  const release = !known || phase?.quiet === true || isQuietNow(outlook);
  return {
    hold: release ? HOLD_NONE : holdHotterThan(boundary),
    order: learningOrder(outlook),
    decision,
    withholdsPass: decision.rule === 'adaptive-drain' && nextPassIsInVain(outlook),
    closePasses: stopIsNear && outlook.nowMs - stopNearSinceMs! < CLOSE_PASSES_MS,
    memory: { ...memory, least, settling, stopNearSinceMs },
  };
}

export const adaptive: Strategy<AdaptiveMemory> = {
  ...ABSORBING,
  name: 'adaptive',
  idea: 'Forecast the plateau from rewrite rates; meet the limit if it can be met, else stop when waiting costs more than it buys.',
  source: 'ours',
  label: 'O',
  parameters: [
    parameter(
      'downtimeWeight',
      DOWNTIME_WEIGHT,
      [1.1, 1000],
      's/s',
      'seconds of total time that one second of downtime is worth',
      OURS,
    ),
    parameter(
      'patienceShare',
      0.02,
      [0, 10],
      'share',
      'waits for this share of the cost so far without a fall of it',
      OURS,
    ),
    heldShareParameter(OURS),
    ...ITERATION_PARAMETERS.map((spec) =>
      spec.name === 'iterationMsMin' ? { ...spec, default: 600, source: SHORT_ITERATIONS } : spec,
    ),
  ],
  start: () => ({ forecast: NOTHING_KNOWN, least: null, settling: null, stopNearSinceMs: null }),
  atIteration: (outlook, memory, parameters) => {
    const known = { ...memory, forecast: forecast(outlook, memory.forecast, parameters) };
    return answer(outlook, known, parameters);
  },
  atTick: answer,
};
