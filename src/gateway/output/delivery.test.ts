/** The rate of a modelled pipe, as marks that come back tell it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeliveryMeter } from './delivery.ts';

const BATCH_BYTES = 256 * 1024;
const BYTES_PER_MS = 25_000;

/** A pipe that carries BYTES_PER_MS and answers each batch `latencyMs` after its last byte. */
function drive(meter: DeliveryMeter, startMs: number, batches: number, latencyMs: number, firstId: number) {
  const rates: (number | null)[] = [];
  for (let at = 0; at < batches; at++) {
    meter.sent(BATCH_BYTES);
    meter.mark(firstId + at, startMs);
  }
  for (let at = 0; at < batches; at++) {
    meter.acknowledge(firstId + at, startMs + latencyMs + ((at + 1) * BATCH_BYTES) / BYTES_PER_MS);
    rates.push(meter.bandwidthBytesPerSecond);
  }
  return rates;
}

test('the rate is what the pipe carries, however long its answers take', () => {
  for (const latencyMs of [1, 50, 500]) {
    const meter = new DeliveryMeter();
    const rates = drive(meter, 0, 40, latencyMs, 0).filter((rate) => rate !== null);
    assert.ok(rates.length > 20);
    for (const rate of rates) assert.ok(Math.abs(rate / (BYTES_PER_MS * 1000) - 1) < 0.01, `${rate}`);
  }
});

test('after a silence the pipe fills first, and that is not counted against it', () => {
  const meter = new DeliveryMeter();
  drive(meter, 0, 40, 5, 0);
  meter.starved();
  const rates = drive(meter, 2000, 40, 80, 100);
  assert.deepEqual(meter.inFlightBytes, 0);
  for (const rate of rates) assert.ok(Math.abs(rate! / (BYTES_PER_MS * 1000) - 1) < 0.01, `${rate}`);
});

test("another's marks are not ours", () => {
  const meter = new DeliveryMeter();
  meter.sent(10);
  meter.mark(7, 0);
  assert.deepEqual([meter.acknowledge(8, 1), meter.deliveredBytes], [false, 0]);
  assert.deepEqual([meter.acknowledge(7, 1), meter.deliveredBytes, meter.roundTripMs], [true, 10, 1]);
});
