/**
 * The gate where QEMU offers no acknowledgement: a pass whose last pages are not read cannot end, and a pass that
 * cannot end cannot switch over. How much is left is QEMU's own figure at a moment, minus what came since. Pure.
 */

/** Zero pages are 9 bytes in the stream, so QEMU's socket buffer may hold this many pages that we have not seen. */
const SOCKET_BUFFER_BYTES = 256 * 1024;
const RECORD_BYTES_TYPICAL = 2048;

export class PassGate {
  readonly #ackGate: boolean;
  #allowed = false;
  #open = false;
  #remainingPages: number | null = null;

  constructor(ackGate: boolean) {
    this.#ackGate = ackGate;
  }

  startPass(): void {
    this.#remainingPages = null;
  }

  countPage(): void {
    if (this.#remainingPages !== null) this.#remainingPages--;
  }

  noteRemaining(pages: number): void {
    this.#remainingPages = pages;
  }

  allow(allowed: boolean): void {
    this.#allowed = allowed;
  }

  /** For good: the VM is stopped by command. */
  open(): void {
    this.#open = true;
  }

  /** The tail has begun and must not be read. */
  get mustWithhold(): boolean {
    if (this.#ackGate || this.#open || this.#allowed || this.#remainingPages === null) return false;
    return this.#remainingPages <= SOCKET_BUFFER_BYTES / RECORD_BYTES_TYPICAL;
  }
}
