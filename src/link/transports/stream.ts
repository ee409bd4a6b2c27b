/**
 * Any duplex byte stream as a transport: TCP and TLS sockets, ssh's standard input and output,
 * a pair of pipes.
 */

import type { Duplex } from 'node:stream';
import { errorCode, errorMessage, freeMemory } from '../../base/index.ts';
import { linkError } from '../errors.ts';
import type { Transport, TransportHandlers } from '../transport.ts';
import { PieceWriter } from './pieces.ts';

/** A transport whose reading can be stopped for a while. */
export interface StreamTransport extends Transport {
  setReading(on: boolean): void;
}

const LINGER_MS = 2000;

/** `encrypts`: the stream is TLS, which is better given small pieces (pieces.ts). */
export function streamTransport(stream: Duplex, description: string, encrypts = false): StreamTransport {
  let closed = false;
  let failure: Error | null = null;
  let handlers: TransportHandlers | null = null;
  const pieces = encrypts ? new PieceWriter(stream, () => handlers?.onWritable()) : null;
  const onClose = () => {
    if (closed) return;
    closed = true;
    handlers?.onClosed(failure);
  };
  stream.on('error', (error) => {
    failure ??= asTlsError(error);
  });
  stream.on('close', onClose);
  return {
    description,
    open(opened) {
      handlers = opened;
      stream.on('data', (chunk: Uint8Array) => {
        opened.onData(chunk);
        freeMemory(chunk);
      });
      if (pieces === null) stream.on('drain', () => opened.onWritable());
      // The other end closed its half: nothing of the link works with one half.
      stream.on('end', () => stream.destroy());
      if (closed) queueMicrotask(() => opened.onClosed(failure));
    },
    write(chunks, onTaken) {
      if (closed || stream.destroyed || stream.writableEnded) return false;
      if (pieces !== null) return pieces.write(chunks, onTaken ?? null);
      stream.cork();
      let room = true;
      for (const [index, chunk] of chunks.entries()) {
        room = stream.write(chunk, index === chunks.length - 1 && onTaken ? taken(onTaken) : undefined);
      }
      stream.uncork();
      return room;
    },
    end() {
      if (stream.destroyed) return;
      if (pieces === null) stream.end();
      else pieces.end();
      // Not destroyed yet: closing with unread bytes resets the connection, and our last words (ERROR) would
      // be lost. It goes when the other end closes, or when that takes too long.
      const timer = setTimeout(() => stream.destroy(), LINGER_MS);
      timer.unref();
      stream.once('close', () => clearTimeout(timer));
      stream.resume();
    },
    destroy() {
      stream.destroy();
    },
    setReading(on) {
      if (on) stream.resume();
      else stream.pause();
    },
  };
}

function taken(onTaken: () => void): (error?: Error | null) => void {
  return (error) => {
    if (!error) onTaken();
  };
}

/** OpenSSL's verdicts are final: with the same key or certificate the next attempt ends the same way. */
export function asTlsError(error: Error): Error {
  const code = errorCode(error);
  const isTls =
    /^(ERR_SSL_|ERR_TLS_|ERR_OSSL_|UNABLE_TO_|CERT_|SELF_SIGNED|DEPTH_ZERO|EPROTO$)/.test(code) ||
    /SSL routines/.test(error.message);
  if (!isTls) return error;
  return linkError('LINK_TLS', `the TLS handshake failed: ${tlsReason(error)}`, {
    hint: 'both ends need the same key, or certificates of the same authority with the right host name',
    fields: { reason: code },
    cause: error,
  });
}

/** OpenSSL writes "thread:error:number:library:function:reason:file:line:"; an operator needs the reason. */
function tlsReason(error: Error): string {
  const parts = errorMessage(error).trim().split(':');
  return parts.length >= 7 && parts[1] === 'error' ? parts[5]! : errorMessage(error);
}
