/**
 * `godwit lab calibrate`: the bare guest's workloads moved live and simulated side by side, and the errors of
 * the simulator. Not responsible for cells, runs and figures (src/lab/calibration).
 */

import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { systemClock } from '../../base/index.ts';
import {
  CALIBRATION_SCHEMA,
  type CalibrationCell,
  type CalibrationRecord,
  calibrationCells,
  findQemu,
  parseCalibration,
  pinSelf,
  runCalibrationCell,
  summarizeCalibration,
  withMachineLock,
} from '../../lab/index.ts';
import type { CommandContext, CommandOptions } from '../command.ts';
import { commitOf } from '../commit.ts';
import { EXIT } from '../exit.ts';
import { liveView } from '../screen/live.ts';
import { calibrationTable } from './calibration-table.ts';
import { textOf } from './options.ts';

/**
 * Exit code 0 when the model keeps its tolerances. Continues where an earlier sitting stopped. Errors:
 * LAB_TOOL_MISSING, LAB_VM_FAILED, LAB_RESULTS, USAGE_VALUE.
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
      const record = await underLock(lockPath, context.interrupted, () =>
        runCalibrationCell(cell, commitOf(), context.interrupted),
      );
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

/** Reads the records and cuts off a torn last line. */
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
