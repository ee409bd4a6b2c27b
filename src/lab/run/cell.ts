/**
 * One run of a plan: boots a pair, measures its dirty rate, has the contestant migrate it, checks it, and
 * accounts for all. The same for plain QEMU and every migrator. Not responsible for which runs there are
 * (run-plan.ts).
 */

import { loadavg } from 'node:os';
import { errorMessage, sleep } from '../../base/index.ts';
import { queryStatus } from '../../qmp/index.ts';
import { type GuestReady, guestCommandLine } from '../guest/index.ts';
import { boundsOf } from '../judge/bounds.ts';
import { type Checked, type Place, runChecks } from '../judge/checks.ts';
import { lastHeartbeat } from '../judge/heartbeats.ts';
import { type DirtyRate, isMemoryIntensive, measureDirtyRate } from '../judge/measure.ts';
import { meterLoad } from '../machine/host-load.ts';
import { type LabPair, openPair } from '../machine/pair.ts';
import type { Network } from '../network/network.ts';
import { type Provenance, RESULT_SCHEMA, type RunRecord } from '../report/results.ts';
import { type BaselineProgress, DOWNTIME_LIMIT_MS_DEFAULT, type Outcome, runBaseline } from './baseline.ts';
import { isBaseline, type Migrator, type MigratorReport } from './contestant.ts';
import { type MoveMeasure, observeMove } from './move.ts';
import type { Cell, Plan } from './plan.ts';

export interface CellOptions {
  readonly plan: Plan;
  readonly cell: Cell;
  readonly kind: 'run' | 'calibration';
  readonly network: Network;
  readonly provenance: Provenance;
  /** Not asked for plain QEMU. */
  readonly migrator: Migrator | null;
  /** Null: the contestant's own default. */
  readonly downtimeLimitMs: number | null;
  readonly onBaselineProgress?: (progress: BaselineProgress) => void;
  readonly onStage?: (stage: CellStage) => void;
  readonly signal?: AbortSignal;
}

/** What has just been reached. */
export type CellStage =
  | { readonly kind: 'booted'; readonly bootMs: number; readonly ready: GuestReady }
  /** `guestMs`: the guest's clock now, null before its first beat. */
  | { readonly kind: 'measured'; readonly rate: DirtyRate; readonly guestMs: number | null }
  | { readonly kind: 'moved'; readonly outcome: Outcome; readonly measure: MoveMeasure };

// Once its time is over, a migrator has this long to clean up; then its VMs are killed.
const ABORT_GRACE_MS = 60_000;

interface Moved {
  readonly report: MigratorReport;
  readonly measure: MoveMeasure;
}

export async function runCell(options: CellOptions): Promise<RunRecord> {
  const { plan, cell, network } = options;
  const startedAt = new Date().toISOString();
  const hostLoad = loadavg()[0] ?? 0;
  const pair = await openPair({
    network,
    memoryBytes: plan.memoryBytes,
    guest: { ...cell.workload.guest, seed: cell.seed },
    machine: plan.machine,
    accelerator: plan.accelerator,
    disk: plan.disk,
    furnished: plan.furnished,
  });
  try {
    options.onStage?.({ kind: 'booted', bootMs: pair.bootMs, ready: pair.ready });
    await sleep(plan.warmUpMs, options.signal);
    const rate = await measureDirtyRate(pair.source);
    const before = lastHeartbeat(pair.source.serial.lines);
    options.onStage?.({ kind: 'measured', rate, guestMs: before?.guestMs ?? null });
    const meter = await meterLoad([pair.source.process.pid, pair.destination.process.pid]);
    const { report, measure } = isBaseline(cell.strategy.name)
      ? await moveByQemu(pair, options)
      : await moveByMigrator(pair, options);
    options.signal?.throwIfAborted();
    options.onStage?.({ kind: 'moved', outcome: report.outcome, measure });
    const othersCores = await meter.othersCores();
    const after = lastHeartbeat(pair.source.serial.lines);
    const checked = await check(pair, report, measure, options);
    return {
      ...accountOf(options, pair, rate),
      startedAt,
      hostLoad,
      othersCores,
      ...measureOf(measure),
      outcome: report.outcome,
      reason: report.reason,
      arrangement: report.arrangement,
      downtimePredictedMs: report.downtimePredictedMs,
      iterations: report.iterations,
      decision: report.decision,
      notes: report.notes,
      guestSpeedShare: speedShare(rate, before, after),
      success: report.outcome === 'completed' && checked.holds,
      checks: checked.results,
      verification: checked.verification && {
        pages: checked.verification.pages,
        badPages: checked.verification.badPages,
        heartbeatsLost: checked.heartbeats?.lost ?? null,
      },
    };
  } finally {
    await pair.close();
  }
}

async function moveByQemu(pair: LabPair, options: CellOptions): Promise<Moved> {
  const { plan, cell, downtimeLimitMs, onBaselineProgress, signal } = options;
  if (!isBaseline(cell.strategy.name)) throw new Error(`${cell.strategy.name} is no baseline`);
  const report = await runBaseline(pair, {
    baseline: cell.strategy.name,
    memoryBytes: plan.memoryBytes,
    timeLimitMs: plan.timeLimitMs,
    ...(downtimeLimitMs === null ? {} : { downtimeLimitMs }),
    ...(onBaselineProgress === undefined ? {} : { onProgress: onBaselineProgress }),
    ...(signal === undefined ? {} : { signal }),
  });
  const { outcome, reason, iterations, throttleMax } = report;
  const notes =
    throttleMax > 0 ? [`the guest was throttled by up to ${Math.round(throttleMax * 100)} %`] : [];
  return {
    // Plain QEMU aims at its limit but promises neither the limit nor a prediction, so only the time limit
    // judges it.
    report: {
      outcome,
      reason,
      arrangement: null,
      downtimePredictedMs: null,
      downtimeLimitMs: null,
      iterations,
      decision: null,
      notes,
    },
    measure: report,
  };
}

async function moveByMigrator(pair: LabPair, options: CellOptions): Promise<Moved> {
  const { plan, cell, migrator, downtimeLimitMs } = options;
  if (migrator === null) throw new Error(`nobody migrates by ${cell.strategy.name}`);
  const timeIsOver = AbortSignal.timeout(Math.ceil(plan.timeLimitMs));
  const signal = options.signal ? AbortSignal.any([timeIsOver, options.signal]) : timeIsOver;
  const request = {
    strategy: cell.strategy.name,
    parameters: cell.strategy.parameters,
    sourceQmpPath: pair.source.controlPath,
    destinationQmpPath: pair.destination.controlPath,
    destination: await pair.network.openPort(),
    linkBytesPerSecond: plan.linkBytesPerSecond,
    downtimeLimitMs,
    timeLimitMs: plan.timeLimitMs,
    folder: pair.folder,
  };
  const observer = observeMove(pair);
  await observer.start();
  let report: MigratorReport;
  try {
    report = await withGrace(migrator(request, signal), signal);
  } catch (error) {
    const outcome: Outcome = timeIsOver.aborted ? 'timed-out' : 'failed';
    report = failedReport(outcome, errorMessage(error));
  }
  const endedAtMs = observer.elapsedMs();
  const measure = await observer.finish();
  // After post-copy's switch the destination runs, but needs the source until its last page has come.
  const late = report.decision?.action === 'post-copy' && measure.totalMigrationTimeMs !== null;
  return { report, measure: late ? { ...measure, totalMigrationTimeMs: endedAtMs } : measure };
}

/** A migrator that ignores its signal must not stop the plan. */
async function withGrace<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  const settled = new AbortController();
  const patience = new Promise<never>((_, reject) => {
    const giveUp = async () => {
      await sleep(ABORT_GRACE_MS, settled.signal);
      reject(new Error(`it did not end within ${ABORT_GRACE_MS / 1000} s of being told to`));
    };
    const start = () => void giveUp().catch(() => {});
    if (signal.aborted) start();
    else signal.addEventListener('abort', start, { once: true, signal: settled.signal });
  });
  try {
    return await Promise.race([work, patience]);
  } finally {
    settled.abort();
  }
}

function failedReport(outcome: Outcome, reason: string): MigratorReport {
  return {
    outcome,
    reason,
    arrangement: null,
    downtimePredictedMs: null,
    downtimeLimitMs: null,
    iterations: [],
    decision: null,
    notes: [],
  };
}

async function check(
  pair: LabPair,
  report: MigratorReport,
  measure: MoveMeasure,
  options: CellOptions,
): Promise<Checked> {
  const { totalMigrationTimeMs, downtimeMs } = measure;
  const { downtimeLimitMs, downtimePredictedMs } = report;
  // A prediction is a promise only where no limit is one.
  const promised = downtimeLimitMs === null ? downtimePredictedMs : null;
  const limits = {
    timeLimitMs: options.plan.timeLimitMs,
    totalMigrationTimeMs,
    downtimeMs,
    downtimeLimitMs,
    downtimePredictedMs: promised,
    downtimeAgreedMs: options.downtimeLimitMs ?? DOWNTIME_LIMIT_MS_DEFAULT,
  };
  return runChecks({ pair, place: await placeOf(pair, report.outcome), limits });
}

/** Where the VM should be now. A failed run may have failed late, so the VM that runs is the one to judge. */
async function placeOf(pair: LabPair, outcome: Outcome): Promise<Place> {
  if (outcome === 'completed') return 'moved';
  const { destination } = pair;
  if (destination.process.ending() !== null) return 'stayed';
  const status = await queryStatus(destination.qmp).catch(() => null);
  return status?.running ? 'moved' : 'stayed';
}

function accountOf(options: CellOptions, pair: LabPair, rate: DirtyRate) {
  const { plan, cell, kind, provenance, downtimeLimitMs } = options;
  return {
    schema: RESULT_SCHEMA,
    kind,
    plan: plan.name,
    planHash: plan.hash,
    key: cell.key,
    workload: cell.workload.id,
    strategy: cell.strategy.id,
    parameters: cell.strategy.parameters,
    run: cell.run,
    seed: cell.seed,
    ...provenance,
    guestCommandLine: guestCommandLine(pair.guest),
    memoryBytes: plan.memoryBytes,
    linkBytesPerSecond: plan.linkBytesPerSecond,
    timeLimitMs: plan.timeLimitMs,
    downtimeLimitMs,
    ...rate,
    memoryIntensive: isMemoryIntensive(rate, plan.linkBytesPerSecond),
    bounds: boundsOf(pair.ready, rate.writtenBytesPerSecond, plan.linkBytesPerSecond),
    expected: cell.strategy.expected,
  } as const;
}

function measureOf(measure: MoveMeasure) {
  const { totalMigrationTimeMs, downtimeMs, downtimeByEventsMs, downtimeByHeartbeatMs } = measure;
  const { transferredBytes, returnedBytes } = measure;
  return {
    totalMigrationTimeMs,
    downtimeMs,
    downtimeByEventsMs,
    downtimeByHeartbeatMs,
    transferredBytes,
    returnedBytes,
  };
}

function speedShare(
  rate: DirtyRate,
  before: ReturnType<typeof lastHeartbeat>,
  after: ReturnType<typeof lastHeartbeat>,
): number | null {
  if (!before || !after || after.guestMs <= before.guestMs || rate.writtenBytesPerSecond === 0) return null;
  const bytes = (after.pagesWritten - before.pagesWritten) * 4096;
  return (bytes * 1000) / (after.guestMs - before.guestMs) / rate.writtenBytesPerSecond;
}
