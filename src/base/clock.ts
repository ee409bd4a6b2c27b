/** Time as an argument: product code asks a Clock, so that the simulator and the tests own it. */

export interface Clock {
  /** Milliseconds since an arbitrary moment; never goes back. */
  nowMs(): number;
}

export const systemClock: Clock = { nowMs: () => performance.now() };

export class VirtualClock implements Clock {
  #nowMs: number;

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  advanceMs(deltaMs: number): void {
    if (!(deltaMs >= 0)) throw new RangeError(`time cannot go back by ${deltaMs} ms`);
    this.#nowMs += deltaMs;
  }
}

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it is aborted. */
export function sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
