/**
 * Conditions as decorators of a transport: latency, bandwidth, stalls and breaks. Each works on what is
 * written, so a link wrapped at one end is shaped in that direction only. Not for product use: the source
 * gateway's bandwidth cap limits a migration.
 */

import { type Clock, systemClock, TokenBucket } from '../../base/index.ts';
import type { Transport, TransportHandlers } from '../transport.ts';

/** Everything written arrives `latencyMs` later, in order. */
export function withLatency(transport: Transport, latencyMs: number): Transport {
  return delayed(transport, () => latencyMs);
}

/** What is written leaves at `bytesPerSecond`, through a queue of 100 ms. */
export function withBandwidth(
  transport: Transport,
  bytesPerSecond: number,
  clock: Clock = systemClock,
): Transport {
  const bucket = new TokenBucket(bytesPerSecond, 0);
  return delayed(transport, (bytes) => bucket.take(bytes, clock.nowMs()));
}

const QUEUE_MS = 100;

function delayed(inner: Transport, delayMsOf: (bytes: number) => number): Transport {
  let handlers: TransportHandlers | null = null;
  let closed = false;
  let waiting = 0;
  let full = false;
  const queue: (readonly Uint8Array[])[] = [];
  return {
    description: inner.description,
    open(opened) {
      handlers = opened;
      inner.open({
        ...opened,
        onWritable: () => {},
        onClosed(error) {
          closed = true;
          opened.onClosed(error);
        },
      });
    },
    write(chunks) {
      const delayMs = delayMsOf(chunks.reduce((bytes, chunk) => bytes + chunk.length, 0));
      waiting++;
      queue.push(chunks);
      setTimeout(() => {
        waiting--;
        // Timers of unlike delays may fire out of order on a busy machine; a byte stream never does.
        const next = queue.shift();
        if (closed || next === undefined) return;
        inner.write(next);
        if (full && waiting === 0) {
          full = false;
          handlers?.onWritable();
        }
      }, delayMs);
      full ||= delayMs > QUEUE_MS;
      return !full;
    },
    end() {
      setTimeout(() => inner.end(), delayMsOf(0));
    },
    destroy() {
      closed = true;
      inner.destroy();
    },
  };
}

export interface Stall {
  readonly transport: Transport;
  /** From now on nothing that is written leaves; the connection stays open. */
  stall(): void;
  resume(): void;
}

export function withStall(inner: Transport): Stall {
  let stalled = false;
  let handlers: TransportHandlers | null = null;
  const held: (readonly Uint8Array[])[] = [];
  return {
    transport: {
      description: inner.description,
      open(opened) {
        handlers = opened;
        inner.open(opened);
      },
      write(chunks) {
        if (!stalled) return inner.write(chunks);
        held.push(chunks);
        return false;
      },
      end: () => inner.end(),
      destroy: () => inner.destroy(),
    },
    stall() {
      stalled = true;
    },
    resume() {
      stalled = false;
      for (const chunks of held.splice(0)) inner.write(chunks);
      handlers?.onWritable();
    },
  };
}

/** Breaks in the middle of what is written once `bytes` have gone out. */
export function withBreakAfter(inner: Transport, bytes: number): Transport {
  let left = bytes;
  return {
    description: inner.description,
    open: (handlers) => inner.open(handlers),
    write(chunks) {
      let room = true;
      for (const chunk of chunks) {
        if (chunk.length <= left) {
          left -= chunk.length;
          room = inner.write([chunk]);
          continue;
        }
        inner.write([chunk.subarray(0, left)]);
        left = 0;
        inner.destroy();
        return false;
      }
      return room;
    },
    end: () => inner.end(),
    destroy: () => inner.destroy(),
  };
}

/** Flips one bit of byte `position` of what is written. */
export function withFlip(inner: Transport, position: number): Transport {
  let at = 0;
  return {
    description: inner.description,
    open: (handlers) => inner.open(handlers),
    write(chunks) {
      return inner.write(
        chunks.map((chunk) => {
          const index = position - at;
          at += chunk.length;
          if (index < 0 || index >= chunk.length) return chunk;
          const copy = Uint8Array.from(chunk);
          copy[index]! ^= 1;
          return copy;
        }),
      );
    },
    end: () => inner.end(),
    destroy: () => inner.destroy(),
  };
}
