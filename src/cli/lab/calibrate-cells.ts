/**
 * What is calibrated, and how far a simulated run lies from the live one of the same guest. Pure.
 * Not responsible for running either (calibrate.ts).
 */

import { createHash } from 'node:crypto';
import { formatBytes, formatMs, GodwitError, MIB, median } from '../../base/index.ts';
import { type Baseline, GUEST_DEFAULTS, type GuestOptions, isBaseline } from '../../lab/index.ts';
import type { SimulationTask } from '../../simulator/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { formatTable } from '../screen/table.ts';

export const CALIBRATION_SCHEMA = 'godwit.calibration/1';

/** A guest of which a first pass takes six seconds, and most writes more than the link carries. */
export const CALIBRATION = {
  memoryBytes: 256 * MIB,
  linkBytesPerSecond: 25e6,
  downtimeLimitMs: 300,
  timeLimitMs: 60_000,
  seed: 3,
  guest: { fillBytes: 144 * MIB, hotBytes: 40 * MIB, rateBytesPerSecond: 40 * MIB },
} as const;

export interface CalibrationWorkload {
  readonly id: string;
  readonly guest: Partial<GuestOptions> & Pick<GuestOptions, 'workload'>;
}

const busy = (workload: GuestOptions['workload']): CalibrationWorkload => ({
  id: workload,
  guest: { ...CALIBRATION.guest, workload },
});

const CALIBRATION_WORKLOADS: readonly CalibrationWorkload[] = [
  { id: 'idle', guest: { fillBytes: CALIBRATION.guest.fillBytes, workload: 'idle' } },
  busy('stress'),
  busy('uniform'),
  busy('zipf'),
  busy('sweep'),
  busy('phased'),
  busy('mixed'),
  // Below the link's rate: plain pre-copy ends too.
  { id: 'calm', guest: { ...CALIBRATION.guest, workload: 'uniform', rateBytesPerSecond: 12 * MIB } },
];

const GATEWAY_STRATEGIES = ['frs', 'mp', 'adaptive'] as const;
/** Plain pre-copy does not end on the others. */
const PRECOPY_WORKLOADS = ['idle', 'calm'];

export interface CalibrationCell {
  readonly key: string;
  readonly workload: CalibrationWorkload;
  /** As the simulator calls it. */
  readonly strategy: string;
  /** Plain QEMU, by its name in the lab; null: through the gateway. */
  readonly baseline: Baseline | null;
}

/** Errors: USAGE_VALUE when `only` leaves nothing. */
export function calibrationCells(only: readonly string[]): readonly CalibrationCell[] {
  const cells = CALIBRATION_WORKLOADS.flatMap((workload) => [
    ...GATEWAY_STRATEGIES.map((strategy) => cell(workload, strategy)),
    ...(PRECOPY_WORKLOADS.includes(workload.id) ? [cell(workload, 'precopy')] : []),
  ]);
  if (only.length === 0) return cells;
  const wanted = cells.filter(({ key, workload, strategy }) =>
    only.some((name) => [key, workload.id, strategy].includes(name)),
  );
  if (wanted.length > 0) return wanted;
  throw new GodwitError('USAGE_VALUE', `--only ${only.join(' ').slice(0, 64)} leaves nothing to run`, {
    hint: `workloads: ${CALIBRATION_WORKLOADS.map(({ id }) => id).join(', ')}; strategies: ${GATEWAY_STRATEGIES.join(', ')}, precopy`,
    safe: 'nothing was started',
  });
}

function cell(workload: CalibrationWorkload, strategy: string): CalibrationCell {
  const plain = `qemu-${strategy}`;
  const baseline = strategy === 'precopy' && isBaseline(plain) ? plain : null;
  return { key: `${workload.id}/${strategy}`, workload, strategy, baseline };
}

/** The same guest, strategy and link, simulated; `traceFile`: the guest as recorded during the live run. */
export function simulationOf(
  { key, workload, strategy }: CalibrationCell,
  seed: number,
  guestMs: number,
  traceFile: string | null,
): SimulationTask {
  const { body, fillBytes, hotBytes, rateBytesPerSecond, zipfExponent, busyMs, quietMs } = {
    ...GUEST_DEFAULTS,
    ...workload.guest,
  };
  return {
    key,
    run: 0,
    seed,
    seedBase: seed,
    strategy: { id: strategy, name: strategy, parameters: {}, relaxedFactor: 1 },
    workload: {
      id: workload.id,
      options: {
        workload: workload.guest.workload,
        ...{ body, fillBytes, hotBytes, rateBytesPerSecond, zipfExponent, busyMs, quietMs },
        // A trace begins where the migration did.
        startMs: traceFile === null ? guestMs : 0,
      },
    },
    trace: traceFile === null ? null : { file: traceFile, startShare: 0 },
    memoryBytes: Math.floor(CALIBRATION.memoryBytes / PAGE_SIZE_BYTES) * PAGE_SIZE_BYTES,
    linkBytesPerSecond: CALIBRATION.linkBytesPerSecond,
    roundTripMs: 0.2,
    downtimeLimitMs: CALIBRATION.downtimeLimitMs,
    timeLimitMs: CALIBRATION.timeLimitMs,
    gatewayMemoryBytesMax: 2048 * MIB,
    arrangement: 'single',
    regret: false,
  };
}

/** Over all that makes a cell's live run. */
export function hashOf({ key, workload, baseline }: CalibrationCell): string {
  const made = JSON.stringify([CALIBRATION, key, workload.guest, baseline]);
  return createHash('sha256').update(made).digest('hex').slice(0, 16);
}

/**
 * What is there of these cells, the newest of each. A line that a crash cut is dropped. Errors: LAB_RESULTS for a file of something else, or
 * of cells that were measured otherwise.
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

/** Share by which `simulated` lies off `live`, with its sign; null where one of them is not known. */
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
  /** Over guest, link and limits of its cell: what was measured under others is not mixed in. */
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
  /** What the guest writes while it is moved, over what it wrote before. */
  readonly guestSpeedShare: number | null;
  readonly success: boolean;
  readonly live: Run;
  /** From the workload's model, and from the trace of the live run; null where there is none. */
  readonly model: Run | null;
  readonly trace: Run | null;
  readonly modelErrors: Errors;
  readonly traceErrors: Errors;
}

/** What the model promises, as the median over all runs. */
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

export function calibrationTable(records: readonly CalibrationRecord[]): string[] {
  const columns = [
    { title: 'run' },
    ...['total time', 'model', 'trace', 'downtime', 'model', 'trace', 'data', 'model', 'trace'].map(
      (title) => ({ title, align: 'right' as const }),
    ),
  ];
  const rows = records.map(({ key, live, modelErrors, traceErrors }) => [
    key,
    known(live.totalMigrationTimeMs, formatMs),
    signed(modelErrors.totalMigrationTimeMs),
    signed(traceErrors.totalMigrationTimeMs),
    known(live.downtimeMs, formatMs),
    signed(modelErrors.downtimeMs),
    signed(traceErrors.downtimeMs),
    known(live.transferredBytes, formatBytes),
    signed(modelErrors.transferredBytes),
    signed(traceErrors.transferredBytes),
  ]);
  const [model, trace] = summarizeCalibration(records) as [CalibrationSummary, CalibrationSummary];
  const medians = (['totalMigrationTimeMs', 'downtimeMs', 'transferredBytes'] as const).flatMap((name) => [
    '',
    unsigned(model.medians[name]),
    unsigned(trace.medians[name]),
  ]);
  return formatTable(columns, [...rows, ['median of absolute errors', ...medians]]);
}

function known(value: number | null, format: (value: number) => string): string | null {
  return value === null ? null : format(value);
}

function signed(share: number | null): string | null {
  if (share === null) return null;
  const percent = Math.round(share * 100);
  return `${percent > 0 ? '+' : ''}${percent} %`;
}

function unsigned(share: number | null): string | null {
  return share === null ? null : `${(share * 100).toFixed(1)} %`;
}
