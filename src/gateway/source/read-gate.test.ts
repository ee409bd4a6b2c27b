import assert from 'node:assert/strict';
import test from 'node:test';
import { ReadGate } from './read-gate.ts';

const kept = (heldPages: number, roomPages = 1e6) => ({ roomPages, index: { queuedPages: 0, heldPages } });

test('without the ack nothing is read before the engine has spoken and QEMU has measured itself once', () => {
  const gate = new ReadGate(false);
  assert.equal(gate.isShut(1000, 0), true, 'nobody said how much');
  gate.waitingBytesMax = 1000;
  assert.equal(gate.isShut(1000, 0), false);
  gate.beginRam(1000);
  assert.equal(gate.isShut(1100, 0), true, "QEMU's threshold is still 0");
  assert.equal(gate.isShut(1200, 0), false);
});

test('without the ack no more is taken than may wait, and what is held leaves room for half of it', () => {
  const gate = new ReadGate(false);
  gate.waitingBytesMax = 1000 * 4096;
  assert.deepEqual([gate.isShut(0, 4_095_999), gate.isShut(0, 4_096_000)], [false, true]);
  assert.deepEqual([gate.mustSpill(kept(500)), gate.mustSpill(kept(501))], [false, true]);
});

test('with the ack only the spacing of passes counts', () => {
  const gate = new ReadGate(true);
  gate.beginRam(0);
  assert.deepEqual([gate.isShut(1, 1e15), gate.mustSpill(kept(1e9))], [false, false]);
  gate.beginPass(1000, null);
  assert.equal(gate.isShut(1001, 0), false);
  gate.beginPass(1010, 1000);
  assert.deepEqual([gate.isShut(1249, 0), gate.isShut(1250, 0)], [true, false]);
  gate.beginPass(2000, 1010);
  assert.equal(gate.isShut(2001, 0), false, 'far enough apart');
});

test('passes that are wanted close wait for a little of each other, but never without the ack', () => {
  const gate = new ReadGate(true);
  gate.beginPass(1010, 1000);
  assert.equal(gate.isShut(1100, 0), true);
  gate.setClose(true);
  assert.equal(gate.isShut(1100, 0), false, 'the one under way need not wait any more');
  gate.beginPass(1110, 1100);
  assert.deepEqual([gate.isShut(1149, 0), gate.isShut(1150, 0)], [true, false]);
  gate.setClose(false);
  gate.beginPass(1210, 1200);
  assert.equal(gate.isShut(1400, 0), true);
  const bare = new ReadGate(false);
  bare.waitingBytesMax = 1e9;
  bare.setClose(true);
  bare.beginPass(1010, 1000);
  assert.equal(bare.isShut(1100, 0), true);
});

test('once the VM has stopped nothing shuts it', () => {
  const gate = new ReadGate(false);
  gate.beginRam(0);
  gate.beginPass(10, 5);
  gate.open();
  assert.equal(gate.isShut(11, 1e15), false);
});

test('what QEMU keeps counts while the memory cap makes it wait, and for a pass after', () => {
  const gate = new ReadGate(true);
  assert.equal(gate.keepsQemuWaiting, false);
  assert.deepEqual([gate.isFull(kept(0, 64)), gate.isFull(kept(0, 63))], [false, true]);
  assert.equal(gate.keepsQemuWaiting, true);
  gate.beginPass(1000, null);
  assert.equal(gate.keepsQemuWaiting, true, 'a new pass is not known to be any smaller');
  gate.beginPass(2000, 1000);
  assert.equal(gate.keepsQemuWaiting, false);
  assert.equal(new ReadGate(false).keepsQemuWaiting, true);
});
