/**
 * A block of lines that is redrawn on a terminal, and plain lines where there is none; and progress with a
 * rate and an estimate. Not responsible for what is shown.
 */

import { type Clock, formatBytes, formatMs, formatPercent, formatRate } from '../../base/index.ts';
import type { Output } from '../command.ts';
import { truncate } from './table.ts';

/** A faster redraw than the eye can read only costs the terminal time. */
const REDRAW_EVERY_MS = 100;
/** Without a terminal the first line is written at this interval, as a sign of life. */
const PLAIN_EVERY_MS = 5000;
const COLUMNS_DEFAULT = 80;

export interface LiveView {
  /** Replaces the block; without a terminal its first line is written now and then. */
  update(lines: readonly string[]): void;
  /** A line that stays, above the block. */
  log(line: string): void;
  /** Leaves the last block on a terminal and ends; without a terminal writes what was not shown yet. */
  close(): void;
}

export function liveView(output: Output, clock: Clock): LiveView {
  return output.isTTY === true ? new TerminalView(output, clock) : new PlainView(output, clock);
}

class TerminalView implements LiveView {
  readonly #output: Output;
  readonly #clock: Clock;
  #drawnLines = 0;
  #pending: readonly string[] | null = null;
  #shown: readonly string[] = [];
  #drawnAtMs = Number.NEGATIVE_INFINITY;

  constructor(output: Output, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
  }

  update(lines: readonly string[]): void {
    this.#pending = lines;
    if (this.#clock.nowMs() - this.#drawnAtMs < REDRAW_EVERY_MS) return;
    this.#draw('', lines);
  }

  log(line: string): void {
    this.#draw(`${line}\n`, this.#pending ?? this.#shown);
  }

  close(): void {
    if (this.#pending !== null) this.#draw('', this.#pending);
    this.#drawnLines = 0;
    this.#shown = [];
  }

  // One write a frame, so that the terminal never shows half of one. A line that wraps would break the count
  // of lines to go up, so each is cut to the width.
  #draw(above: string, lines: readonly string[]): void {
    const columns = this.#output.columns ?? COLUMNS_DEFAULT;
    const block = lines.map((line) => `${truncate(line, columns - 1)}\n`).join('');
    const up = this.#drawnLines === 0 ? '' : `\u001b[${this.#drawnLines}A`;
    this.#output.write(`${up}\r\u001b[0J${above}${block}`);
    this.#drawnLines = lines.length;
    this.#shown = lines;
    this.#pending = null;
    this.#drawnAtMs = this.#clock.nowMs();
  }
}

class PlainView implements LiveView {
  readonly #output: Output;
  readonly #clock: Clock;
  #pending: string | null = null;
  #writtenAtMs = Number.NEGATIVE_INFINITY;

  constructor(output: Output, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
  }

  update(lines: readonly string[]): void {
    this.#pending = lines[0] ?? null;
    if (this.#pending === null || this.#clock.nowMs() - this.#writtenAtMs < PLAIN_EVERY_MS) return;
    this.#flush();
  }

  log(line: string): void {
    this.#output.write(`${line}\n`);
  }

  close(): void {
    this.#flush();
  }

  #flush(): void {
    if (this.#pending === null) return;
    this.#output.write(`${this.#pending}\n`);
    this.#pending = null;
    this.#writtenAtMs = this.#clock.nowMs();
  }
}

/** The rate is that of the last few seconds: a mean over all of it would hide that a link has stalled. */
const RATE_WINDOW_MS = 5000;

export interface ProgressFacts {
  readonly doneBytes: number;
  /** Null while the total is not known. */
  readonly totalBytes: number | null;
  /** Null until two moments are known. */
  readonly bytesPerSecond: number | null;
  /** Null while total or rate is not known, or nothing moves. */
  readonly remainingMs: number | null;
}

export class Progress {
  readonly #clock: Clock;
  #moments: { atMs: number; doneBytes: number }[] = [];
  #totalBytes: number | null;

  constructor(clock: Clock, totalBytes: number | null) {
    this.#clock = clock;
    this.#totalBytes = totalBytes;
  }

  /** `totalBytes` may change on the way: a guest that writes makes more to send. */
  update(doneBytes: number, totalBytes: number | null = this.#totalBytes): ProgressFacts {
    this.#totalBytes = totalBytes;
    const atMs = this.#clock.nowMs();
    this.#moments.push({ atMs, doneBytes });
    // One moment older than the window stays, to span it.
    while (this.#moments.length > 2 && atMs - this.#moments[1]!.atMs >= RATE_WINDOW_MS) this.#moments.shift();
    const first = this.#moments[0]!;
    const spanMs = atMs - first.atMs;
    const bytesPerSecond = spanMs > 0 ? ((doneBytes - first.doneBytes) * 1000) / spanMs : null;
    const known = totalBytes !== null && bytesPerSecond !== null && bytesPerSecond > 0;
    const remainingMs = known ? (Math.max(0, totalBytes - doneBytes) * 1000) / bytesPerSecond : null;
    return { doneBytes, totalBytes, bytesPerSecond, remainingMs };
  }
}

const BAR_COLUMNS = 20;

export function formatProgress(facts: ProgressFacts): string {
  const parts: string[] = [];
  if (facts.totalBytes === null || facts.totalBytes <= 0) {
    parts.push(formatBytes(facts.doneBytes));
  } else {
    const share = Math.min(1, Math.max(0, facts.doneBytes / facts.totalBytes));
    const filled = Math.round(share * BAR_COLUMNS);
    parts.push(`${'\u2588'.repeat(filled)}${'\u2591'.repeat(BAR_COLUMNS - filled)} ${formatPercent(share)}`);
    parts.push(`${formatBytes(facts.doneBytes)} of ${formatBytes(facts.totalBytes)}`);
  }
  if (facts.bytesPerSecond !== null) parts.push(formatRate(facts.bytesPerSecond));
  if (facts.remainingMs !== null) parts.push(`${formatMs(facts.remainingMs)} left`);
  return parts.join('  ');
}
