import { GodwitError, median } from '../../base/index.ts';
import { type CalibrationCell, hashOf } from './cells.ts';

export const CALIBRATION_SCHEMA = 'godwit.calibration/1';

/**
 * The newest record of each of these cells. A line that a crash cut is dropped. Errors: LAB_RESULTS for a
 * file that holds something else, or cells that were measured with other settings.
 */
export function parseCalibration(
  text: string,
  cells: readonly CalibrationCell[],
): Map<string, CalibrationRecord> {
  const hashes = new Map(cells.map((one) => [one.key, hashOf(one)]));
  const found = new Map<string, CalibrationRecord>();
  for (const [index, line] of text.split('\n').slice(0, -1).entries()) {
    const record = recordOf(line);
    if (record === null) throw foreign(`line ${index + 1} is no calibration`);
    const expected = hashes.get(record.key);
    if (expected === undefined) continue;
    if (record.hash !== expected) throw foreign(`${record.key} was measured with other settings`);
    found.set(record.key, record);
  }
  return found;
}

function recordOf(line: string): CalibrationRecord | null {
  try {
    const record = JSON.parse(line) as CalibrationRecord | null;
    return record?.schema === CALIBRATION_SCHEMA ? record : null;
  } catch {
    return null;
  }
}

function foreign(why: string): GodwitError {
  return new GodwitError('LAB_RESULTS', `these results cannot be added to: ${why}`, {
    hint: 'give another file with --results',
    safe: 'nothing was changed',
  });
}

export interface Figures {
  readonly totalMigrationTimeMs: number | null;
  readonly downtimeMs: number | null;
  readonly transferredBytes: number | null;
}

/** A run's figures, and why it was stopped when it was. */
export interface Run extends Figures {
  readonly decision: string | null;
}

export type Errors = { readonly [Name in keyof Figures]: number | null };

/** The signed share by which `simulated` differs from `live`; null where one of them is not known. */
export function errorsOf(live: Figures, simulated: Figures | null): Errors {
  const share = (name: keyof Figures) => {
    const [truth, model] = [live[name], simulated?.[name] ?? null];
    return truth === null || model === null || truth <= 0 ? null : model / truth - 1;
  };
  return {
    totalMigrationTimeMs: share('totalMigrationTimeMs'),
    downtimeMs: share('downtimeMs'),
    transferredBytes: share('transferredBytes'),
  };
}

export interface CalibrationRecord {
  readonly schema: typeof CALIBRATION_SCHEMA;
  /** Hash over guest, link and limits of the cell; records with another hash are refused. */
  readonly hash: string;
  readonly key: string;
  readonly workload: string;
  readonly strategy: string;
  readonly seed: number;
  readonly commit: string | null;
  readonly qemuVersion: string;
  readonly accelerator: string;
  readonly link: string;
  readonly hostLoad: number;
  /** The guest's clock when it began to move. */
  readonly guestMs: number;
  readonly guestCommandLine: string;
  /** The guest's write rate while it is moved, divided by its rate before. */
  readonly guestSpeedShare: number | null;
  readonly success: boolean;
  readonly live: Run;
  /** Simulated from the workload's model, and from the trace of the live run; null where there is none. */
  readonly model: Run | null;
  readonly trace: Run | null;
  readonly modelErrors: Errors;
  readonly traceErrors: Errors;
}

/** The largest median error, over all runs, with which the model counts as right. */
const TOLERANCES: { readonly [Name in keyof Figures]: number } = {
  totalMigrationTimeMs: 0.15,
  downtimeMs: 0.25,
  transferredBytes: 0.15,
};

export interface CalibrationSummary {
  readonly source: 'model' | 'trace';
  /** Median of the absolute errors. */
  readonly medians: Errors;
  readonly within: boolean;
}

export function summarizeCalibration(records: readonly CalibrationRecord[]): readonly CalibrationSummary[] {
  return (['model', 'trace'] as const).map((source) => {
    const all = records.map((record) => (source === 'model' ? record.modelErrors : record.traceErrors));
    const middle = (name: keyof Figures) =>
      median(all.flatMap((errors) => (errors[name] === null ? [] : [Math.abs(errors[name])])));
    const medians = {
      totalMigrationTimeMs: middle('totalMigrationTimeMs'),
      downtimeMs: middle('downtimeMs'),
      transferredBytes: middle('transferredBytes'),
    };
    const within = (Object.keys(TOLERANCES) as (keyof Figures)[]).every(
      (name) => medians[name] !== null && medians[name] <= TOLERANCES[name],
    );
    return { source, medians, within };
  });
}
