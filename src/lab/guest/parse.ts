/**
 * The guest's serial output as typed lines, from chunks cut anywhere. Pure and incremental.
 * Not responsible for what the lines mean for a run (lost heartbeats, success).
 */

import { GUEST_BODIES, GUEST_WORKLOADS, type GuestBody, type GuestWorkload } from './options.ts';

/** What the guest made of its arguments; page counts, after rounding to what there is. */
export interface GuestReady {
  readonly kind: 'ready';
  readonly workload: GuestWorkload;
  readonly body: GuestBody;
  readonly seed: number;
  readonly pageCount: number;
  readonly filledPages: number;
  readonly fillAtPage: number;
  readonly hotPages: number;
  /** Counted from the first filled page. */
  readonly hotAtPage: number;
  /** Null: unthrottled. */
  readonly rateBytesPerSecond: number | null;
  readonly beatMs: number;
  readonly zipfExponent: number;
  readonly busyMs: number;
  readonly quietMs: number;
  readonly disk: boolean;
  readonly diskRecordsPerSecond: number;
  readonly diskLogBytes: number;
  readonly factsAddress: number;
  readonly fillMs: number;
}

export interface GuestHeartbeat {
  readonly kind: 'heartbeat';
  /** 1, 2, 3 ...: a number that is missing was lost. */
  readonly counter: number;
  /** The guest's clock, which stands still while the VM is stopped. */
  readonly guestMs: number;
  /** Null: a Linux guest does not count them. */
  readonly pagesWritten: number | null;
  /** The last disk record known to be complete; null without a disk. */
  readonly diskSequence: number | null;
}

export interface GuestVerification {
  readonly kind: 'verification';
  readonly pages: number;
  readonly badPages: number;
  /** Index among the data pages; null when none is bad. */
  readonly firstBadPage: number | null;
  /**
   * Over the first word of each page, 16 hexadecimal digits: equal on both ends of a move of a quiet guest.
   */
  readonly checksum: string;
  /** Rows in which the counter table and its mirror disagree. */
  readonly badRows: number;
  /**
   * Whether the counters add up to the pages written. They do not when table, mirror and pages are stale
   * together.
   */
  readonly countersAddUp: boolean;
}

export type GuestLine =
  | { readonly kind: 'boot'; readonly pageCount: number }
  | GuestReady
  | GuestHeartbeat
  | GuestVerification
  /** An answer: `stopped`, `running`, or the name of a command that did damage. */
  | { readonly kind: 'state'; readonly state: string; readonly pagesWritten: number }
  | { readonly kind: 'error'; readonly text: string }
  /** A line cut by a reset, a lost byte or another program's output. */
  | { readonly kind: 'noise'; readonly text: string };

/** Longer text without an end of line is dropped as noise, so that a broken sender cannot fill memory. */
export const GUEST_LINE_MAX = 4096;

export class GuestLineParser {
  #pending: string;

  /** `carry`: the source parser's, when this one reads the destination: a line may be cut by the move. */
  constructor(carry = '') {
    this.#pending = carry.slice(-GUEST_LINE_MAX);
  }

  /** The beginning of a line whose end has not arrived. */
  get carry(): string {
    return this.#pending;
  }

  push(chunk: string | Uint8Array): GuestLine[] {
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1');
    const pieces = (this.#pending + text).split('\n');
    this.#pending = pieces.pop() ?? '';
    const lines = pieces.map((piece) => piece.replace(/\r$/, '')).filter((piece) => piece !== '');
    if (this.#pending.length > GUEST_LINE_MAX) {
      lines.push(this.#pending.slice(0, 80));
      this.#pending = '';
    }
    return lines.map(parseGuestLine);
  }
}

/** A verification that found nothing wrong by any of its three checks. */
export function isSound(verification: GuestVerification): boolean {
  return verification.badPages === 0 && verification.badRows === 0 && verification.countersAddUp;
}

export function parseGuestLine(line: string): GuestLine {
  const heartbeat = /^H (\d{1,15}) (\d{1,15}) (\d{1,15}|-)(?: (\d{1,15}))?$/.exec(line);
  if (heartbeat) {
    return {
      kind: 'heartbeat',
      counter: Number(heartbeat[1]),
      guestMs: Number(heartbeat[2]),
      pagesWritten: heartbeat[3] === '-' ? null : Number(heartbeat[3]),
      diskSequence: heartbeat[4] === undefined ? null : Number(heartbeat[4]),
    };
  }
  const verdict = /^V (\d{1,15}) (\d{1,15}) (-1|\d{1,15}) ([0-9a-f]{16}) (\d{1,15}) ([01])$/.exec(line);
  if (verdict) {
    return {
      kind: 'verification',
      pages: Number(verdict[1]),
      badPages: Number(verdict[2]),
      firstBadPage: verdict[3] === '-1' ? null : Number(verdict[3]),
      checksum: verdict[4]!,
      badRows: Number(verdict[5]),
      countersAddUp: verdict[6] === '1',
    };
  }
  const state = /^S ([a-z]+) (\d{1,15})$/.exec(line);
  if (state) return { kind: 'state', state: state[1]!, pagesWritten: Number(state[2]) };
  const boot = /^G boot pages=(\d{1,15})$/.exec(line);
  if (boot) return { kind: 'boot', pageCount: Number(boot[1]) };
  if (line.startsWith('G ready ')) return parseReady(line) ?? { kind: 'noise', text: line };
  if (line.startsWith('E ')) return { kind: 'error', text: line.slice(2) };
  return { kind: 'noise', text: line };
}

function parseReady(line: string): GuestReady | null {
  const values = new Map(line.split(' ').map((word) => word.split('=', 2) as [string, string | undefined]));
  let complete = true;
  const number = (name: string): number => {
    const text = values.get(name) ?? '';
    if (!/^\d{1,15}$/.test(text)) complete = false;
    return Number(text);
  };
  const workload = GUEST_WORKLOADS.find((name) => name === values.get('workload'));
  const body = GUEST_BODIES.find((name) => name === values.get('body'));
  if (workload === undefined || body === undefined) return null;
  const ready: GuestReady = {
    kind: 'ready',
    workload,
    body,
    seed: number('seed'),
    pageCount: number('pages'),
    filledPages: number('filled'),
    fillAtPage: number('fillat'),
    hotPages: number('hot'),
    hotAtPage: number('hotat'),
    rateBytesPerSecond: number('rate') || null,
    beatMs: number('beat'),
    zipfExponent: number('zipf') / 1000,
    busyMs: number('busy'),
    quietMs: number('quiet'),
    disk: number('disk') === 1,
    diskRecordsPerSecond: number('diskrate'),
    diskLogBytes: number('disklog'),
    factsAddress: number('facts'),
    fillMs: number('fillms'),
  };
  return complete ? ready : null;
}
