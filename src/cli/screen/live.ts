/**
 * A block of lines that is redrawn on a terminal, and plain lines where there is none. Not responsible
 * for what is shown.
 */

import type { Clock } from '../../base/index.ts';
import type { Output } from '../command.ts';
import { columnsOf } from './output.ts';
import { truncate } from './table.ts';

/** A faster redraw than the eye can read only costs the terminal time. */
const REDRAW_EVERY_MS = 100;
/** Without a terminal the first line is written at this interval, as a sign of life. */
const PLAIN_EVERY_MS = 5000;

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
    const columns = columnsOf(this.#output);
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
