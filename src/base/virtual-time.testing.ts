/**
 * Timers of a virtual clock: nothing waits, and whatever is due at one moment happens in the order in which
 * it was asked for.
 */

import { VirtualClock } from './clock.ts';

interface Timer {
  readonly atMs: number;
  readonly ring: () => void;
}

export class VirtualTime {
  readonly #clock = new VirtualClock();
  #timers: Timer[] = [];

  nowMs(): number {
    return this.#clock.nowMs();
  }

  at(atMs: number, ring: () => void): Timer {
    const timer = { atMs, ring };
    this.#timers.push(timer);
    return timer;
  }

  /** Resolves after `ms`, or never where `signal` aborts before. */
  wait(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return;
      const timer = this.at(this.nowMs() + ms, resolve);
      signal?.addEventListener('abort', () => this.#cancel(timer), { once: true });
    });
  }

  /** Resolves after `ms`, or rejects as soon as `signal` aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const timer = this.at(this.nowMs() + ms, resolve);
      const onAbort = () => {
        this.#cancel(timer);
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Time goes on until `promise` settles. Errors: where nothing is left that could ever happen. */
  async run<Value>(promise: Promise<Value>): Promise<Value> {
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    promise.then(settle, settle);
    for (;;) {
      // Every promise that can settle by itself has done so when an immediate comes.
      await new Promise((resolve) => setImmediate(resolve));
      if (isSettled) return promise;
      const next = this.#timers.reduce<Timer | null>(
        (first, timer) => (first === null || timer.atMs < first.atMs ? timer : first),
        null,
      );
      if (next === null) throw new Error('it waits for what will never happen');
      this.#cancel(next);
      this.#clock.advanceMs(Math.max(0, next.atMs - this.nowMs()));
      next.ring();
    }
  }

  #cancel(timer: Timer): void {
    this.#timers = this.#timers.filter((other) => other !== timer);
  }
}
