/** The judging half of the checks, on evidence made by hand. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { joinSerial } from '../machine/serial.ts';
import { type LimitFigures, limitsCheck, oneRunningCheck } from './checks.ts';
import { continuityOf } from './heartbeats.ts';
import { filesCheck } from './linux-checks.ts';
import { parseRamBlocks } from './oracle.ts';

test('a heartbeat counter that jumps or comes again is a fault', () => {
  assert.deepEqual(continuityOf([7, 8, 9]), { beats: 3, lost: 0, repeated: 0, firstFault: null });
  assert.deepEqual(continuityOf([7, 10, 11]), { beats: 3, lost: 2, repeated: 0, firstFault: '10 after 7' });
  assert.deepEqual(continuityOf([7, 8, 8, 7, 9]), {
    beats: 5,
    lost: 1,
    repeated: 2,
    firstFault: '8 after 8',
  });
  assert.equal(continuityOf([]).lost, 0);
});

test('a line cut by the move is one line again', () => {
  const source = { lines: [{ text: 'H 1 2 3', atMs: 1 }], partial: () => 'H 2 1' };
  const destination = {
    lines: [
      { text: '2 4', atMs: 5 },
      { text: 'H 3 22 5', atMs: 6 },
    ],
    partial: () => '',
  };
  const joined = joinSerial(source, destination);
  assert.deepEqual(
    joined.lines.map((line) => line.text),
    ['H 1 2 3', 'H 2 12 4', 'H 3 22 5'],
  );
  assert.equal(joined.destinationFrom, 1);
  assert.equal(joinSerial(source, { lines: [], partial: () => '' }).lines.length, 1);
});

test('exactly one VM runs, and it is the right one', () => {
  const complaints = (source: string | null, destination: string | null, place: 'moved' | 'stayed') =>
    oneRunningCheck.assert({ source, destination }, place).length;
  assert.equal(complaints('postmigrate', 'running', 'moved'), 0);
  assert.equal(complaints(null, 'running', 'moved'), 0);
  assert.equal(complaints('running', 'running', 'moved'), 1);
  assert.equal(complaints('paused', 'paused', 'moved'), 1);
  assert.equal(complaints('running', null, 'stayed'), 0);
  assert.equal(complaints('paused', 'running', 'stayed'), 2);
});

test('only what was promised is a limit', () => {
  const figures = {
    timeLimitMs: 60_000,
    totalMigrationTimeMs: 9000,
    downtimeMs: 900,
    downtimeLimitMs: null,
    downtimePredictedMs: null,
    downtimeAgreedMs: 300,
  };
  const complaints = (changed: Partial<LimitFigures>) =>
    limitsCheck.assert({ ...figures, ...changed }, 'moved').length;
  assert.equal(complaints({}), 0);
  assert.equal(complaints({ downtimeLimitMs: 899 }), 1);
  assert.equal(complaints({ downtimePredictedMs: 1000 }), 0);
  assert.equal(complaints({ downtimePredictedMs: 599 }), 1);
  assert.equal(complaints({ downtimePredictedMs: 1344 }), 1);
  assert.equal(complaints({ downtimeMs: 60, downtimePredictedMs: 299 }), 0, 'within what was agreed to');
  assert.equal(complaints({ downtimeMs: 301, downtimePredictedMs: 600 }), 1);
  assert.equal(complaints({ totalMigrationTimeMs: 60_001 }), 1);
  assert.equal(complaints({ totalMigrationTimeMs: null, downtimeMs: null }), 2);
});

test('the RAM blocks of "info ramblock" with their host addresses', () => {
  const table = [
    '              Block Name    PSize              Offset               Used              Total                HVA  RO',
    '                  pc.ram    4 KiB  0x0000000000000000 0x0000000010000000 0x0000000010000000 0x00007f5dd7e00000  rw',
    '    /rom@etc/acpi/tables    4 KiB  0x0000000010080000 0x0000000000020000 0x0000000000200000 0x00007f5deea00000  ro',
    '',
  ].join('\n');
  assert.deepEqual(parseRamBlocks(table), [
    { id: '/rom@etc/acpi/tables', sizeBytes: 0x20000, hostAddress: 0x7f5deea00000 },
    { id: 'pc.ram', sizeBytes: 0x10000000, hostAddress: 0x7f5dd7e00000 },
  ]);
  const old = 'Block Name PSize Offset Used Total\n pc.ram 4 KiB 0x0 0x1000 0x1000\n';
  assert.throws(() => parseRamBlocks(old), { code: 'LAB_VM_FAILED' });
});

test('files that changed, a program that ended, logs that complain, and no file at all are faults', () => {
  const sound = { files: 20, pages: 6000, badFiles: 0, badPages: 0, programAlive: true, complaintCount: 0 };
  const complaints = (changed: object) =>
    filesCheck.assert({ ...sound, complaints: [], ...changed }, 'moved').length;
  assert.equal(complaints({}), 0);
  assert.equal(complaints({ badFiles: 1, badPages: 9 }), 1);
  assert.equal(complaints({ programAlive: false }), 1);
  assert.equal(complaints({ complaints: ['BUG: x'], complaintCount: 1 }), 1);
  assert.equal(complaints({ complaints: ['BUG: x'], complaintCount: 7 }), 2);
  assert.equal(complaints({ files: 0 }), 1);
});
