import assert from 'node:assert/strict';
import test from 'node:test';
import { checkDiskLog, diskRecord } from './index.ts';

const SEED = 4;
const PLACES = 16;
const expectation = { seed: SEED, diskLogBytes: PLACES * 512 };

function image(last: number): Buffer {
  const bytes = Buffer.alloc(PLACES * 512 + 4096);
  for (let sequence = 1; sequence <= last; sequence++) {
    bytes.set(diskRecord(SEED, sequence, PLACES, sequence * 50), ((sequence - 1) % PLACES) * 512);
  }
  return bytes;
}

test('a log is sound when empty, part full, full and wrapped', () => {
  for (const last of [0, 1, 5, PLACES, PLACES + 1, 3 * PLACES + 7]) {
    const check = checkDiskLog(image(last), { ...expectation, completedSequence: last });
    assert.deepEqual([check.sound, check.lastSequence], [true, last || null], `${last}`);
    assert.equal(check.records, Math.min(last, PLACES));
  }
});

test('a lost write, a repeated one and a torn one are each found', () => {
  const lost = image(PLACES + 5);
  lost.set(diskRecord(SEED, 2, PLACES, 100), 512);
  assert.deepEqual(checkDiskLog(lost, expectation).gaps, [PLACES + 2]);
  const repeated = image(5);
  repeated.set(diskRecord(SEED, 5, PLACES, 250), 5 * 512);
  assert.equal(checkDiskLog(repeated, expectation).duplicates, 1);
  for (const byte of [0, 9, 40, 300, 511]) {
    const torn = image(5);
    torn[2 * 512 + byte]! ^= 0x10;
    const check = checkDiskLog(torn, expectation);
    assert.deepEqual([check.sound, check.gaps], [false, [3]], `byte ${byte}`);
  }
});

test('what the guest reported complete must be there, and another seed or a short image is damage', () => {
  assert.deepEqual(checkDiskLog(image(5), { ...expectation, completedSequence: 6 }).gaps, [6]);
  assert.equal(checkDiskLog(image(5), { ...expectation, seed: SEED + 1 }).damaged, 5);
  assert.equal(checkDiskLog(image(5).subarray(0, 512 * 8), expectation).damaged, 8);
});
