/**
 * Waits for the first frame of connections nobody knows yet, with a cap on how many wait and for how long.
 */

import { linkError } from './errors.ts';
import { type Frame, FrameDecoder } from './frame.ts';
import type { Transport, TransportHandlers } from './transport.ts';

type Route = (handlers: TransportHandlers) => void;

export class Greeter {
  readonly #timeoutMs: number;
  readonly #waitingMax: number;
  readonly #waiting = new Set<Transport>();

  constructor(timeoutMs: number, waitingMax: number) {
    this.#timeoutMs = timeoutMs;
    this.#waitingMax = waitingMax;
  }

  /**
   * Calls `onFrame` with the first frame; `route` then sends all further traffic to its handlers. Else
   * `onRefused`, or nothing when it closes.
   */
  greet(
    transport: Transport,
    onFrame: (frame: Frame, decoder: FrameDecoder, route: Route) => void,
    onRefused: (error: unknown) => void,
  ): void {
    if (this.#waiting.size >= this.#waitingMax) {
      transport.destroy();
      return;
    }
    const decoder = new FrameDecoder();
    let routed: TransportHandlers | null = null;
    const done = () => {
      clearTimeout(timer);
      this.#waiting.delete(transport);
    };
    const timer = setTimeout(() => {
      done();
      onRefused(linkError('LINK_PROTOCOL', `no HELLO within ${this.#timeoutMs} ms`));
      transport.destroy();
    }, this.#timeoutMs);
    const first = (chunk: Uint8Array) => {
      if (!this.#waiting.has(transport)) return;
      try {
        decoder.push(chunk);
        const frame = decoder.next();
        if (frame === null) return;
        done();
        onFrame(frame, decoder, (handlers) => {
          routed = handlers;
        });
      } catch (error) {
        done();
        onRefused(error);
      }
    };
    this.#waiting.add(transport);
    transport.open({
      onData: (chunk) => (routed === null ? first(chunk) : routed.onData(chunk)),
      onWritable: () => routed?.onWritable(),
      onClosed: (error) => {
        done();
        routed?.onClosed(error);
      },
    });
  }

  close(): void {
    for (const transport of this.#waiting) transport.destroy();
    this.#waiting.clear();
  }
}
