/**
 * Hands waiting pages to the output while it has room and the operator's cap allows it. Not responsible for
 * which page goes (the page index), nor for reading QEMU (intake.ts).
 */

import type { PageStore } from '../../pages/index.ts';
import type { PageOutput } from '../output/types.ts';
import { BandwidthCap } from './bandwidth-cap.ts';
import { Linger } from './linger.ts';
import { type ReadGate, waitingPages } from './read-gate.ts';

/** Batches sent before other sockets are looked at again. */
const BATCHES_A_TURN = 16;
const BATCH_PAGES_MAX = 1024;

export interface SenderOptions {
  readonly output: PageOutput;
  readonly gate: ReadGate;
  /** null: no cap. */
  readonly bandwidthBytesPerSecondMax: number | null;
  readonly nowMs: () => number;
  /** QEMU hands over no more pages. */
  readonly isLast: () => boolean;
  /** What waits may have become less. */
  readonly onTurn: () => void;
}

export class Sender {
  readonly #options: SenderOptions;
  readonly #batch = new Uint32Array(BATCH_PAGES_MAX);
  readonly #cap = new BandwidthCap();
  readonly #linger = new Linger(() => this.turn());
  #store: PageStore | null = null;
  #sendsHeld = false;
  #sentBytesCounted = 0;
  #turnQueued = false;
  #drained: (() => void) | null = null;
  #closed = false;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#cap.set(options.bandwidthBytesPerSecondMax, 0);
  }

  /** Sends from `store` from now on. */
  begin(store: PageStore): void {
    this.#store = store;
  }

  /** Whether held pages go too, once nothing else waits. */
  set sendsHeld(sendsHeld: boolean) {
    this.#sendsHeld = sendsHeld;
  }

  setBandwidthMax(bytesPerSecond: number | null): void {
    const { output, nowMs } = this.#options;
    this.#cap.noteSent(output.facts.sentBytes, nowMs());
    this.#cap.set(bytesPerSecond, nowMs());
  }

  /** A turn once other sockets have had theirs. */
  schedule(): void {
    if (this.#turnQueued) return;
    this.#turnQueued = true;
    setImmediate(() => {
      this.#turnQueued = false;
      this.turn();
    });
  }

  /** Sends what may go now. To be called when the output has room again, and after every read. */
  turn(): void {
    const store = this.#store;
    if (!store || this.#closed) return;
    const { output, isLast, onTurn } = this.#options;
    let batches = 0;
    while (this.#sendBatch(store)) {
      // Zero pages hardly use room, so a turn could last long: QEMU and the far end come first.
      if (++batches < BATCHES_A_TURN) continue;
      this.schedule();
      break;
    }
    const { sentBytes } = output.facts;
    store.index.countSentBytes(sentBytes - this.#sentBytesCounted);
    this.#sentBytesCounted = sentBytes;
    onTurn();
    if (this.#drained && isLast() && waitingPages(store) === 0) {
      this.#drained();
      this.#drained = null;
    }
  }

  /** False: nothing may go now, or nothing waits. */
  #sendBatch(store: PageStore): boolean {
    const { output, gate, isLast } = this.#options;
    const roomPages = this.#roomPages();
    if (roomPages <= 0) return false;
    if (!isLast() && this.#linger.waits(this.readyPages)) return false;
    let count = store.index.take(Math.min(roomPages, this.#batch.length), this.#batch);
    if (count === 0 && this.#sendsHeld) count = store.index.takeHeld(roomPages, this.#batch);
    if (count === 0 && gate.mustSpill(store)) return store.index.spill(roomPages) > 0;
    if (count === 0) {
      output.starved();
      return false;
    }
    output.sendPages(this.#batch, count, store);
    return true;
  }

  #roomPages(): number {
    const { output, nowMs } = this.#options;
    this.#cap.noteSent(output.facts.sentBytes, nowMs());
    const capPages = this.#cap.allowancePages(nowMs());
    output.measure?.();
    const outputPages = output.roomPages();
    if (outputPages === 0) output.awaitRoom?.();
    return Math.min(outputPages, capPages);
  }

  /** Those that may go. */
  get readyPages(): number {
    if (this.#store === null) return 0;
    const { queuedPages, heldPages } = this.#store.index;
    return queuedPages + (this.#sendsHeld ? heldPages : 0);
  }

  /** Resolves when QEMU hands over no more pages and every page has been handed to the output. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.turn();
    });
  }

  close(): void {
    this.#closed = true;
    this.#linger.close();
  }
}
