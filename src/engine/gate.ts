/**
 * Without `switchover-ack` QEMU stops the VM by itself at the end of a pass when its dirty sync finds
 * nothing. No estimate can rule that out, and not reading does not prevent it, because a small pass fits
 * QEMU's socket. Therefore what waits between the two QEMUs is kept so small that such a stop fits the limit
 * whenever it comes. Not responsible for deciding to stop (the strategy).
 */

import { formatBytes, formatMs, KIB, MIB } from '../base/index.ts';
import { backlogBytes } from '../strategy/index.ts';
import type { Limits, Snapshot } from '../vm/index.ts';

/**
 * What a stopped QEMU still has for us: up to 208 KiB in its unix socket (Linux, net.core.wmem_default) and
 * the pages below its completion threshold, one millisecond's worth of what it measures (downtime-limit 1).
 */
const INSIDE_QEMU_BYTES = 512 * KIB;
/**
 * The other half is for a link that slows down: on two busy cores it fell by a third while the last burst
 * flowed (measured).
 */
const SHARE_OF_LIMIT = 0.5;
/** Less than this keeps no link busy. */
const WAITING_BYTES_MIN = 256 * KIB;
/** Enough to measure a link whose rate is unknown: a megabyte under way and the next one behind it. */
const LINK_UNKNOWN_BYTES = 2 * MIB;

export interface GateQuestion {
  readonly limits: Limits;
  readonly linkBytesPerSecond: number | null;
  readonly fixedDowntimeMs: number;
}

/** How much may wait at the gateway and on its way, so that a stop at any moment fits the limit. */
export function waitingBytesMax({ limits, linkBytesPerSecond, fixedDowntimeMs }: GateQuestion): number {
  if (linkBytesPerSecond === null) return LINK_UNKNOWN_BYTES;
  const linkMs = SHARE_OF_LIMIT * (limits.downtimeMsMax - fixedDowntimeMs);
  const fits = (linkBytesPerSecond * linkMs) / 1000 - INSIDE_QEMU_BYTES;
  return Math.max(WAITING_BYTES_MIN, Math.floor(fits));
}

export interface UninvitedStop {
  readonly fits: boolean;
  readonly why: string;
}

/** QEMU has stopped the VM by itself: does what waits still cross the link within the limit? */
export function judgeStop(question: GateQuestion, snapshot: Snapshot): UninvitedStop {
  const { limits, linkBytesPerSecond, fixedDowntimeMs } = question;
  const bytes = backlogBytes(snapshot) + (snapshot.underWayBytes ?? 0) + INSIDE_QEMU_BYTES;
  const limit = `limit ${formatMs(limits.downtimeMsMax)}`;
  if (linkBytesPerSecond === null || linkBytesPerSecond <= 0) {
    const fits = bytes <= LINK_UNKNOWN_BYTES + INSIDE_QEMU_BYTES;
    return { fits, why: `${formatBytes(bytes)} wait, the link rate is unknown, ${limit}` };
  }
  const downtimeMs = (bytes * 1000) / linkBytesPerSecond + fixedDowntimeMs;
  return { fits: downtimeMs <= limits.downtimeMsMax, why: `at most ${formatMs(downtimeMs)} down, ${limit}` };
}
