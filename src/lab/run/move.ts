/**
 * One move of a VM as seen from outside, the same for plain QEMU and every contestant: total migration time,
 * downtime by events and by heartbeat, bytes on the link. Not responsible for moving it, nor for judging it
 * (checks.ts).
 */

import { parseGuestLine } from '../guest/index.ts';
import { lastHeartbeat } from '../judge/heartbeats.ts';
import type { Vm } from '../machine/vm.ts';
import type { LinkCounters, Network } from '../network/network.ts';

export interface Pair {
  readonly source: Vm;
  readonly destination: Vm;
  readonly network: Network;
  /** Interval of the guest's heartbeat. */
  readonly beatMs: number;
}

export interface MoveMeasure {
  /** From `start` to the destination running; null if it never ran. */
  readonly totalMigrationTimeMs: number | null;
  /** The larger of the two below; null if the VM was not seen to stop here and run there. */
  readonly downtimeMs: number | null;
  /** Source STOP to destination RESUME, both in the host's clock. */
  readonly downtimeByEventsMs: number | null;
  /** Gap between the source's last and the destination's first heartbeat, minus one beat. */
  readonly downtimeByHeartbeatMs: number | null;
  /** Bytes on the link, source to destination, from `start` to `finish`. */
  readonly transferredBytes: number;
  readonly returnedBytes: number;
  /** Since `start`, by QEMU's events; null if it did not happen. */
  readonly stoppedAtMs: number | null;
  readonly resumedAtMs: number | null;
}

export interface MoveObserver {
  /** The moment before `migrate`. */
  start(): Promise<void>;
  elapsedMs(): number;
  /**
   * Call when the destination runs and has beaten once (waits for that beat, briefly), or when the move has
   * failed.
   */
  finish(): Promise<MoveMeasure>;
}

const FIRST_BEAT_TIMEOUT_MS = 5000;

/** Observes from now on. */
export function observeMove(pair: Pair): MoveObserver {
  let stoppedEpochMs: number | null = null;
  let resumedEpochMs: number | null = null;
  let startEpochMs = 0;
  let startCounters: LinkCounters = { forwardBytes: 0, backwardBytes: 0 };
  const ignore = [
    pair.source.qmp.on((event) => {
      // The last stop counts: a source that was stopped, resumed and stopped again was down from the last one
      // on.
      if (event.name === 'STOP') stoppedEpochMs = event.timestampMs;
      if (event.name === 'RESUME') stoppedEpochMs = null;
    }),
    pair.destination.qmp.on((event) => {
      if (event.name === 'RESUME') resumedEpochMs ??= event.timestampMs;
    }),
  ];
  const sinceStart = (epochMs: number | null) => (epochMs === null ? null : epochMs - startEpochMs);
  return {
    async start() {
      startCounters = await pair.network.counters();
      startEpochMs = nowEpochMs();
    },
    elapsedMs: () => nowEpochMs() - startEpochMs,
    async finish() {
      const byHeartbeat = resumedEpochMs === null ? null : await heartbeatGap(pair);
      for (const stop of ignore) stop();
      const counters = await pair.network.counters();
      const byEvents =
        stoppedEpochMs === null || resumedEpochMs === null ? null : resumedEpochMs - stoppedEpochMs;
      return {
        totalMigrationTimeMs: sinceStart(resumedEpochMs),
        downtimeMs: byEvents === null || byHeartbeat === null ? byEvents : Math.max(byEvents, byHeartbeat, 0),
        downtimeByEventsMs: byEvents,
        downtimeByHeartbeatMs: byHeartbeat,
        transferredBytes: counters.forwardBytes - startCounters.forwardBytes,
        returnedBytes: counters.backwardBytes - startCounters.backwardBytes,
        stoppedAtMs: sinceStart(stoppedEpochMs),
        resumedAtMs: sinceStart(resumedEpochMs),
      };
    },
  };
}

/** QEMU stamps its events with the host's wall clock; both ends run on one host. */
function nowEpochMs(): number {
  return Date.now();
}

async function heartbeatGap(pair: Pair): Promise<number | null> {
  const { source, destination, beatMs } = pair;
  try {
    const first = await destination.serial.waitFor((text) => parseGuestLine(text).kind === 'heartbeat', {
      timeoutMs: FIRST_BEAT_TIMEOUT_MS,
      what: 'heartbeat at the destination',
    });
    const last = lastHeartbeat(source.serial.lines);
    return last === null ? null : first.atMs - last.atMs - beatMs;
  } catch {
    return null;
  }
}
