/**
 * `godwit lab calibrate`: the bare guest's workloads moved live and simulated side by side, and the errors of the simulator.
 * Not responsible for the runs (src/lab, src/simulator) nor for the cells and figures (calibrate-cells.ts).
 */

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '../../base/index.ts';
import {
  findQemu,
  gatewayMigrator,
  type Network,
  openNetwork,
  pinSelf,
  type RunRecord,
  runContest,
  withMachineLock,
} from '../../lab/index.ts';
import { runTask, type TaskResult } from '../../simulator/index.ts';
import { traceLoader } from '../../trace/index.ts';
import type { CommandContext, CommandOptions } from '../command.ts';
import { commitOf } from '../commit.ts';
import { EXIT } from '../exit.ts';
import { liveView } from '../screen/live.ts';
import {
  CALIBRATION,
  CALIBRATION_SCHEMA,
  type CalibrationCell,
  type CalibrationRecord,
  calibrationCells,
  calibrationTable,
  errorsOf,
  hashOf,
  parseCalibration,
  type Run,
  simulationOf,
  summarizeCalibration,
} from './calibrate-cells.ts';

/**
 * Exit code 0 when the model keeps its tolerances. Goes on where an earlier sitting stopped. Errors: LAB_TOOL_MISSING, LAB_VM_FAILED,
 * LAB_RESULTS, USAGE_VALUE.
 */
export async function runCalibration(context: CommandContext, options: CommandOptions): Promise<number> {
  const cells = calibrationCells(options['only'] as readonly string[]);
  const resultsPath = textOf(options, 'results') ?? join('results', 'calibration.jsonl');
  const lockPath = textOf(options, 'lock');
  const known = readKnown(resultsPath, cells);
  findQemu();
  await pinSelf();
  const view = liveView(context.err, systemClock);
  if (known.size > 0) view.log(`${known.size} of ${cells.length} runs are there already: ${resultsPath}`);
  try {
    for (const [at, cell] of cells.entries()) {
      if (known.has(cell.key)) continue;
      view.update([`${at + 1} of ${cells.length}: ${cell.key}`]);
      const record = await underLock(lockPath, context.interrupted, () => runCell(cell, context.interrupted));
      known.set(cell.key, record);
      appendFileSync(resultsPath, `${JSON.stringify(record)}\n`);
      if (!record.success) view.log(`${cell.key}: the live run broke a promise, or did not end`);
    }
  } finally {
    view.update([]);
    view.close();
  }
  const records = cells.flatMap(({ key }) => known.get(key) ?? []);
  const summary = summarizeCalibration(records);
  if (options['json'] === true)
    context.out.write(`${JSON.stringify({ schema: CALIBRATION_SCHEMA, records, summary })}\n`);
  else context.out.write(`${calibrationTable(records).join('\n')}\n`);
  return summary[0]!.within ? EXIT.ok : EXIT.failed;
}

function textOf(options: CommandOptions, name: string): string | null {
  const value = options[name];
  return typeof value === 'string' ? value : null;
}

/** Leaves a file that ends with a whole line. */
function readKnown(path: string, cells: readonly CalibrationCell[]): Map<string, CalibrationRecord> {
  mkdirSync(dirname(path), { recursive: true });
  if (!existsSync(path)) return new Map();
  const text = readFileSync(path, 'utf8');
  const known = parseCalibration(text, cells);
  if (!text.endsWith('\n')) writeFileSync(path, text.slice(0, text.lastIndexOf('\n') + 1));
  return known;
}

function underLock<Result>(
  path: string | null,
  signal: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result> {
  return path === null ? work() : withMachineLock({ path, signal }, work);
}

async function runCell(cell: CalibrationCell, signal: AbortSignal): Promise<CalibrationRecord> {
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
      commit: commitOf(),
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
