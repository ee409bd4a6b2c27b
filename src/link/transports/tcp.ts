/**
 * Plain TCP (and unix sockets). Guest memory crosses it in clear: callers use it inside a host, or when
 * the operator said --insecure.
 */

import net from 'node:net';
import { GodwitError } from '../../base/index.ts';
import { type StreamTransport, streamTransport } from './stream.ts';

export type SocketAddress = { readonly host: string; readonly port: number } | { readonly path: string };

export function formatAddress(address: SocketAddress): string {
  return 'path' in address ? `unix:${address.path}` : `${address.host}:${address.port}`;
}

/** Resolves with the connected socket. `noDelay`: acknowledgements are small and wanted at once. */
export function connectSocket(address: SocketAddress, signal: AbortSignal): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = net.connect({ ...address, noDelay: true, keepAlive: true });
    const onAbort = () => socket.destroy(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', reject);
    socket.once('close', () => signal.removeEventListener('abort', onAbort));
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort);
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

export function tcpDial(address: SocketAddress): StreamDial {
  return async (_lane, signal) =>
    streamTransport(await connectSocket(address, signal), `tcp ${formatAddress(address)}`);
}

/** As Dial, for connections of this process. */
export type StreamDial = (lane: number, signal: AbortSignal) => Promise<StreamTransport>;

export interface Listener {
  readonly address: SocketAddress;
  close(): Promise<void>;
}

/**
 * Listens, and hands every connection to `onTransport` (usually `link.accept`). Port 0: the kernel chooses.
 */
export function tcpListen(
  address: SocketAddress,
  onTransport: (transport: StreamTransport) => void,
): Promise<Listener> {
  const server = net.createServer({ noDelay: true, keepAlive: true, allowHalfOpen: false }, (socket) =>
    onTransport(streamTransport(socket, `tcp from ${socket.remoteAddress ?? 'unix'}`)),
  );
  return listen(server, address);
}

export function listen(server: net.Server, address: SocketAddress): Promise<Listener> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new GodwitError('LINK_LISTEN', `cannot listen on ${formatAddress(address)}: ${error.message}`, {
          hint: 'choose another --data-address, or --listen',
          cause: error,
        }),
      ),
    );
    server.listen({ ...address }, () => {
      const bound = server.address();
      resolve({
        address:
          bound === null || typeof bound === 'string' ? address : { host: bound.address, port: bound.port },
        close: () => new Promise((closed) => server.close(() => closed())),
      });
    });
  });
}
