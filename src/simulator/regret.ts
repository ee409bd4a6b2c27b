/**
 * Regret: what a run cost, over what it would have cost with the best moment to stop on the same run.
 *
 * Cost = total time + DOWNTIME_WEIGHT x the downtime beyond the operator's limit: downtime within the limit
 * has been agreed to. The weight is the one that `adaptive` takes by default (src/strategy). The run is
 * repeated with the same seed and rules, and its stop is ignored. At every tick the cost of stopping there is
 * known exactly from what the destination lacks. The repetition ends when its time alone costs more than the
 * best stop so far.
 */

import { type AnyStrategy, DOWNTIME_WEIGHT } from '../strategy/index.ts';
import type { Verdict } from '../vm/index.ts';
import { Driver, fixedDowntimeMs } from './driver.ts';
import type { ClairvoyantStop, MigrationTimes, SimulationOptions } from './types.ts';

function costOf(times: MigrationTimes, limitMs: number): number {
  return times.totalMigrationTimeMs + DOWNTIME_WEIGHT * Math.max(0, times.downtimeMs - limitMs);
}

/** The share by which a run cost more than the best; 0 when it was as good. */
export function regretOf(times: MigrationTimes, best: MigrationTimes, limitMs: number): number {
  return Math.max(0, costOf(times, limitMs) / costOf(best, limitMs) - 1);
}

/**
 * The best of all moments at which this run could have been stopped; null if it never passed QEMU's first
 * pass.
 */
export function clairvoyantStop(options: SimulationOptions, timeLimitMs: number): ClairvoyantStop | null {
  const limitMs = options.limits.downtimeMsMax;
  const fixedMs = fixedDowntimeMs(options);
  let best: ClairvoyantStop | null = null;
  const { iterationsMax: _, ...parameters } = options.parameters;
  const patient = { ...options, strategy: neverStopping(options.strategy), parameters };
  new Driver(patient, timeLimitMs).run((world) => {
    const atMs = world.nowMs;
    const downtimeMs = (world.staleBytes * 1000) / world.run.bytesPerSecond + fixedMs;
    const stop = { atMs, downtimeMs, totalMigrationTimeMs: atMs + downtimeMs };
    if (best === null || costOf(stop, limitMs) < costOf(best, limitMs)) best = stop;
    return atMs + fixedMs >= costOf(best, limitMs);
  });
  return best;
}

/** Holds and orders as `strategy` does, and lets the run go on. */
function neverStopping(strategy: AnyStrategy): AnyStrategy {
  const goOn = (verdict: Verdict<unknown>): Verdict<unknown> =>
    verdict.decision.action === 'stop-and-copy' || verdict.decision.action === 'abort'
      ? { ...verdict, decision: { ...verdict.decision, action: 'continue' } }
      : verdict;
  return {
    ...strategy,
    start: (parameters) => strategy.start(parameters),
    iterationMs: (outlook, parameters) => strategy.iterationMs(outlook, parameters),
    atIteration: (outlook, memory, parameters) => goOn(strategy.atIteration(outlook, memory, parameters)),
    atTick: (outlook, memory, parameters) => {
      const verdict = strategy.atTick(outlook, memory, parameters);
      return verdict === null ? null : goOn(verdict);
    },
  };
}
