/**
 * The transparent relay: bytes from one stream to another and back, untouched, for streams that cannot
 * be parsed and for connections that are not ours to understand. Not responsible for counting pages:
 * there are none here.
 */

import type { Duplex } from 'node:stream';

export interface RelayedBytes {
  readonly forwardBytes: number;
  readonly backwardBytes: number;
}

/** How much is held for a slow reader, per direction, beyond the sockets' own buffers. */
const HELD_BYTES_MAX = 1024 * 1024;

/**
 * Relays both ways until both directions have ended; an end is passed on, the other direction goes on.
 * Rejects with the first error, both streams destroyed. `onBytes` counts as it goes.
 */
export function relay(
  left: Duplex,
  right: Duplex,
  onBytes: (count: number, direction: 'forward' | 'backward') => void = () => {},
): Promise<RelayedBytes> {
  let forwardBytes = 0;
  let backwardBytes = 0;
  return new Promise((resolve, reject) => {
    let ended = 0;
    const fail = (error: Error) => {
      left.destroy();
      right.destroy();
      reject(error);
    };
    const onEnd = () => {
      if (++ended === 2) resolve({ forwardBytes, backwardBytes });
    };
    oneWay(left, right, fail, onEnd, (count) => {
      forwardBytes += count;
      onBytes(count, 'forward');
    });
    oneWay(right, left, fail, onEnd, (count) => {
      backwardBytes += count;
      onBytes(count, 'backward');
    });
  });
}

function oneWay(
  from: Duplex,
  to: Duplex,
  fail: (error: Error) => void,
  onEnd: () => void,
  count: (bytes: number) => void,
): void {
  let ended = false;
  from.on('data', (chunk: Uint8Array) => {
    count(chunk.length);
    to.write(chunk);
    // Node's own mark is 16 KiB, less than one read: stopping there would cost a turn of the
    // loop for each chunk.
    if (to.writableLength < HELD_BYTES_MAX || from.isPaused()) return;
    from.pause();
    to.once('drain', () => from.resume());
  });
  from.once('end', () => {
    ended = true;
    to.end();
    onEnd();
  });
  from.once('error', fail);
  from.once('close', () => {
    if (!ended) fail(new Error('the stream was closed before its end'));
  });
}
