/** Every limit of the link protocol, with its default. */

import { KIB, MIB } from '../base/index.ts';

export const PROTOCOL_MAJOR = 1;
export const PROTOCOL_MINOR = 0;

export const LANES_MAX = 64;
/** A stride of neighbouring pages that shares a lane (docs/format/link.md, 1). */
const LANE_STRIDE_LOG2 = 8;

/** 1,024 whole pages and their records. */
export const PAYLOAD_BYTES_MAX = 4 * MIB + 64 * KIB;
/** Before the other end has said who it is, it gets no more memory than this. */
export const PAYLOAD_BYTES_MAX_UNKNOWN = 4 * KIB;
export const BLOCKS_MAX = 1024;
export const CONTROL_BYTES_MAX = 64 * KIB;
export const ERROR_MESSAGE_BYTES_MAX = 1024;
export const CAPABILITIES_MAX = 64;
/** Pieces in which prologue, tail and return path are cut. */
export const OPAQUE_BYTES_MAX = MIB;

export interface LinkLimits {
  /** What may wait unconsumed at the receiver, per lane. Room for one largest frame at least. */
  readonly windowBytes: number;
  /** What may wait unacknowledged at the sender, per lane. */
  readonly resendBytesMax: number;
  /** A lane without a connection for longer ends the link. */
  readonly linkTimeoutMs: number;
  /** The same for a lane that has never had one. */
  readonly connectTimeoutMs: number;
  readonly pingIntervalMs: number;
  /** A connection on which nothing arrives for this long is given up. */
  readonly silenceMsMax: number;
  /** An accepted connection must say HELLO within this, a dialled one be established. */
  readonly helloTimeoutMs: number;
  readonly redialDelayMs: number;
  /** An acknowledgement waits this long for more to acknowledge. */
  readonly ackDelayMs: number;
}

export const DEFAULT_LIMITS: LinkLimits = {
  windowBytes: 8 * MIB,
  resendBytesMax: 8 * MIB,
  linkTimeoutMs: 60_000,
  connectTimeoutMs: 15_000,
  pingIntervalMs: 1000,
  silenceMsMax: 10_000,
  helloTimeoutMs: 10_000,
  redialDelayMs: 100,
  ackDelayMs: 5,
};

/** The lane that carries `pageIndex` for the whole migration. */
export function laneOfPage(pageIndex: number, laneCount: number): number {
  return (pageIndex >>> LANE_STRIDE_LOG2) % laneCount;
}
