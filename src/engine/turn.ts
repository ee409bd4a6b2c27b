/**
 * One turn of the engine: the state under transition, and what is read off it everywhere. Not responsible for
 * transitions.
 */

import { type Prediction, predict } from './predict.ts';
import type { EngineState } from './state.ts';
import type { Command } from './types.ts';

/** What every transition needs: the state so far, the commands so far, and the moment. */
export interface Turn {
  state: EngineState;
  readonly commands: Command[];
  readonly nowMs: number;
}

export function linkOf(state: EngineState): number | null {
  return state.linkMeasuredBytesPerSecond ?? state.options.linkBytesPerSecondConfigured;
}

export function predictionOf(state: EngineState): Prediction | null {
  const { snapshot, history, options, iteration, arrivals } = state;
  if (snapshot === null) return null;
  const { pageCount, fixedDowntimeMs } = options;
  const passes = { atIterationStart: iteration.passesAtStart, arrivals };
  return predict(snapshot, history, pageCount, linkOf(state), fixedDowntimeMs, passes);
}
