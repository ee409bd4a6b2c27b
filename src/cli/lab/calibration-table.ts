/** A calibration as a table. Pure. */

import { formatBytes, formatMs } from '../../base/index.ts';
import { type CalibrationRecord, type CalibrationSummary, summarizeCalibration } from '../../lab/index.ts';
import { formatTable } from '../screen/table.ts';

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
