/**
 * TLS 1.3, both ends authenticated: by a pre-shared key of 32 random bytes (one migration, passed over
 * ssh), or by certificates of the operator's own authority. Nothing falls back from one to the other,
 * or below TLS 1.3.
 */

import { isIP, type Socket } from 'node:net';
import tls from 'node:tls';
import { errorFrame } from '../connection.ts';
import { linkError } from '../errors.ts';
import type { Transport } from '../transport.ts';
import { asTlsError, type StreamTransport, streamTransport } from './stream.ts';
import {
  connectSocket,
  formatAddress,
  type Listener,
  listen,
  type SocketAddress,
  type StreamDial,
} from './tcp.ts';

export const PSK_BYTES = 32;

export type TlsCredentials =
  /** The caller wipes `key` at the end of the migration; until then every reconnect needs it. */
  | { readonly kind: 'psk'; readonly key: Uint8Array }
  /** PEM. `serverName`: the name the far certificate must carry, when it is not the host dialled. */
  | {
      readonly kind: 'ca';
      readonly cert: string;
      readonly key: string;
      readonly ca: string;
      readonly serverName?: string;
    };

/** In a QEMU's file of keys: `godwit:HEX`. */
export const PSK_IDENTITY = 'godwit';
/** Node's TLS 1.3 external keys go with a SHA-256 suite only: with SHA-384 the handshake finds no key. */
const PSK_CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:PSK';

function checkCredentials(credentials: TlsCredentials): void {
  if (credentials.kind === 'psk' && credentials.key.length !== PSK_BYTES) {
    throw linkError('LINK_TLS', `a link key has ${PSK_BYTES} bytes, not ${credentials.key.length}`);
  }
}

const COMMON = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;

export function tlsDial(address: SocketAddress, credentials: TlsCredentials): StreamDial {
  checkCredentials(credentials);
  return async (_lane, signal) => {
    const socket = await connectSocket(address, signal);
    const secure = await handshake(
      tls.connect({ ...COMMON, ...clientOptions(address, credentials), socket }),
      signal,
    );
    return streamTransport(secure, `tls ${formatAddress(address)}`, true);
  };
}

/** The client's end on a connection that is open. Errors: LINK_TLS. */
export function secureWithKey(socket: Socket, key: Uint8Array, signal: AbortSignal): Promise<tls.TLSSocket> {
  const credentials = { kind: 'psk', key } as const;
  checkCredentials(credentials);
  return handshake(tls.connect({ ...COMMON, ...keyOptions(credentials), socket }), signal);
}

function keyOptions(credentials: Extract<TlsCredentials, { kind: 'psk' }>): tls.ConnectionOptions {
  return {
    ciphers: PSK_CIPHERS,
    pskCallback: () => ({ psk: credentials.key, identity: PSK_IDENTITY }),
    // The key is the proof: there is no certificate to check, and a server that shows one did
    // not prove the key.
    checkServerIdentity: () => new Error('the other end showed a certificate instead of proving the key'),
  };
}

function clientOptions(address: SocketAddress, credentials: TlsCredentials): tls.ConnectionOptions {
  if (credentials.kind === 'psk') return keyOptions(credentials);
  const host = credentials.serverName ?? ('host' in address ? address.host : 'localhost');
  return {
    cert: credentials.cert,
    key: credentials.key,
    ca: credentials.ca,
    rejectUnauthorized: true,
    ...(isIP(host) ? { host } : { host, servername: host }),
  };
}

function handshake(socket: tls.TLSSocket, signal: AbortSignal): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const onAbort = () => socket.destroy(signal.reason);
    const fail = (error: Error) => reject(asTlsError(error));
    const onClose = () => reject(new Error('the connection closed during the TLS handshake'));
    const settle = () => {
      signal.removeEventListener('abort', onAbort);
      socket.off('close', onClose);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', fail);
    socket.once('close', onClose);
    socket.once('close', settle);
    socket.once('secureConnect', () => {
      settle();
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

/** As tcpListen; only connections that have proved themselves reach `onTransport`, the others `onRefused`. */
export function tlsListen(
  address: SocketAddress,
  credentials: TlsCredentials,
  onTransport: (transport: StreamTransport) => void,
  onRefused: (error: Error) => void = () => {},
): Promise<Listener> {
  checkCredentials(credentials);
  const server = tls.createServer(
    { ...COMMON, ...serverOptions(credentials), handshakeTimeout: 10_000, noDelay: true, keepAlive: true },
    (socket) => {
      const transport = streamTransport(socket, `tls from ${socket.remoteAddress ?? 'unix'}`, true);
      if (credentials.kind === 'psk' || socket.authorized) onTransport(transport);
      else refuseCertificate(transport, refusalText(socket), onRefused);
    },
  );
  server.on('tlsClientError', (error) => onRefused(asTlsError(error)));
  return listen(server, address);
}

function refusalText(socket: tls.TLSSocket): string {
  const isShown = Object.keys(socket.getPeerCertificate()).length > 0;
  if (!isShown) return 'no certificate was shown';
  return `the certificate shown was refused: ${String(socket.authorizationError)}`;
}

/**
 * In TLS 1.3 the client believes itself connected before its certificate has been seen here. A refused client
 * is told why, and nothing that it sends is read.
 */
function refuseCertificate(transport: Transport, text: string, onRefused: (error: Error) => void): void {
  const error = linkError('LINK_TLS', text);
  onRefused(error);
  transport.open({ onData: () => {}, onWritable: () => {}, onClosed: () => {} });
  transport.write([errorFrame(error.code, error.message)]);
  transport.end();
}

function serverOptions(credentials: TlsCredentials): tls.TlsOptions {
  if (credentials.kind === 'psk') {
    return {
      ciphers: PSK_CIPHERS,
      pskCallback: (_socket: tls.TLSSocket, identity: string) =>
        identity === PSK_IDENTITY ? credentials.key : null,
    };
  }
  const { cert, key, ca } = credentials;
  // Node would drop an unauthorized client without a word; `tlsListen` refuses it with one.
  return { cert, key, ca, requestCert: true, rejectUnauthorized: false };
}
