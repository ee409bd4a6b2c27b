/**
 * Turns SIGINT, SIGTERM and SIGHUP into two abort signals: the first asks, the second insists.
 * Not responsible for what a command does about them.
 */

import type { Clock } from '../base/index.ts';

/**
 * One Ctrl-C under `npm start` arrives twice, from the terminal and from npm; people need longer than this
 * to press it again.
 */
const SAME_PRESS_MS = 500;

export interface InterruptSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
}

export interface Interrupts {
  readonly interrupted: AbortSignal;
  readonly forced: AbortSignal;
  /** The signal that came first; null when none has. */
  first(): NodeJS.Signals | null;
  close(): void;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export function listenForInterrupts(source: InterruptSource, clock: Clock): Interrupts {
  const interrupted = new AbortController();
  const forced = new AbortController();
  let first: { signal: NodeJS.Signals; atMs: number } | null = null;
  const listener = (signal: NodeJS.Signals) => {
    if (first === null) {
      first = { signal, atMs: clock.nowMs() };
      interrupted.abort(new Error(`ended by ${signal}`));
    } else if (clock.nowMs() - first.atMs >= SAME_PRESS_MS) {
      forced.abort(new Error(`ended by a second ${signal}`));
    }
  };
  for (const signal of SIGNALS) source.on(signal, listener);
  return {
    interrupted: interrupted.signal,
    forced: forced.signal,
    first: () => first?.signal ?? null,
    close: () => {
      for (const signal of SIGNALS) source.off(signal, listener);
    },
  };
}
