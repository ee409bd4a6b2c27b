/**
 * Results of a sweep as files: JSON lines that survive a crash and say whose they are, and CSV. Not
 * responsible for plots (page.ts).
 */

import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { errorMessage, GodwitError } from '../base/index.ts';
import type { TaskResult } from './task.ts';

export const SWEEP_SCHEMA = 'godwit.simulation-run/1';

/** Whose results these are; those of another plan or another way of asking are never mixed in. */
export interface SweepStamp {
  readonly plan: string;
  /** Over the plan, its ranges and the options. */
  readonly hash: string;
  readonly commit: string | null;
}

export interface SweepRecord extends TaskResult {
  readonly schema: typeof SWEEP_SCHEMA;
  readonly stamp: SweepStamp;
}

export function appendRecord(path: string, stamp: SweepStamp, result: TaskResult): void {
  appendFileSync(path, `${JSON.stringify({ schema: SWEEP_SCHEMA, stamp, ...result })}\n`);
}

/**
 * What is there of this sweep; a line that a crash cut is dropped, and the file then ends with a whole line.
 * Errors: SWEEP_RESULTS for a file that is none, or whose runs belong to another plan.
 */
export function resumeRecords(path: string, hash: string): SweepRecord[] {
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  const lines = text.split('\n');
  const cut = lines.pop() ?? '';
  const records = lines.map((line, index) => recordOf(line, `${path}:${index + 1}`, hash));
  if (cut !== '') writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  return records;
}

function recordOf(line: string, where: string, hash: string): SweepRecord {
  let record: SweepRecord;
  try {
    record = JSON.parse(line) as SweepRecord;
  } catch (cause) {
    throw new GodwitError('SWEEP_RESULTS', `${where} is no result: ${errorMessage(cause)}`, { cause });
  }
  if (record?.schema === SWEEP_SCHEMA && record.stamp?.hash === hash) return record;
  throw new GodwitError('SWEEP_RESULTS', `${where} belongs to another plan, or to other options`, {
    hint: 'give another folder with --out, or remove the old results',
    safe: 'nothing was changed',
  });
}

const COLUMNS = [
  'key',
  'workload',
  'strategy',
  'run',
  'seed',
  'memoryBytes',
  'linkBytesPerSecond',
  'roundTripMs',
  'downtimeLimitMs',
  'outcome',
  'success',
  'totalMigrationTimeMs',
  'downtimeMs',
  'downtimePredictedMs',
  'transferredBytes',
  'regret',
  'iterations',
  'throttleShareMax',
] as const;

export function recordsCsv(records: readonly TaskResult[]): string {
  const bounds = ['totalMigrationTimeMsMin', 'downtimeMsMin', 'transferredBytesMin'] as const;
  const header = [...COLUMNS, ...bounds, 'reason'].join(',');
  const lines = records.map((record) =>
    [
      ...COLUMNS.map((name) => cell(record[name])),
      ...bounds.map((name) => cell(record.bounds[name])),
      cell(record.reason),
    ].join(','),
  );
  return `${[header, ...lines].join('\n')}\n`;
}

/** Unknown is empty, never 0. */
function cell(value: string | number | boolean | null): string {
  if (value === null) return '';
  const text = String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
