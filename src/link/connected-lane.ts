/**
 * A lane with its present connection: how long it has had none, how far the other end is, and what is
 * told of it. Pure. Not responsible for what a lane carries (lane.ts), nor for when a connection
 * changes its state (session.ts).
 */

import type { Connection } from './connection.ts';
import { linkError } from './errors.ts';
import { Lane, type LaneStats } from './lane.ts';
import type { LinkLimits } from './limits.ts';

export interface ConnectedLane {
  readonly lane: Lane;
  connection: Connection;
  /**
   * Since when the lane has no open connection; null while it has one, and at a
   * destination nobody called yet.
   */
  downSinceMs: number | null;
  /** Whether the lane has ever had an open connection. */
  opened: boolean;
  /** Highest epoch dialled or accepted. */
  epoch: number;
  /** Of the latest PING; null before the first PONG. */
  roundTripMs: number | null;
  roundTripMsMin: number | null;
}

export interface SessionStats extends LaneStats {
  readonly lane: number;
  readonly connected: boolean;
  readonly epoch: number;
  readonly roundTripMs: number | null;
  readonly roundTripMsMin: number | null;
  /** When anything came over the open connection last (one PING a second at least); null without one. */
  readonly heardAtMs: number | null;
}

/** `downSinceMs`: null where the other end dials, so that nobody can be late yet. */
export function unconnectedLane(
  index: number,
  limits: LinkLimits,
  downSinceMs: number | null,
): ConnectedLane {
  return {
    lane: new Lane(index, limits),
    connection: { state: 'down' },
    downSinceMs,
    opened: false,
    epoch: 0,
    roundTripMs: null,
    roundTripMsMin: null,
  };
}

/** The other end answered the PING that was sent at `sentMs`. */
export function noteRoundTrip(state: ConnectedLane, sentMs: number, nowMs: number): void {
  const roundTripMs = Math.max(0, nowMs - sentMs);
  state.roundTripMs = roundTripMs;
  state.roundTripMsMin = Math.min(state.roundTripMsMin ?? roundTripMs, roundTripMs);
}

/** Whether the connection must be given up. Errors: LINK_TIMEOUT, when the lane had none for too long. */
export function isSilent(state: ConnectedLane, nowMs: number, limits: LinkLimits): boolean {
  const { connection, downSinceMs } = state;
  if (connection.state === 'finished') return false;
  if (connection.state === 'open') return nowMs - connection.lastHeardMs > limits.silenceMsMax;
  const patienceMs = state.opened ? limits.linkTimeoutMs : limits.connectTimeoutMs;
  if (downSinceMs !== null && nowMs - downSinceMs > patienceMs) {
    throw linkError('LINK_TIMEOUT', `lane ${state.lane.index} has had no connection for ${patienceMs} ms`, {
      safe: 'before the final stage the source VM is running',
      hint: 'check the network between the hosts, or give a longer --link-timeout',
      fields: { lane: state.lane.index, patienceMs, connectedBefore: state.opened },
    });
  }
  return connection.state === 'greeting' && nowMs - connection.sinceMs > limits.helloTimeoutMs;
}

export function statsOf(state: ConnectedLane): SessionStats {
  const { lane, connection, epoch, roundTripMs, roundTripMsMin } = state;
  return {
    lane: lane.index,
    connected: connection.state === 'open',
    epoch,
    roundTripMs,
    roundTripMsMin,
    heardAtMs: connection.state === 'open' ? connection.lastHeardMs : null,
    ...lane.stats(),
  };
}
