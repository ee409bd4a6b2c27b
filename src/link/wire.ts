/** A lane's present transport, its room, and the timers that wake the lane. Not responsible for what is written. */

import { assert } from '../base/index.ts';
import type { Transport } from './transport.ts';

export class Wire {
  /** At the source: tells the dialling loop that the connection has ended, and whether it had been open. */
  onLost: ((wasOpen: boolean) => void) | null = null;
  writable = false;
  #transport: Transport | null = null;
  readonly #timers: { pace: NodeJS.Timeout | null; ack: NodeJS.Timeout | null } = { pace: null, ack: null };

  get transport(): Transport | null {
    return this.#transport;
  }

  attach(transport: Transport): void {
    this.#transport = transport;
    this.writable = true;
  }

  detach(): Transport | null {
    const transport = this.#transport;
    this.#transport = null;
    this.writable = false;
    return transport;
  }

  write(chunks: readonly Uint8Array[]): void {
    assert(this.#transport !== null, 'only an attached lane is written to');
    this.writable = this.#transport.write(chunks);
  }

  /** Runs `step` after `waitMs` unless a wake-up of this kind is on its way already. */
  wake(why: 'pace' | 'ack', waitMs: number, step: () => void): void {
    this.#timers[why] ??= setTimeout(
      () => {
        this.#timers[why] = null;
        step();
      },
      Math.max(1, waitMs),
    );
  }

  tellLost(wasOpen: boolean): void {
    const { onLost } = this;
    this.onLost = null;
    onLost?.(wasOpen);
  }

  close(): void {
    for (const timer of Object.values(this.#timers)) if (timer !== null) clearTimeout(timer);
    this.detach()?.end();
    this.tellLost(false);
  }
}
