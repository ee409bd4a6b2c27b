/** Cells, errors and medians of the calibration, on figures that can be checked by hand. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { calibrationCells, hashOf, simulationOf } from './cells.ts';
import {
  type CalibrationRecord,
  errorsOf,
  parseCalibration,
  type Run,
  summarizeCalibration,
} from './records.ts';

const run = (totalMigrationTimeMs: number, downtimeMs: number, transferredBytes: number): Run => ({
  totalMigrationTimeMs,
  downtimeMs,
  transferredBytes,
  decision: null,
});

function record(live: Run, model: Run, trace: Run | null): CalibrationRecord {
  return {
    schema: 'godwit.calibration/1',
    hash: hashOf(calibrationCells(['uniform/frs'])[0]!),
    ...{ key: 'uniform/frs', workload: 'uniform', strategy: 'frs', seed: 1, commit: null },
    ...{ qemuVersion: '10.0.2', accelerator: 'tcg', link: 'namespaces', hostLoad: 0, guestMs: 0 },
    ...{ guestCommandLine: '', guestSpeedShare: null, success: true, live, model, trace },
    modelErrors: errorsOf(live, model),
    traceErrors: errorsOf(live, trace),
  };
}

test('each gateway strategy meets each workload; plain pre-copy only those on which it ends', () => {
  const keys = calibrationCells([]).map(({ key }) => key);
  assert.equal(keys.length, 26);
  for (const key of ['idle/precopy', 'calm/precopy', 'mixed/adaptive']) assert.ok(keys.includes(key), key);
  assert.ok(!keys.includes('stress/precopy'));
  assert.equal(calibrationCells(['zipf']).length, 3);
  assert.deepEqual(
    calibrationCells(['zipf/mp', 'precopy']).map(({ key, baseline }) => [key, baseline]),
    [
      ['idle/precopy', 'qemu-precopy'],
      ['zipf/mp', null],
      ['calm/precopy', 'qemu-precopy'],
    ],
  );
  assert.throws(() => calibrationCells(['nothing']), { code: 'USAGE_VALUE' });
});

test('the simulated guest is the live one, at the same moment of its clock', () => {
  const [cell] = calibrationCells(['phased/mp']);
  const task = simulationOf(cell!, 3, 2345, null);
  assert.equal(task.workload.options.workload, 'phased');
  assert.equal(task.workload.options.startMs, 2345);
  assert.equal(task.workload.options.hotBytes, cell!.workload.guest.hotBytes);
  assert.equal(task.trace, null);
});

test('results resume: the newest of each cell counts, a torn line is dropped, others are refused', () => {
  const cells = calibrationCells(['uniform']);
  const first = record(run(1000, 100, 2000), null as never, null);
  const newer = { ...first, hostLoad: 2 };
  const text = [first, newer, { ...first, key: 'zipf/mp' }].map((one) => `${JSON.stringify(one)}\n`).join('');
  const found = parseCalibration(`${text}{"schema":"godw`, cells);
  assert.deepEqual([...found], [['uniform/frs', newer]]);
  assert.deepEqual([...parseCalibration('', cells)], []);
  const refused = { code: 'LAB_RESULTS' };
  assert.throws(() => parseCalibration('{"schema":"other"}\n', cells), refused);
  assert.throws(() => parseCalibration(`{"sch\n${text}`, cells), refused);
  assert.throws(() => parseCalibration(`${JSON.stringify({ ...first, hash: 'x' })}\n`, cells), refused);
});

test('errors carry their sign, medians do not, and what is unknown stays so', () => {
  const live = run(1000, 100, 2000);
  assert.deepEqual(errorsOf(live, run(1100, 80, 2000)), {
    totalMigrationTimeMs: 1100 / 1000 - 1,
    downtimeMs: 80 / 100 - 1,
    transferredBytes: 0,
  });
  assert.equal(errorsOf(live, null).downtimeMs, null);
  const records = [
    record(live, run(1100, 80, 2000), null),
    record(live, run(900, 130, 2200), null),
    record(live, run(1000, 60, 2000), null),
  ];
  const [model, trace] = summarizeCalibration(records);
  assert.ok(Math.abs(model!.medians.totalMigrationTimeMs! - 0.1) < 1e-9);
  assert.ok(Math.abs(model!.medians.downtimeMs! - 0.3) < 1e-9);
  assert.equal(model!.medians.transferredBytes, 0);
  assert.equal(model!.within, false, 'a downtime 30 % off is too far');
  assert.equal(trace!.medians.downtimeMs, null);
  assert.equal(trace!.within, false, 'nothing known is nothing kept');
});
