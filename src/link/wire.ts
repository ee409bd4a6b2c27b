/**
 * A lane's present transport, whether it takes more, and the timer of the lane's next acknowledgement. Not
 * responsible for what is written.
 */

import { assert } from '../base/index.ts';
import type { Transport } from './transport.ts';

export class Wire {
  /** At the source: tells the dialling loop that the connection has ended, and whether it had been open. */
  onLost: ((wasOpen: boolean) => void) | null = null;
  writable = false;
  #transport: Transport | null = null;
  #ackTimer: NodeJS.Timeout | null = null;

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

  /** Runs `step` after `waitMs`, unless it is going to run earlier already. */
  acknowledgeIn(waitMs: number, step: () => void): void {
    this.#ackTimer ??= setTimeout(
      () => {
        this.#ackTimer = null;
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
    if (this.#ackTimer !== null) clearTimeout(this.#ackTimer);
    this.detach()?.end();
    this.tellLost(false);
  }
}
