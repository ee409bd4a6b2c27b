import assert from 'node:assert/strict';
import test from 'node:test';
import { ReturnGate } from './return-gate.ts';

test('the ack and SHUT wait until they are let go, everything else passes', () => {
  const written: number[] = [];
  const gate = new ReturnGate((raw) => written.push(raw[0]!));
  gate.take({ kind: 'pong', nonce: 1 }, Uint8Array.of(1));
  gate.take({ kind: 'switchover-ack' }, Uint8Array.of(2));
  gate.take({ kind: 'shut', status: 0 }, Uint8Array.of(3));
  assert.deepEqual([written, gate.keeps('switchover-ack'), gate.keeps('shut')], [[1], true, true]);
  gate.letGo('switchover-ack');
  assert.deepEqual([written, gate.keeps('switchover-ack')], [[1, 2], false]);
  gate.letGo('switchover-ack');
  assert.deepEqual(written, [1, 2], 'once');
  gate.letGo('shut');
  gate.take({ kind: 'shut', status: 0 }, Uint8Array.of(4));
  assert.deepEqual(written, [1, 2, 3, 4]);
});
