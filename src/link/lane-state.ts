/** What a session is made from, holds per lane and tells of it. Not responsible for the rules: session.ts, lane.ts. */

import type { Connection } from './connection.ts';
import { linkError } from './errors.ts';
import type { Capabilities, ProtocolVersion } from './hello.ts';
import type { Lane, LaneStats } from './lane.ts';
import type { LinkLimits } from './limits.ts';

export interface SessionOptions {
  /** 16 random bytes, the same at both ends. */
  readonly migrationId: Uint8Array;
  readonly laneCount: number;
  readonly capabilities: Capabilities;
  readonly limits?: Partial<LinkLimits>;
  readonly version?: ProtocolVersion;
}

export interface LaneState {
  readonly lane: Lane;
  connection: Connection;
  /** Since when the lane has no open connection; null while it has one, and at a destination nobody called yet. */
  downSinceMs: number | null;
  opened: boolean;
  /** Highest epoch dialled or accepted. */
  epoch: number;
  roundTripMs: number | null;
  roundTripMsMin: number | null;
  /** A message is with the owner. */
  busy: boolean;
  atBarrier: boolean;
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

/** Whether the connection must be given up. Errors: LINK_TIMEOUT, when the lane had none for too long. */
export function isSilent(
  state: LaneState,
  nowMs: number,
  limits: LinkLimits,
  linkTimeoutMs: number,
): boolean {
  const { connection, downSinceMs } = state;
  if (connection.state === 'finished') return false;
  if (connection.state === 'open') return nowMs - connection.lastHeardMs > limits.silenceMsMax;
  const patienceMs = state.opened ? linkTimeoutMs : limits.connectTimeoutMs;
  if (downSinceMs !== null && nowMs - downSinceMs > patienceMs) {
    throw linkError('LINK_TIMEOUT', `lane ${state.lane.index} has had no connection for ${patienceMs} ms`, {
      safe: 'before the final stage the source VM is running',
      hint: 'check the network between the hosts, or give a longer --link-timeout',
      fields: { lane: state.lane.index, patienceMs, connectedBefore: state.opened },
    });
  }
  return connection.state === 'greeting' && nowMs - connection.sinceMs > limits.helloTimeoutMs;
}

export function statsOf(state: LaneState): SessionStats {
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
