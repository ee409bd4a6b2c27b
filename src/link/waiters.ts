/** Promises that wait for a condition of the link, checked whenever something changed. */

interface Waiter {
  readonly condition: () => boolean;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export class Waiters {
  readonly #waiting = new Set<Waiter>();
  #failure: { readonly reason: unknown } | null = null;

  until(condition: () => boolean, signal?: AbortSignal): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure.reason);
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.delete(waiter);
        reject(signal?.reason);
      };
      const settle = (finish: () => void) => () => {
        signal?.removeEventListener('abort', onAbort);
        finish();
      };
      const waiter: Waiter = {
        condition,
        resolve: settle(resolve),
        reject: (reason) => settle(() => reject(reason))(),
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiter);
    });
  }

  check(): void {
    for (const waiter of this.#waiting) {
      if (!waiter.condition()) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
  }

  fail(reason: unknown): void {
    this.#failure = { reason };
    for (const waiter of this.#waiting) waiter.reject(reason);
    this.#waiting.clear();
  }
}
