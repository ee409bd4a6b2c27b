/**
 * What the source's QEMU and others do to the VM while it is moved: who stopped it, who continued it,
 * whether its guest ended.
 */

import type { QmpClient, QmpEvent } from '../qmp/index.ts';
import { queryStatus } from '../qmp/index.ts';
import { foreignStop, guestEnd } from './guest.ts';
import { saysGivenUp } from './source-failure.ts';

export interface SourceWatchOptions {
  readonly source: QmpClient;
  readonly guestWasRunning: boolean;
  /** MIGRATION_PASS, and a STOP that was QEMU's own: for the driver. */
  readonly onEvent: (event: QmpEvent) => void;
  /** A STOP that we did not ask for; its cause is not known yet. */
  readonly onUnaskedStop: () => void;
  readonly onReset: () => void;
  /** QEMU gave its migration up. */
  readonly onGivenUp: () => void;
  /** The guest, or another client, ended the move: the VM is left as it is. */
  readonly onGuestEnd: (text: string) => void;
}

export class SourceWatch {
  readonly #options: SourceWatchOptions;
  #stoppedAtMs: number | null = null;
  #touched: string | null = null;
  #handingOver = false;
  #ended = false;

  constructor(options: SourceWatchOptions) {
    this.#options = options;
    options.source.on((event) => this.#onEvent(event));
  }

  /** When the last STOP came; null while the VM runs. */
  get stoppedAtMs(): number | null {
    return this.#stoppedAtMs;
  }

  /** Another client continued the VM; null: not seen. */
  get touched(): string | null {
    return this.#touched;
  }

  /** What came before there was a driver: a short stream's passes are over before anyone could listen. */
  replay(events: readonly QmpEvent[]): void {
    for (const event of events) this.#passOn(event);
  }

  /** The move has decided to stop the VM: a STOP is its own from now on. */
  beginHandover(): void {
    this.#handingOver = true;
  }

  /** The move is being undone: RESUME is its own from now on. */
  endHandover(): void {
    this.#handingOver = false;
    this.#ended = true;
  }

  #onEvent(event: QmpEvent): void {
    if (event.name === 'STOP') this.#stoppedAtMs = event.receivedAtMs;
    if (event.name === 'RESUME') this.#onResume();
    if (saysGivenUp(event) && !this.#ended) this.#options.onGivenUp();
    // A stopped guest cannot end any more. Its QEMU can, and recovery knows which copy is whole then.
    const isStopped = this.#stoppedAtMs !== null || !this.#options.guestWasRunning;
    const end = this.#handingOver && isStopped ? null : guestEnd(event);
    if (end !== null) this.#options.onGuestEnd(end);
    else if (!this.#handingOver) this.#passOn(event);
  }

  #onResume(): void {
    const wasStopped = this.#stoppedAtMs !== null || !this.#options.guestWasRunning;
    this.#stoppedAtMs = null;
    if (this.#ended || !wasStopped) return;
    // QEMU's own final stage may fail and resume the VM by itself, before anybody hands over.
    if (!this.#handingOver && this.#options.guestWasRunning) return;
    this.#touched = 'another client continued the source VM during the migration';
    this.#options.onGuestEnd(this.#touched);
  }

  #passOn(event: QmpEvent): void {
    if (event.name === 'RESET') this.#options.onReset();
    if (event.name === 'STOP') void this.#onUnaskedStop(event);
    else this.#options.onEvent(event);
  }

  /** QEMU's own final stage is the engine's to judge; any other stop ends the migration. */
  async #onUnaskedStop(event: QmpEvent): Promise<void> {
    this.#options.onUnaskedStop();
    const { status } = await queryStatus(this.#options.source).catch(() => ({ status: 'gone' }));
    const end = foreignStop(status);
    if (end === null) this.#options.onEvent(event);
    else this.#options.onGuestEnd(end);
  }
}
