/** One simulated migration from `migrate` to its end, judged as the lab judges a real one. */

import { assert, formatMs, unreachable } from '../base/index.ts';
import { keepsPrediction } from '../engine/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import { boundsOf } from './bounds.ts';
import { Driver, type DriverResult, fixedDowntimeMs } from './driver.ts';
import { postCopy, stopAndCopy } from './ending.ts';
import { clairvoyantStop, regretOf } from './regret.ts';
import { type Sample, sampleOf } from './timeline.ts';
import {
  type MigrationTimes,
  MODEL,
  type Outcome,
  type SimulationOptions,
  type SimulationResult,
} from './types.ts';

function timeLimitMsOf(options: SimulationOptions): number {
  const ramMs = (options.guest.pageCount * PAGE_SIZE_BYTES * 1000) / options.linkBytesPerSecond;
  return options.timeLimitMs ?? Math.max(MODEL.timeLimitMsMin, MODEL.timeLimitRams * ramMs);
}

/** `onSample` sees the run a tick apart, its stop, and its end. */
export function simulate(options: SimulationOptions, onSample?: (sample: Sample) => void): SimulationResult {
  const timeLimitMs = timeLimitMsOf(options);
  const driver = new Driver(options, timeLimitMs);
  const { world } = driver;
  onSample?.(sampleOf(world));
  const decided = driver.run(
    onSample &&
      (() => {
        onSample(sampleOf(world));
        return false;
      }),
  );
  const stoppedAtMs = decided.kind === 'timed-out' || decided.kind === 'abort' ? null : world.nowMs;
  const times = timesOf(driver, decided, options);
  if (times !== null) onSample?.({ ...sampleOf(world), atMs: times.totalMigrationTimeMs });
  const predictedMs = decided.kind === 'stop-and-copy' ? decided.downtimePredictedMs : null;
  const verdict = judge(options, decided, times, predictedMs, timeLimitMs);
  // Post-copy and log shipping do not end by stopping and copying: another moment to stop says nothing of
  // them.
  const comparable = decided.kind === 'stop-and-copy' && options.strategy.mechanism !== 'model-only';
  const best = options.regret && comparable ? clairvoyantStop(options, timeLimitMs) : null;
  const report = driver.report();
  return {
    ...verdict,
    decision: decided.kind === 'timed-out' ? null : decided.decision,
    stoppedAtMs,
    totalMigrationTimeMs: times?.totalMigrationTimeMs ?? null,
    downtimeMs: times?.downtimeMs ?? null,
    downtimePredictedMs: predictedMs,
    transferredBytes: world.link.sentBytes,
    iterations: report.iterationsTotal,
    passes: world.passes,
    sentPages: world.sentPages,
    resentPages: world.index.snapshot().resentPages,
    throttleShareMax: driver.throttleShareMax,
    bounds: boundsOf(options.guest, world.run, options.linkBytesPerSecond, fixedDowntimeMs(options)),
    pipelineBytesPerSecond: world.run.bytesPerSecond,
    pipelineLimit: world.run.limit,
    regret: best === null || times === null ? null : regretOf(times, best, options.limits.downtimeMsMax),
    clairvoyant: best,
    pageEvents: world.pageEvents,
  };
}

function timesOf(driver: Driver, decided: DriverResult, options: SimulationOptions): MigrationTimes | null {
  switch (decided.kind) {
    case 'timed-out':
    case 'abort':
      return null;
    case 'stop-and-copy':
      return stopAndCopy(driver.world, options);
    case 'post-copy':
      return postCopy(driver.world, options);
    default:
      return unreachable(decided, 'timesOf');
  }
}

function judge(
  options: SimulationOptions,
  decided: DriverResult,
  times: MigrationTimes | null,
  predictedMs: number | null,
  timeLimitMs: number,
): { outcome: Outcome; success: boolean; reason: string | null } {
  if (decided.kind === 'timed-out') {
    return {
      outcome: 'timed-out',
      success: false,
      reason: `no decision within ${formatMs(timeLimitMs)}`,
    };
  }
  if (decided.kind === 'abort') return { outcome: 'aborted', success: false, reason: decided.decision.text };
  assert(times !== null, 'a stop comes to an end');
  const broken = brokenPromise(options, times, predictedMs, timeLimitMs);
  return { outcome: 'completed', success: broken === null, reason: broken };
}

function brokenPromise(
  options: SimulationOptions,
  times: MigrationTimes,
  predictedMs: number | null,
  timeLimitMs: number,
): string | null {
  const { strategy, limits } = options;
  if (times.totalMigrationTimeMs > timeLimitMs) {
    return `it took ${Math.round(times.totalMigrationTimeMs)} ms, limit ${Math.round(timeLimitMs)} ms`;
  }
  // QEMU aims at its limit but promises nothing.
  if (strategy.mechanism !== 'gateway') return null;
  if (strategy.promisesDowntimeLimit || limits.downtimeMsBound === 'limit') {
    if (times.downtimeMs <= limits.downtimeMsMax) return null;
    return `down for ${Math.round(times.downtimeMs)} ms, promised ${limits.downtimeMsMax} ms`;
  }
  if (predictedMs === null || predictedMs <= 0) return null;
  if (keepsPrediction(times.downtimeMs, predictedMs, limits.downtimeMsMax)) return null;
  const ratio = times.downtimeMs / predictedMs;
  return `down for ${Math.round(times.downtimeMs)} ms, ${ratio.toFixed(2)} x the ${Math.round(predictedMs)} ms predicted`;
}
