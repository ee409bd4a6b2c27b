/**
 * What another client does at the destination, as events tell it: it then is not what was proven. Not
 * responsible for the source (source-watch.ts).
 */

import type { QmpClient } from '../../qmp/index.ts';

const TOUCHING: ReadonlySet<string> = new Set(['RESET', 'RESUME', 'SHUTDOWN', 'POWERDOWN', 'GUEST_PANICKED']);

export class DestinationWatch {
  #touched: string | null = null;
  #startIsOurs = false;
  readonly #ignore: () => void;

  constructor(destination: Pick<QmpClient, 'on'>) {
    this.#ignore = destination.on(({ name }) => {
      if (!this.#startIsOurs && TOUCHING.has(name))
        this.#touched ??= `another client touched the destination (${name})`;
    });
  }

  /** null: nothing was seen. */
  get touched(): string | null {
    return this.#touched;
  }

  /** `start` in between: what the VM does from then on is what it was told to, unless it was refused. */
  async during(start: () => Promise<void>, isRefusal: (error: unknown) => boolean): Promise<void> {
    this.#startIsOurs = true;
    try {
      await start();
    } catch (error) {
      if (isRefusal(error)) this.#startIsOurs = false;
      throw error;
    }
  }

  close(): void {
    this.#ignore();
  }
}
