/**
 * What a migration's report lists, while it grows: bounded, because a VM that is never ready to stop may
 * be moved for days.
 */

import type { IterationStats } from '../vm/index.ts';

/** A row of the report: the numbers of an iteration without its histograms, which are 20 KiB each. */
export interface IterationReport {
  readonly index: number;
  readonly startMs: number;
  readonly durationMs: number;
  readonly dirtyPages: number;
  readonly sentPages: number;
  readonly resentPages: number;
  readonly heldPages: number;
  readonly queuedPages: number;
  readonly sentBytes: number;
}

/** A preference: the newest thousand show how it ended, at some 200 bytes each. */
export const ITERATIONS_REPORTED_MAX = 1000;
export const NOTES_MAX = 200;

export class ReportLog {
  readonly #first: IterationReport[] = [];
  readonly #newest: IterationReport[] = [];
  readonly #notes: string[] = [];
  #notesLeftOut = 0;

  add(stats: IterationStats): void {
    const row = rowOf(stats);
    if (this.#first.length === 0) this.#first.push(row);
    else this.#newest.push(row);
    if (this.#newest.length >= ITERATIONS_REPORTED_MAX) this.#newest.shift();
  }

  /** QEMU's first pass, then the newest; `index` shows where some are left out. */
  get iterations(): readonly IterationReport[] {
    return [...this.#first, ...this.#newest];
  }

  note(text: string): void {
    if (this.#notes.length < NOTES_MAX) this.#notes.push(text);
    else this.#notesLeftOut++;
  }

  get notes(): readonly string[] {
    if (this.#notesLeftOut === 0) return [...this.#notes];
    return [...this.#notes, `${this.#notesLeftOut} more notes are left out`];
  }
}

function rowOf(stats: IterationStats): IterationReport {
  return {
    index: stats.index,
    startMs: Math.round(stats.startMs),
    durationMs: Math.round(stats.durationMs),
    dirtyPages: stats.dirtyPages,
    sentPages: stats.sentPages,
    resentPages: stats.resentPages,
    heldPages: stats.backlog.heldPages,
    queuedPages: stats.backlog.queuedPages,
    sentBytes: stats.sentBytes,
  };
}
