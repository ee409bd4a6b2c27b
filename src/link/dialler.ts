/**
 * Keeps a connection on every lane, at the source: dials, waits until the connection is lost, waits a little,
 * and dials again. Not responsible for what goes over a connection: link.ts.
 */

import { errorCode, errorMessage, GodwitError, sleep } from '../base/index.ts';
import type { Dial, Transport } from './transport.ts';

/** The next attempt would end the same way: the key or certificate stays wrong, a dead thread stays dead. */
const HOPELESS: ReadonlySet<string> = new Set(['LINK_TLS', 'LINK_WORKER']);
const REDIAL_DELAY_MS_MAX = 2000;

export function isHopeless(error: unknown): boolean {
  return HOPELESS.has(errorCode(error));
}

export interface DiallerOptions {
  readonly redialDelayMs: number;
  /** Aborted when the link ends. */
  readonly signal: AbortSignal;
  /** The lane needs no connection any more. */
  readonly isFinished: (lane: number) => boolean;
  /** Resolves when the connection is lost: true where the other end had accepted it. */
  readonly onTransport: (lane: number, transport: Transport) => Promise<boolean>;
  readonly onHopeless: (error: unknown) => void;
}

export class Dialler {
  readonly #options: DiallerOptions;
  #lastError: unknown = null;

  constructor(options: DiallerOptions) {
    this.#options = options;
  }

  /** Until the link ends or the lane is finished. */
  async keep(lane: number, dial: Dial): Promise<void> {
    const { signal, redialDelayMs, isFinished, onTransport, onHopeless } = this.#options;
    let delayMs = redialDelayMs;
    while (!signal.aborted && !isFinished(lane)) {
      try {
        const transport = await dial(lane, signal);
        if (signal.aborted) return transport.destroy();
        const wasOpen = await onTransport(lane, transport);
        // The delay grows with attempts that the other end did not accept.
        if (wasOpen) delayMs = redialDelayMs;
      } catch (error) {
        this.#lastError = error;
        if (isHopeless(error)) return onHopeless(error);
      }
      await sleep(delayMs, signal).catch(() => {});
      delayMs = Math.min(delayMs * 2, REDIAL_DELAY_MS_MAX);
    }
  }

  /** `error`. A time-out gets the reason of the last failed attempt as its cause. */
  explain(error: unknown): unknown {
    const cause = this.#lastError;
    if (!(error instanceof GodwitError) || error.code !== 'LINK_TIMEOUT' || cause === null) return error;
    return new GodwitError(error.code, `${error.message} (${errorMessage(cause)})`, {
      ...(error.safe === null ? {} : { safe: error.safe }),
      ...(error.hint === null ? {} : { hint: error.hint }),
      fields: error.fields,
      cause,
    });
  }
}
