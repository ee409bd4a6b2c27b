/**
 * The source QEMU's one connection: a Unix socket that only its owner can open. Not responsible for
 * what comes over it.
 */

import net from 'node:net';

/**
 * Read at a turn of the event loop. libuv alone would read 2 MiB, while everything that is to be sent,
 * acknowledged or encoded waits.
 */
const TURN_BYTES = 256 * 1024;

export interface SourceSocketEvents {
  onData(chunk: Uint8Array): void;
  /** `cause`: what the system said of it. */
  onClose(cause: Error | undefined): void;
}

export class SourceSocket {
  readonly #events: SourceSocketEvents;
  readonly #server: net.Server;
  #socket: net.Socket | null = null;
  #closed = false;
  #waiting = false;
  #turnBytes = 0;

  constructor(events: SourceSocketEvents) {
    this.#events = events;
    this.#server = net.createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket));
  }

  /** Errors: the system's, those of `admitQemu`. */
  async listen(path: string, admitQemu: () => void): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, () => resolve());
    });
    admitQemu();
  }

  #accept(socket: net.Socket): void {
    if (this.#socket !== null) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    this.#server.close();
    let failure: Error | undefined;
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('data', (chunk) => {
      this.#events.onData(chunk);
      this.#turnBytes += chunk.length;
      if (this.#turnBytes >= TURN_BYTES) this.#yield();
    });
    socket.on('close', () => {
      if (!this.#closed) this.#events.onClose(failure);
    });
    socket.resume();
  }

  /** QEMU is read only while it need not wait. */
  setWaiting(wait: boolean): void {
    this.#waiting = wait;
    this.#steer();
  }

  #yield(): void {
    setImmediate(() => {
      this.#turnBytes = 0;
      this.#steer();
    });
    this.#steer();
  }

  #steer(): void {
    const socket = this.#socket;
    if (!socket || this.#closed) return;
    const wait = this.#waiting || this.#turnBytes >= TURN_BYTES;
    if (wait && !socket.isPaused()) socket.pause();
    else if (!wait && socket.isPaused()) socket.resume();
  }

  write(raw: Uint8Array): void {
    this.#socket?.write(raw);
  }

  /** The connection itself; from now on nothing is heard of it here. null before QEMU has connected. */
  take(): net.Socket | null {
    this.#closed = true;
    this.#socket?.removeAllListeners('data');
    return this.#socket;
  }

  close(): void {
    this.#closed = true;
    this.#server.close();
    this.#socket?.destroy();
  }
}
