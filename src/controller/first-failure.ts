/** What went wrong first: only that is the reason, since what fails later may fail because of it. */

import type { GodwitError } from '../base/index.ts';
import type { Loss } from '../handover/index.ts';

export class FirstFailure {
  /** Told when the first failure is there; never rejects. */
  readonly lost: Promise<Loss>;
  /** Rejects with the first failure. */
  readonly rejected: Promise<never>;
  readonly #lost = Promise.withResolvers<Loss>();
  #error: GodwitError | null = null;
  #guestEnded: string | null = null;

  constructor() {
    this.lost = this.#lost.promise;
    this.rejected = this.lost.then(() => Promise.reject(this.#error));
    this.rejected.catch(() => undefined);
  }

  get error(): GodwitError | null {
    return this.#error;
  }

  /** How the guest itself, or another client, ended the move; null: it did not. */
  get guestEnded(): string | null {
    return this.#guestEnded;
  }

  /** false: something else went wrong before. */
  note(error: GodwitError): boolean {
    if (this.#error !== null) return false;
    this.#error = error;
    this.#lost.resolve({ why: error.message, guestEnded: this.#guestEnded });
    return true;
  }

  /** Before the failure that comes of it is noted. false: it was known. */
  noteGuestEnd(text: string): boolean {
    const isNew = this.#guestEnded === null;
    this.#guestEnded ??= text;
    return isNew;
  }

  /** The same failure, with more reasons. */
  retell(error: GodwitError): void {
    this.#error = error;
  }
}
