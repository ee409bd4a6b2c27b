/**
 * Heartbeats of the guest with the time they were seen here. Not responsible for judging them (checks.ts).
 */

import { type GuestHeartbeat, parseGuestLine } from '../guest/index.ts';
import type { SerialLine } from '../machine/serial.ts';

export interface Heartbeat extends GuestHeartbeat {
  readonly atMs: number;
}

function heartbeatOf(line: SerialLine): Heartbeat | null {
  const parsed = parseGuestLine(line.text);
  return parsed.kind === 'heartbeat' ? { ...parsed, atMs: line.atMs } : null;
}

export function heartbeatsOf(lines: readonly SerialLine[]): Heartbeat[] {
  return lines.map(heartbeatOf).filter((beat) => beat !== null);
}

/** The newest one, without reading the whole log. */
export function lastHeartbeat(lines: readonly SerialLine[]): Heartbeat | null {
  for (let index = lines.length - 1; index >= 0; index--) {
    const beat = heartbeatOf(lines[index]!);
    if (beat !== null) return beat;
  }
  return null;
}

/** What the guest wrote between two beats, by its own count; null where it does not count. */
export function pagesBetween(before: Heartbeat, after: Heartbeat): number | null {
  if (before.pagesWritten === null || after.pagesWritten === null) return null;
  return after.pagesWritten - before.pagesWritten;
}

export interface HeartbeatContinuity {
  readonly beats: number;
  /** Counters that never came between the first and the last one. */
  readonly lost: number;
  readonly repeated: number;
  /** What went wrong first, for instance "41 after 38"; null where nothing did. */
  readonly firstFault: string | null;
}

/** The guest counts 1, 2, 3 ... in its memory, so a move that lost nothing leaves no gap in the counters. */
export function continuityOf(counters: readonly number[]): HeartbeatContinuity {
  let lost = 0;
  let repeated = 0;
  let firstFault: string | null = null;
  for (let index = 1; index < counters.length; index++) {
    const step = counters[index]! - counters[index - 1]!;
    if (step === 1) continue;
    firstFault ??= `${counters[index]} after ${counters[index - 1]}`;
    if (step > 1) lost += step - 1;
    else repeated++;
  }
  return { beats: counters.length, lost, repeated, firstFault };
}
