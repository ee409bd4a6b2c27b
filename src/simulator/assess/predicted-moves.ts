/**
 * What each strategy would do to a measured guest on each link: the simulator replays its trace. Not
 * responsible for what follows from it.
 */

import { type Recording, replayOf, type TraceSource } from '../../trace/index.ts';
import { type Arrangement, PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { type SummaryRow, summarize } from '../summary.ts';
import { runTask, type SimulationTask, type TaskResult } from '../task.ts';
import { SIMULATION_DEFAULTS } from '../types.ts';
import type { Measurement } from './guest-facts.ts';

export interface PredictOptions {
  readonly strategies: readonly string[];
  readonly linksBytesPerSecond: readonly number[];
  readonly downtimeLimitMs: number;
  readonly roundTripMs: number;
  readonly arrangement: Arrangement;
}

/** The migration begins at so many moments of the trace, so that the spread between them shows. */
export const REPLAYS = 3;

/** One strategy on one link. */
export interface PredictedMove extends SummaryRow {
  readonly linkBytesPerSecond: number;
}

/**
 * One after the other, so that a caller can show how far it is, and stop. Errors: SIMULATION_INVARIANT,
 * TRACE_EMPTY.
 */
export function* predictMoves(
  { trace, cost }: Measurement,
  options: PredictOptions,
): Generator<PredictedMove> {
  const packedBytes = cost?.packedBytes ?? PAGE_SIZE_BYTES;
  const priced: Recording = { ...trace, cost: { packedBytes, deltaBytes: cost?.deltaBytes ?? packedBytes } };
  const replay = replayOf(priced);
  const load = ({ startShare }: TraceSource) => replay(startShare);
  for (const linkBytesPerSecond of options.linksBytesPerSecond) {
    for (const strategy of options.strategies) {
      const runs: TaskResult[] = [];
      for (let run = 0; run < REPLAYS; run++) {
        runs.push(runTask(taskOf(strategy, run, linkBytesPerSecond, trace, options), load));
      }
      yield { ...summarize(runs, strategy), linkBytesPerSecond };
    }
  }
}

function taskOf(
  strategy: string,
  run: number,
  linkBytesPerSecond: number,
  trace: Recording,
  { downtimeLimitMs, roundTripMs, arrangement }: PredictOptions,
): SimulationTask {
  return {
    key: `assess/${strategy}/${run}`,
    run,
    seed: run,
    seedBase: 0,
    strategy: { id: strategy, name: strategy, parameters: {}, relaxedFactor: 1 },
    workload: { id: 'trace', options: {} },
    trace: { file: 'measured', startShare: run / REPLAYS },
    memoryBytes: trace.header.pageCount * PAGE_SIZE_BYTES,
    linkBytesPerSecond,
    roundTripMs,
    downtimeLimitMs,
    timeLimitMs: null,
    gatewayMemoryBytesMax: Math.max(
      SIMULATION_DEFAULTS.gatewayMemoryBytesMax,
      // A gateway that could not hold the bookkeeping would say so; a prediction assumes one that can.
      trace.header.pageCount * 64,
    ),
    arrangement,
    regret: false,
  };
}
