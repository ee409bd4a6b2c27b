/**
 * All connections of a link taken together. Pure. Not responsible for what follows
 * from it (link-rate.ts, link-window.ts).
 */

import type { SessionStats } from '../../link/index.ts';
import type { LinkFacts } from './types.ts';

export interface LinkTotals {
  readonly sentBytes: number;
  readonly deliveredBytes: number;
  /** Waiting to be sent or acknowledged. */
  readonly bufferedBytes: number;
  /** Of the first lane that has measured one. */
  readonly roundTripMs: number | null;
  readonly roundTripMsMin: number | null;
  readonly link: LinkFacts;
}

/**
 * A lane that is idle while another has the link to itself must not count as a link of its own, so
 * all are added up.
 */
export function totalsOf(lanes: readonly SessionStats[]): LinkTotals {
  let sentBytes = 0;
  let deliveredBytes = 0;
  let bufferedBytes = 0;
  let roundTripMs: number | null = null;
  let roundTripMsMin: number | null = null;
  let reconnects = 0;
  let resentBytes = 0;
  for (const lane of lanes) {
    reconnects += Math.max(0, lane.epoch - 1);
    resentBytes += lane.resentBytes;
    sentBytes += lane.sentBytes;
    deliveredBytes += lane.acknowledgedBytes;
    bufferedBytes += lane.bufferedBytes;
    roundTripMs ??= lane.roundTripMs;
    roundTripMsMin ??= lane.roundTripMsMin;
  }
  const link = { connections: lanes.length, reconnects, resentBytes };
  return { sentBytes, deliveredBytes, bufferedBytes, roundTripMs, roundTripMsMin, link };
}
