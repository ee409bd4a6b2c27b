/** What a live link is made from and what it tells. Not responsible for doing it: link.ts. */

import { type Clock, errorMessage, GodwitError } from '../base/index.ts';
import type { SessionOptions } from './lane-state.ts';
import type { Message } from './message.ts';

export type LinkEvent =
  | { readonly kind: 'connected'; readonly lane: number; readonly epoch: number; readonly transport: string }
  | { readonly kind: 'disconnected'; readonly lane: number; readonly reason: string }
  /** A connection was turned away; the link goes on. */
  | { readonly kind: 'refused'; readonly code: string; readonly reason: string };

export interface LinkOptions extends SessionOptions {
  /** One at a time per lane; the next one of the lane comes when the promise resolves. A rejection ends the link. */
  readonly onMessage: (message: Message, lane: number) => void | Promise<void>;
  readonly onEvent?: (event: LinkEvent) => void;
  /** Bytes of `lane` were acknowledged: its capacity has grown. */
  readonly onRoom?: (lane: number) => void;
  readonly clock?: Clock;
}

/** A time-out says nothing of why; the last failure to connect does. */
export function withDialError(error: unknown, dialError: unknown): unknown {
  if (!(error instanceof GodwitError) || error.code !== 'LINK_TIMEOUT' || dialError === null) return error;
  return new GodwitError(error.code, `${error.message} (${errorMessage(dialError)})`, {
    ...(error.safe === null ? {} : { safe: error.safe }),
    ...(error.hint === null ? {} : { hint: error.hint }),
    fields: error.fields,
    cause: dialError,
  });
}
