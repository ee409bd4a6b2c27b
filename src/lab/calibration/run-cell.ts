/** One cell of the calibration: its guest moved live, and the same run simulated. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runTask, type TaskResult } from '../../simulator/index.ts';
import { traceLoader } from '../../trace/index.ts';
import { type Network, openNetwork } from '../network/network.ts';
import type { RunRecord } from '../report/results.ts';
import { runContest } from '../run/contest.ts';
import { gatewayMigrator } from '../run/gateway-migrator.ts';
import { CALIBRATION, type CalibrationCell, hashOf, simulationOf } from './cells.ts';
import { CALIBRATION_SCHEMA, type CalibrationRecord, errorsOf, type Run } from './records.ts';

/** `commit` is this program's and goes into the record; null where it is not known. */
export async function runCalibrationCell(
  cell: CalibrationCell,
  commit: string | null,
  signal: AbortSignal,
): Promise<CalibrationRecord> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-calibrate-'));
  const traceFile = cell.baseline === null ? join(folder, 'guest.trace') : null;
  const network = await openNetwork({ linkBytesPerSecond: CALIBRATION.linkBytesPerSecond });
  try {
    const { record, live, guestMs } = await moveLive(cell, network, traceFile, signal);
    const load = traceLoader();
    const simulated = (trace: string | null) =>
      figuresOf(runTask(simulationOf(cell, CALIBRATION.seed, guestMs, trace), load));
    const model = simulated(null);
    const trace = traceFile === null || record.outcome !== 'completed' ? null : simulated(traceFile);
    return {
      schema: CALIBRATION_SCHEMA,
      hash: hashOf(cell),
      key: cell.key,
      workload: cell.workload.id,
      strategy: cell.strategy,
      seed: CALIBRATION.seed,
      commit,
      qemuVersion: record.qemuVersion,
      accelerator: record.accelerator,
      link: record.link,
      hostLoad: record.hostLoad,
      guestMs,
      guestCommandLine: record.guestCommandLine,
      guestSpeedShare: record.guestSpeedShare,
      success: record.success,
      live,
      model,
      trace,
      modelErrors: errorsOf(live, model),
      traceErrors: errorsOf(live, trace),
    };
  } finally {
    await network.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function moveLive(
  cell: CalibrationCell,
  network: Network,
  traceFile: string | null,
  signal: AbortSignal,
): Promise<{ record: RunRecord; live: Run; guestMs: number }> {
  const { memoryBytes, downtimeLimitMs, timeLimitMs, seed } = CALIBRATION;
  let guestMs = 0;
  let sinceMigrateMs: number | null = null;
  const migrator = gatewayMigrator({
    ...(traceFile === null ? {} : { recordPath: traceFile }),
    onReport: (report) => {
      sinceMigrateMs = report.totalMigrationTimeMs;
    },
  });
  const record = await runContest({
    network,
    guest: { ...cell.workload.guest, seed },
    memoryBytes,
    disk: 'none',
    strategy: cell.baseline ?? cell.strategy,
    parameters: {},
    migrator: cell.baseline === null ? migrator : null,
    downtimeLimitMs,
    timeLimitMs,
    onStage: (stage) => {
      if (stage.kind === 'measured') guestMs = stage.guestMs ?? 0;
    },
    signal,
  });
  // Through the gateway the lab's clock starts with the preflight, before `migrate`.
  const totalMigrationTimeMs = sinceMigrateMs ?? record.totalMigrationTimeMs;
  const { downtimeMs, transferredBytes, decision } = record;
  const live = { totalMigrationTimeMs, downtimeMs, transferredBytes, decision: reasonOf(decision) };
  return { record, guestMs, live };
}

function figuresOf({ totalMigrationTimeMs, downtimeMs, transferredBytes, decision }: TaskResult): Run {
  return { totalMigrationTimeMs, downtimeMs, transferredBytes, decision: reasonOf(decision) };
}

function reasonOf(decision: { readonly rule: string; readonly text: string } | null): string | null {
  return decision === null ? null : `${decision.rule}: ${decision.text}`;
}
