/** adaptive: ours. Absorb, coldest first, hold by rate, stop by forecast. */

import type { Outlook, ParameterValues, Strategy, Verdict } from '../../vm/index.ts';
import { HOLD_NONE, ITERATION_PARAMETERS, iterationByBacklog, parameter } from '../common.ts';
import { holdByForecast } from '../hold/forecast.ts';
import { learningOrder } from '../order/learning.ts';
import { type Forecast, forecast, forecastSwitchover, NOTHING_KNOWN } from '../switchover/forecast.ts';

const OURS = 'ours; see docs/strategies.md';
/** A rest that the link takes half a second for is gone before an iteration of one second tells anything about it. */
const SHORT_ITERATIONS = 'ours: four passes; found on drawn guests (plans/regret-training.yaml)';

/** What a second of downtime is worth where nobody says; regret is counted with the same (src/simulator). */
export const DOWNTIME_WEIGHT = 2.5;
/** While a stop is thought of passes are close, for no longer than this: each costs the guest a round of write protection. */
const CLOSE_PASSES_MS = 3000;

function answer(outlook: Outlook, memory: Forecast, parameters: ParameterValues): Verdict<Forecast> {
  const { decision, ...waiting } = forecastSwitchover(outlook, memory, parameters);
  const isWatched = ['adaptive-watch', 'adaptive-settle'].includes(decision.rule);
  const watchedSinceMs = memory.watchedSinceMs ?? (isWatched ? outlook.nowMs : null);
  // In a trough hot pages have cooled, and the whole backlog is worth sending.
  const release = !memory.known || memory.phase?.quiet === true;
  return {
    hold: release ? HOLD_NONE : holdByForecast(memory.share),
    order: learningOrder(outlook),
    decision,
    closePasses: isWatched && outlook.nowMs - watchedSinceMs! < CLOSE_PASSES_MS,
    memory: { ...memory, ...waiting, watchedSinceMs },
  };
}

export const adaptive: Strategy<Forecast> = {
  name: 'adaptive',
  idea: 'Forecast the plateau from rewrite rates; meet the limit if it can be met, else stop when waiting costs more than it buys.',
  source: 'ours',
  label: 'O',
  mechanism: 'gateway',
  absorb: true,
  promisesDowntimeLimit: false,
  delta: true,
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
    parameter(
      'heldShare',
      0.05,
      [0, 1],
      'share',
      "the rest may take this share of the held set's time",
      OURS,
    ),
    parameter('patienceMs', 30_000, [0, 3_600_000], 'ms', 'longest wait for a quiet phase', OURS),
    parameter(
      'strict',
      0,
      [0, 1],
      'flag',
      '1: never stop beyond the downtime limit, follow --on-timeout',
      OURS,
    ),
    ...ITERATION_PARAMETERS.map((spec) =>
      spec.name === 'iterationMsMin' ? { ...spec, default: 600, source: SHORT_ITERATIONS } : spec,
    ),
  ],
  start: () => NOTHING_KNOWN,
  atIteration: (outlook, memory, parameters) =>
    answer(outlook, forecast(outlook, memory, parameters), parameters),
  atTick: answer,
  iterationMs: iterationByBacklog,
};
