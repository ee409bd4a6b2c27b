/**
 * Unix sockets whose path is longer than the system's address of one: reached through their folder. Linux
 * only.
 */

import { closeSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { SOCKET_PATH_BYTES_MAX } from './socket-place.ts';

/**
 * As net.connect. Errors, thrown or emitted: the system's, ENAMETOOLONG where the socket's own name is too
 * long.
 */
export function connectUnix(path: string): Socket {
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return connect(path);
  const folder = openSync(dirname(path), 'r');
  const short = `/proc/self/fd/${folder}/${basename(path)}`;
  if (Buffer.byteLength(short) > SOCKET_PATH_BYTES_MAX) {
    closeSync(folder);
    throw Object.assign(new Error(`the socket's name has ${Buffer.byteLength(basename(path))} bytes`), {
      code: 'ENAMETOOLONG',
    });
  }
  const socket = connect(short);
  let isOpen = true;
  const close = () => {
    if (isOpen) closeSync(folder);
    isOpen = false;
  };
  return socket.once('connect', close).once('close', close);
}
