/**
 * When QEMU's stream is left unread before the VM is stopped: passes are kept apart, and without the
 * switchover-ack no more is taken than may wait (engine/gate.ts says why). Not responsible for the room in
 * the store. Pure; the caller brings the time.
 */

import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import type { OutputFacts } from '../output/types.ts';

/** Least time between the beginnings of two passes: each pass costs the guest a round of write protection. */
const PASS_SPACING_MS = 250;
/** The same while the rules want to know freshly what is dirty. */
const CLOSE_SPACING_MS = 50;
/**
 * QEMU measures its own bandwidth over 100 ms; until then its threshold is 0, with which it makes no second
 * sync but completes after one pass (measured). Without the ack, RAM is not read before that.
 */
const FIRST_MEASURE_MS = 150;

/** QEMU's stream is read in chunks of at most 64 KiB, and one may be under way when reading stops. */
const READ_AHEAD_PAGES = 64;
/** Without absorbing, the store keeps only what keeps the link busy between two reads. */
const NO_ABSORB_PAGES = 1024;

/** What the gate looks at of a PageStore. */
export interface Kept {
  readonly roomPages: number;
  readonly index: { readonly queuedPages: number; readonly heldPages: number };
}

export class ReadGate {
  readonly #ackGate: boolean;
  #pausedUntilMs = 0;
  #open = false;
  #hurried = false;
  #close = false;
  #filled = false;
  #filledBefore = false;
  /** Nothing is read before the engine has said how much. */
  waitingBytesMax: number;

  constructor(ackGate: boolean) {
    this.#ackGate = ackGate;
    this.waitingBytesMax = ackGate ? Number.POSITIVE_INFINITY : 0;
  }

  beginRam(nowMs: number): void {
    if (!this.#ackGate) this.#pausedUntilMs = nowMs + FIRST_MEASURE_MS;
  }

  /** `lastMs`: when the pass before began, null for none. */
  beginPass(nowMs: number, lastMs: number | null): void {
    this.#filledBefore = this.#filled;
    this.#filled = false;
    if (this.#hurried) return;
    const spacingMs = this.#close ? CLOSE_SPACING_MS : PASS_SPACING_MS;
    if (lastMs !== null && nowMs - lastMs < spacingMs) this.#pausedUntilMs = lastMs + spacingMs;
  }

  /** Without the ack passes stay apart: a short one invites QEMU to stop by itself. */
  setClose(close: boolean): void {
    const isClose = close && this.#ackGate;
    if (isClose && !this.#close) this.#pausedUntilMs = 0;
    this.#close = isClose;
  }

  /** Passes may follow each other at once: the VM is about to be stopped. */
  hurry(): void {
    this.#hurried = true;
    this.#pausedUntilMs = 0;
  }

  /** Whether the memory cap keeps QEMU waiting. */
  isFull({ roomPages }: Kept): boolean {
    if (roomPages >= READ_AHEAD_PAGES) return false;
    this.#filled = true;
    return true;
  }

  /** QEMU waits for room in this pass or the one before, or, without the ack, on the link. */
  get keepsQemuWaiting(): boolean {
    return !this.#ackGate || this.#filled || this.#filledBefore;
  }

  /** For good. */
  open(): void {
    this.#open = true;
  }

  /** `waitingBytes`: kept, or handed over and not known to have arrived. */
  isShut(nowMs: number, waitingBytes: number): boolean {
    if (this.#open) return false;
    return nowMs < this.#pausedUntilMs || waitingBytes >= this.waitingBytesMax;
  }

  /** There is hardly room for other pages, in the store or in what may wait: some held pages must be sent. */
  mustSpill({ roomPages, index }: Kept): boolean {
    if (roomPages < READ_AHEAD_PAGES) return true;
    return index.heldPages * PAGE_SIZE_BYTES > this.waitingBytesMax / 2;
  }
}

export function waitingPages({ index }: Kept): number {
  return index.queuedPages + index.heldPages;
}

/** Handed over and not known to have arrived. */
export function underWayBytes({ sentBytes, deliveredBytes, pendingBytes }: OutputFacts): number {
  return sentBytes - deliveredBytes + (pendingBytes ?? 0);
}

/** Without absorbing, enough is kept. */
export function isFilled({ index }: Kept): boolean {
  return index.queuedPages > NO_ABSORB_PAGES;
}
