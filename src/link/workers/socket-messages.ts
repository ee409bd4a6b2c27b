/**
 * What a thread with sockets and the thread with the link tell each other. Bytes themselves travel in rings.
 */

import { errorCode, errorMessage, GodwitError } from '../../base/index.ts';
import type { SocketAddress } from '../transports/tcp.ts';
import type { TlsCredentials } from '../transports/tls.ts';

export interface Rings {
  /** From the link to the socket. */
  readonly out: SharedArrayBuffer;
  readonly in: SharedArrayBuffer;
}

/** Null credentials: plain TCP. */
export interface Endpoint {
  readonly address: SocketAddress;
  readonly credentials: TlsCredentials | null;
}

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

/** `id` names a connection: even ones were dialled, odd ones accepted. */
export type ToSockets =
  | { readonly op: 'dial'; readonly id: number; readonly endpoint: Endpoint; readonly rings: Rings }
  | { readonly op: 'listen'; readonly endpoint: Endpoint }
  | { readonly op: 'open' | 'end' | 'destroy'; readonly id: number }
  /** `bytes` more lie in the out ring; `bytes` of the in ring are free again. */
  | { readonly op: 'written' | 'consumed'; readonly id: number; readonly bytes: number }
  | { readonly op: 'stop' };

export type FromSockets =
  | { readonly op: 'dialled'; readonly id: number; readonly description: string }
  | { readonly op: 'dial-failed'; readonly id: number; readonly failure: Failure }
  | { readonly op: 'listening'; readonly address: SocketAddress }
  | { readonly op: 'listen-failed' | 'refused'; readonly failure: Failure }
  | { readonly op: 'accepted'; readonly id: number; readonly description: string; readonly rings: Rings }
  | { readonly op: 'data' | 'taken'; readonly id: number; readonly bytes: number }
  | { readonly op: 'closed'; readonly id: number; readonly failure: Failure | null };

/** Errors do not cross threads with their codes. */
export function toFailure(error: unknown): Failure {
  const hint = error instanceof GodwitError ? error.hint : null;
  return { code: errorCode(error), message: errorMessage(error), hint };
}

export function fromFailure(failure: Failure): GodwitError {
  return new GodwitError(failure.code, failure.message, failure.hint === null ? {} : { hint: failure.hint });
}
