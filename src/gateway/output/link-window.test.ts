/**
 * A sender that keeps to the window, and a modelled pipe: the rate that it finds is the link's, however far
 * away the other end is.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeliveryMeter } from './delivery.ts';
import { LinkRate } from './link-rate.ts';
import { linkWindowBytes } from './link-window.ts';

const BATCH_BYTES = 128 * 1024;
const LINK_BYTES_PER_MS = 125_000;
const TURN_MS = 1;

interface Sender {
  readonly windowBytes: number;
  readonly bytesPerSecond: number | null;
  sent(nowMs: number, batch: number): void;
  arrived(nowMs: number, batch: number, totalBytes: number, underWayBytes: number): void;
}

/**
 * Batches cross one after the other; each is answered `roundTripMs` after its last byte left. Bytes
 * that crossed in `forMs`.
 */
function drive(sender: Sender, roundTripMs: number, forMs: number): number {
  const answers: number[] = [];
  let sent = 0;
  let answered = 0;
  let freeAtMs = 0;
  for (let nowMs = 0; nowMs < forMs; nowMs += TURN_MS) {
    while (answered < sent && answers[answered]! <= nowMs) {
      answered++;
      sender.arrived(nowMs, answered - 1, answered * BATCH_BYTES, (sent - answered) * BATCH_BYTES);
    }
    while ((sent - answered + 1) * BATCH_BYTES <= sender.windowBytes) {
      freeAtMs = Math.max(freeAtMs, nowMs) + BATCH_BYTES / LINK_BYTES_PER_MS;
      answers.push(freeAtMs + roundTripMs);
      sender.sent(nowMs, sent++);
    }
  }
  return answered * BATCH_BYTES;
}

/** As the paired arrangement has it: a ping before the first page tells the round trip. */
function overLink(roundTripMs: number): Sender {
  const rate = new LinkRate();
  let acknowledged = 0;
  return {
    get windowBytes() {
      return linkWindowBytes(rate.bytesPerSecond, roundTripMs);
    },
    get bytesPerSecond() {
      return rate.bytesPerSecond;
    },
    sent: (nowMs) => rate.observe(nowMs, acknowledged, BATCH_BYTES),
    arrived: (nowMs, _batch, totalBytes, underWayBytes) => {
      acknowledged = totalBytes;
      rate.observe(nowMs, totalBytes, underWayBytes);
    },
  };
}

/** As the single arrangement has it: a mark in the stream a batch. */
function byMarks(): Sender {
  const meter = new DeliveryMeter();
  return {
    get windowBytes() {
      return meter.windowBytes;
    },
    get bytesPerSecond() {
      return meter.bandwidthBytesPerSecond;
    },
    sent: (nowMs, batch) => {
      meter.sent(BATCH_BYTES);
      meter.mark(batch, nowMs);
    },
    arrived: (nowMs, batch) => {
      meter.acknowledge(batch, nowMs);
    },
  };
}

for (const roundTripMs of [0.2, 5, 40, 150]) {
  for (const [name, senderOf] of [
    ['acknowledgements', overLink],
    ['marks', byMarks],
  ] as const) {
    test(`the window fills a link of ${roundTripMs} ms round trip, told by ${name}`, () => {
      const sender = senderOf(roundTripMs);
      drive(sender, roundTripMs, 20_000);
      const rate = sender.bytesPerSecond! / (LINK_BYTES_PER_MS * 1000);
      assert.ok(rate > 0.95 && rate < 1.05, `${rate} of the link`);
      const queueMs = sender.windowBytes / LINK_BYTES_PER_MS - roundTripMs;
      assert.ok(queueMs < 75, `${queueMs} ms of the link are under way beyond the round trip`);
    });
  }
}
