/**
 * The destination QEMU's messages on their way to the source QEMU. Two of them let it go on, and wait for the
 * engine: the acknowledgement of the switchover, and SHUT, by which its migration completes. Not responsible
 * for when they may go.
 */

import type { ReturnPathMessage } from '../../stream/index.ts';

type Kept = 'switchover-ack' | 'shut';

export class ReturnGate {
  readonly #write: (raw: Uint8Array) => void;
  readonly #kept = new Map<Kept, Uint8Array>();
  readonly #open = new Set<Kept>();

  constructor(write: (raw: Uint8Array) => void) {
    this.#write = write;
  }

  take(message: ReturnPathMessage, raw: Uint8Array): void {
    const { kind } = message;
    const waits = (kind === 'switchover-ack' || kind === 'shut') && !this.#open.has(kind);
    if (waits) this.#kept.set(kind, raw);
    else this.#write(raw);
  }

  keeps(kind: Kept): boolean {
    return this.#kept.has(kind);
  }

  /** What was kept goes, and what comes later does not wait. */
  letGo(kind: Kept): void {
    this.#open.add(kind);
    const raw = this.#kept.get(kind);
    this.#kept.delete(kind);
    if (raw) this.#write(raw);
  }
}
