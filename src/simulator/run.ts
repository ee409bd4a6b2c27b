/** One simulated migration from `migrate` to its end, judged as the lab judges a real one. */

import { assert, formatMs, unreachable } from '../base/index.ts';
import { keepsPrediction } from '../engine/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import { boundsOf } from './bounds.ts';
import { Driver, type Ending, fixedDowntimeMs } from './driver.ts';
import { type Ended, postCopy, stopAndCopy } from './ending.ts';
import { clairvoyantStop, regretOf } from './regret.ts';
import { type Sample, sampleOf } from './timeline.ts';
import { MODEL, type Outcome, type SimulationOptions, type SimulationResult } from './types.ts';

export function timeLimitMsOf(options: SimulationOptions): number {
  const ramMs = (options.guest.pageCount * PAGE_SIZE_BYTES * 1000) / options.linkBytesPerSecond;
  return options.timeLimitMs ?? Math.max(MODEL.timeLimitMsMin, MODEL.timeLimitRams * ramMs);
}

/** `onSample` sees the run a tick apart, its stop, and its end. */
export function simulate(options: SimulationOptions, onSample?: (sample: Sample) => void): SimulationResult {
  const timeLimitMs = timeLimitMsOf(options);
  const driver = new Driver(options, timeLimitMs);
  const { world } = driver;
  onSample?.(sampleOf(world));
  const ending = driver.run(
    onSample &&
      (() => {
        onSample(sampleOf(world));
        return false;
      }),
  );
  const stoppedAtMs = ending.kind === 'timed-out' || ending.kind === 'abort' ? null : world.nowMs;
  const ended = endingOf(driver, ending, options);
  if (ended !== null) onSample?.({ ...sampleOf(world), atMs: ended.totalMigrationTimeMs });
  const predictedMs = ending.kind === 'stop-and-copy' ? ending.downtimePredictedMs : null;
  const verdict = judge(options, ending, ended, predictedMs, timeLimitMs);
  // Post-copy and log shipping do not end by stopping and copying: another moment to stop says nothing of them.
  const comparable = ending.kind === 'stop-and-copy' && options.strategy.mechanism !== 'model-only';
  const best = options.regret && comparable ? clairvoyantStop(options, timeLimitMs) : null;
  const report = driver.report();
  return {
    ...verdict,
    decision: ending.kind === 'timed-out' ? null : ending.decision,
    stoppedAtMs,
    totalMigrationTimeMs: ended?.totalMigrationTimeMs ?? null,
    downtimeMs: ended?.downtimeMs ?? null,
    downtimePredictedMs: predictedMs,
    transferredBytes: world.link.sentBytes,
    iterations: report.iterationsTotal,
    passes: world.passes,
    sentPages: world.sentPages,
    resentPages: world.index.snapshot().resentPages,
    throttleShareMax: driver.throttleShareMax,
    bounds: boundsOf(options.guest, world.coding, options.linkBytesPerSecond, fixedDowntimeMs(options)),
    regret: best === null || ended === null ? null : regretOf(ended, best, options.limits.downtimeMsMax),
    clairvoyant: best,
    pageEvents: world.pageEvents,
  };
}

function endingOf(driver: Driver, ending: Ending, options: SimulationOptions): Ended | null {
  switch (ending.kind) {
    case 'timed-out':
    case 'abort':
      return null;
    case 'stop-and-copy':
      return stopAndCopy(driver.world, options);
    case 'post-copy':
      return postCopy(driver.world, options);
    default:
      return unreachable(ending, 'endingOf');
  }
}

function judge(
  options: SimulationOptions,
  ending: Ending,
  ended: Ended | null,
  predictedMs: number | null,
  timeLimitMs: number,
): { outcome: Outcome; success: boolean; reason: string | null } {
  if (ending.kind === 'timed-out') {
    return {
      outcome: 'timed-out',
      success: false,
      reason: `no decision within ${formatMs(timeLimitMs)}`,
    };
  }
  if (ending.kind === 'abort') return { outcome: 'aborted', success: false, reason: ending.decision.text };
  assert(ended !== null, 'a stop comes to an end');
  const broken = brokenPromise(options, ended, predictedMs, timeLimitMs);
  return { outcome: 'completed', success: broken === null, reason: broken };
}

function brokenPromise(
  options: SimulationOptions,
  ended: Ended,
  predictedMs: number | null,
  timeLimitMs: number,
): string | null {
  const { strategy, limits } = options;
  if (ended.totalMigrationTimeMs > timeLimitMs) {
    return `it took ${Math.round(ended.totalMigrationTimeMs)} ms, limit ${Math.round(timeLimitMs)} ms`;
  }
  // QEMU aims at its limit but promises nothing.
  if (strategy.mechanism !== 'gateway') return null;
  if (strategy.promisesDowntimeLimit) {
    if (ended.downtimeMs <= limits.downtimeMsMax) return null;
    return `down for ${Math.round(ended.downtimeMs)} ms, promised ${limits.downtimeMsMax} ms`;
  }
  if (predictedMs === null || predictedMs <= 0) return null;
  if (keepsPrediction(ended.downtimeMs, predictedMs, limits.downtimeMsMax)) return null;
  const ratio = ended.downtimeMs / predictedMs;
  return `down for ${Math.round(ended.downtimeMs)} ms, ${ratio.toFixed(2)} x the ${Math.round(predictedMs)} ms predicted`;
}
