/**
 * A pair of transports inside one process, with a bounded buffer, for tests and
 * the simulator's contract runs.
 */

import type { Transport, TransportHandlers } from '../transport.ts';

const BUFFER_BYTES = 256 * 1024;

class MemoryEnd implements Transport {
  readonly description = 'memory';
  peer: MemoryEnd | null = null;
  #handlers: TransportHandlers | null = null;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #scheduled = false;
  #ending = false;
  #closed = false;
  #peerWaits = false;

  open(handlers: TransportHandlers): void {
    this.#handlers = handlers;
    this.#schedule();
  }

  write(chunks: readonly Uint8Array[], onTaken?: () => void): boolean {
    const { peer } = this;
    if (peer === null || this.#ending || this.#closed) return false;
    // Copied, so that the two ends share no bytes, as over a socket.
    for (const chunk of chunks) peer.#put(Uint8Array.from(chunk));
    onTaken?.();
    peer.#schedule();
    if (peer.#queuedBytes < BUFFER_BYTES) return true;
    peer.#peerWaits = true;
    return false;
  }

  #put(chunk: Uint8Array): void {
    if (this.#closed) return;
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
  }

  #schedule(): void {
    if (this.#scheduled || this.#handlers === null) return;
    this.#scheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#scheduled = false;
    const chunk = this.#queue.shift();
    if (chunk !== undefined && !this.#closed) {
      this.#queuedBytes -= chunk.length;
      this.#handlers?.onData(chunk);
    }
    const { peer } = this;
    if (this.#queue.length > 0) this.#schedule();
    else if (peer !== null) this.#closeAfter(peer);
    if (this.#peerWaits && this.#queuedBytes < BUFFER_BYTES / 2) {
      this.#peerWaits = false;
      setImmediate(() => {
        if (peer !== null) peer.#handlers?.onWritable();
      });
    }
  }

  #closeAfter(peer: MemoryEnd): void {
    if (peer.#ending) this.#close(null);
  }

  end(): void {
    this.#ending = true;
    const { peer } = this;
    if (peer !== null) peer.#schedule();
    setImmediate(() => this.#close(null));
  }

  destroy(): void {
    this.#ending = true;
    const { peer } = this;
    this.#close(null);
    if (peer !== null) {
      peer.#queue.length = 0;
      setImmediate(() => peer.#close(new Error('memory connection broken')));
    }
  }

  #close(error: Error | null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue.length = 0;
    setImmediate(() => this.#handlers?.onClosed(error));
  }
}

export function memoryPair(): [Transport, Transport] {
  const left = new MemoryEnd();
  const right = new MemoryEnd();
  left.peer = right;
  right.peer = left;
  return [left, right];
}
