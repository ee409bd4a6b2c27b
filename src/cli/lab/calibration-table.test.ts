/** The calibration's table: signed errors of each run, medians below. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { type CalibrationRecord, errorsOf } from '../../lab/index.ts';
import { calibrationTable } from './calibration-table.ts';

const figures = (totalMigrationTimeMs: number, downtimeMs: number) => ({
  ...{ totalMigrationTimeMs, downtimeMs, transferredBytes: 2000, decision: null },
});

function record(simulatedTotalMs: number, simulatedDowntimeMs: number): CalibrationRecord {
  const live = figures(1000, 100);
  const model = figures(simulatedTotalMs, simulatedDowntimeMs);
  return {
    ...{ schema: 'godwit.calibration/1', hash: '', key: 'uniform/frs', workload: 'uniform', strategy: 'frs' },
    ...{ seed: 1, commit: null, qemuVersion: '10.0.2', accelerator: 'tcg', link: 'namespaces', hostLoad: 0 },
    ...{ guestMs: 0, guestCommandLine: '', guestSpeedShare: null, success: true, live, model, trace: null },
    modelErrors: errorsOf(live, model),
    traceErrors: errorsOf(live, null),
  };
}

test('errors have a sign, medians have none, and what is not known stays blank', () => {
  const lines = calibrationTable([record(1100, 80), record(900, 130), record(1000, 60)]);
  const first = lines.find((line) => line.startsWith('uniform/frs'));
  assert.match(first ?? '', /\+10 %.*-20 %.* 0 %/);
  assert.doesNotMatch(first ?? '', /NaN|null/);
  assert.match(lines.at(-1)!, /10\.0 %.*30\.0 %.*0\.0 %/);
});
