/** How much may be under way between two gateways, or to a destination QEMU. Pure. */

/**
 * What is in the pipe cannot be replaced by a newer copy any more, and is downtime once the VM has stopped:
 * no more than what keeps a link busy while sender and receiver have other work.
 */
const WINDOW_MS = 50;
/** Before the rate is known, and for slow links' first round trips. */
export const WINDOW_BYTES_MIN = 1280 * 1024;

/** `roundTripMsMin`: of a pipe with little in it. */
export function linkWindowBytes(bytesPerSecond: number | null, roundTripMsMin: number | null): number {
  return Math.max(WINDOW_BYTES_MIN, ((bytesPerSecond ?? 0) * (WINDOW_MS + (roundTripMsMin ?? 0))) / 1000);
}
