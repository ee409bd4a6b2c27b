/**
 * One run of a plan: boots a pair, measures its dirty rate, has the contestant migrate it, checks it, and
 * accounts for all. The same for plain QEMU and every migrator. Not responsible for which runs there are
 * (run-plan.ts).
 */

import { loadavg } from 'node:os';
import { errorMessage, sleep } from '../../base/index.ts';
import { queryStatus } from '../../qmp/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import type { GuestReady } from '../guest/index.ts';
import type { Place } from '../judge/checks.ts';
import { lastHeartbeat, pagesBetween } from '../judge/heartbeats.ts';
import { type DirtyRate, isMemoryIntensive, measureDirtyRate } from '../judge/measure.ts';
import { type ClientFigures, clientFigures } from '../linux/client-figures.ts';
import type { Clients } from '../linux/clients.ts';
import { meterLoad } from '../machine/host-load.ts';
import type { Network } from '../network/network.ts';
import { type Provenance, RESULT_SCHEMA, type RunRecord } from '../report/results.ts';
import { type BaselineProgress, DOWNTIME_LIMIT_MS_DEFAULT, type Outcome, runBaseline } from './baseline.ts';
import { type CellGuest, type GuestChecked, openCellGuest } from './cell-guest.ts';
import { isBaseline, type Migrator, type MigratorReport } from './contestant.ts';
import { type MoveMeasure, observeMove, type Pair } from './move.ts';
import type { Cell, Plan } from './plan.ts';
import { openRamOracle, type RamOracle } from './ram-oracle.ts';

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
  /** Where a contestant that can writes a dirty-page trace. */
  readonly recordPath?: string;
  readonly onBaselineProgress?: (progress: BaselineProgress) => void;
  readonly onStage?: (stage: CellStage) => void;
  readonly signal?: AbortSignal;
}

/** What has just been reached. */
export type CellStage =
  /** `ready`: null for a Linux guest. */
  | { readonly kind: 'booted'; readonly bootMs: number; readonly ready: GuestReady | null }
  /** `guestMs`: the guest's clock now, null before its first beat. */
  | { readonly kind: 'measured'; readonly rate: DirtyRate; readonly guestMs: number | null }
  | { readonly kind: 'moved'; readonly outcome: Outcome; readonly measure: MoveMeasure };

// Once its time is over, a migrator has this long to clean up; then its VMs are killed.
const ABORT_GRACE_MS = 60_000;
/** How long clients go on after a move. */
const CLIENTS_AFTER_MS = 3000;

interface Moved {
  readonly report: MigratorReport;
  readonly measure: MoveMeasure;
}

export async function runCell(options: CellOptions): Promise<RunRecord> {
  const { plan, cell, network } = options;
  const startedAt = new Date().toISOString();
  const hostLoad = loadavg()[0] ?? 0;
  const arrivesPaused = plan.compareRam === true && isBaseline(cell.strategy.name);
  const guest = await openCellGuest({ plan, cell, network, arrivesPaused });
  const { pair } = guest;
  try {
    options.onStage?.({ kind: 'booted', bootMs: guest.bootMs, ready: guest.ready });
    const clients = await guest.startClients();
    await sleep(plan.warmUpMs, options.signal);
    const rate = await measureDirtyRate(pair.source);
    const before = lastHeartbeat(pair.source.serial.lines);
    options.onStage?.({ kind: 'measured', rate, guestMs: before?.guestMs ?? null });
    const meter = await meterLoad([pair.source.process.pid, pair.destination.process.pid]);
    const beginMs = Date.now();
    const oracle = plan.compareRam ? await openRamOracle(pair) : null;
    const { report, measure } = isBaseline(cell.strategy.name)
      ? await moveByQemu(pair, options, oracle)
      : await moveByMigrator(pair, options, oracle);
    options.signal?.throwIfAborted();
    options.onStage?.({ kind: 'moved', outcome: report.outcome, measure });
    const othersCores = await meter.othersCores();
    const after = lastHeartbeat(pair.source.serial.lines);
    const felt = clients && (await feltBy(clients, beginMs, measure));
    const checked = await check(guest, report, measure, options);
    const ram = oracle === null || report.outcome !== 'completed' ? [] : [oracle.verdict()];
    return {
      ...accountOf(options, guest, rate),
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
      setupMs: report.setupMs,
      stopAndCopy: report.stopAndCopy,
      ...(felt === null ? {} : { clients: felt }),
      success: report.outcome === 'completed' && checked.holds && ram.every(({ holds }) => holds),
      checks: [...checked.results, ...ram],
      verification: checked.verification && {
        pages: checked.verification.pages,
        badPages: checked.verification.badPages,
        heartbeatsLost: checked.heartbeats?.lost ?? null,
      },
    };
  } finally {
    await guest.close();
  }
}

/** What the clients felt, some time after the move included; to be asked at its end. */
async function feltBy(clients: Clients, beginMs: number, measure: MoveMeasure): Promise<ClientFigures> {
  const endMs = measure.resumedAtMs === null ? Date.now() : beginMs + measure.resumedAtMs;
  await sleep(CLIENTS_AFTER_MS);
  return clientFigures(await clients.stop(), beginMs, endMs);
}

type CellPair = CellGuest['pair'];

async function moveByQemu(pair: CellPair, options: CellOptions, oracle: RamOracle | null): Promise<Moved> {
  const { plan, cell, downtimeLimitMs, onBaselineProgress, signal } = options;
  if (!isBaseline(cell.strategy.name)) throw new Error(`${cell.strategy.name} is no baseline`);
  const report = await runBaseline(pair, {
    baseline: cell.strategy.name,
    memoryBytes: plan.memoryBytes,
    timeLimitMs: plan.timeLimitMs,
    ...(oracle === null ? {} : { onArrival: () => oracle.compareAndStart() }),
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
      setupMs: null,
      stopAndCopy: {},
    },
    measure: report,
  };
}

async function moveByMigrator(
  pair: CellPair,
  options: CellOptions,
  oracle: RamOracle | null,
): Promise<Moved> {
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
    arrangement: cell.strategy.arrangement ?? 'single',
    destinationCommand: pair.network.destination.command([]),
    ...(options.recordPath === undefined ? {} : { recordPath: options.recordPath }),
    ...(oracle === null ? {} : { onCommit: () => oracle.compare() }),
  } as const;
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
    setupMs: null,
    stopAndCopy: {},
  };
}

async function check(
  guest: CellGuest,
  report: MigratorReport,
  measure: MoveMeasure,
  options: CellOptions,
): Promise<GuestChecked> {
  const { totalMigrationTimeMs, downtimeMs } = measure;
  const { compareRam } = options.plan;
  const { downtimePredictedMs } = report;
  // Comparing RAM lengthens the downtime, which then breaks no promise.
  const downtimeLimitMs = compareRam ? null : report.downtimeLimitMs;
  // A prediction is a promise only where no limit is one.
  const promised = downtimeLimitMs === null && !compareRam ? downtimePredictedMs : null;
  const limits = {
    timeLimitMs: options.plan.timeLimitMs,
    totalMigrationTimeMs,
    downtimeMs,
    downtimeLimitMs,
    downtimePredictedMs: promised,
    downtimeAgreedMs: options.downtimeLimitMs ?? DOWNTIME_LIMIT_MS_DEFAULT,
  };
  return guest.check(await placeOf(guest.pair, report.outcome), limits);
}

/** Where the VM should be now. A failed run may have failed late, so the VM that runs is the one to judge. */
async function placeOf(pair: Pair, outcome: Outcome): Promise<Place> {
  if (outcome === 'completed') return 'moved';
  const { destination } = pair;
  if (destination.process.ending() !== null) return 'stayed';
  const status = await queryStatus(destination.qmp).catch(() => null);
  return status?.running ? 'moved' : 'stayed';
}

function accountOf(options: CellOptions, guest: CellGuest, rate: DirtyRate) {
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
    guestCommandLine: guest.commandLine,
    memoryBytes: plan.memoryBytes,
    linkBytesPerSecond: plan.linkBytesPerSecond,
    timeLimitMs: plan.timeLimitMs,
    downtimeLimitMs,
    ...rate,
    memoryIntensive: isMemoryIntensive(rate, plan.linkBytesPerSecond),
    bounds: guest.boundsAt(rate, plan.linkBytesPerSecond),
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
  if (!before || !after || after.guestMs <= before.guestMs || !rate.writtenBytesPerSecond) return null;
  const pages = pagesBetween(before, after);
  if (pages === null) return null;
  return (pages * PAGE_SIZE_BYTES * 1000) / (after.guestMs - before.guestMs) / rate.writtenBytesPerSecond;
}
