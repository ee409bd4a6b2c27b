/**
 * A connection that begins with lines of text and may go on as something else. It keeps what arrives
 * until somebody asks for a line or opens it; no more than one line's worth. Not responsible for
 * what the lines say.
 */

import type { Socket } from 'node:net';
import { GodwitError, orAborted } from '../base/index.ts';
import type { StreamTransport, TransportHandlers } from '../link/index.ts';
import { LINE_BYTES_MAX } from './messages.ts';

const LINE_FEED = 0x0a;
const BRACE = 0x7b;

/** The other end does not speak in lines. */
export class NoLine extends GodwitError {
  readonly firstByte: number;

  constructor(firstByte: number) {
    super('RECEIVE_PROTOCOL', 'the other end does not speak as godwit receive does');
    this.firstByte = firstByte;
  }
}

export class LineStream implements StreamTransport {
  readonly description: string;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
  readonly #inner: StreamTransport;
  readonly #gone = Promise.withResolvers<void>();
  #kept = Buffer.alloc(0);
  #end: { readonly error: Error | null } | null = null;
  #handlers: TransportHandlers | null = null;
  #changed = Promise.withResolvers<void>();

  constructor(inner: StreamTransport) {
    this.#inner = inner;
    this.description = inner.description;
    this.closed = this.#gone.promise;
    inner.open({
      onData: (chunk) => this.#onData(chunk),
      onWritable: () => this.#handlers?.onWritable(),
      onClosed: (error) => this.#onClosed(error),
    });
  }

  /**
   * The next line. Errors: NoLine where none begins, RECEIVE_PROTOCOL for a long one, CHANNEL_CLOSED
   * or why it broke.
   */
  async readLine(signal: AbortSignal): Promise<string> {
    for (;;) {
      const line = this.#takeLine();
      if (line !== null) return line;
      if (this.#end !== null) throw this.#end.error ?? closedError();
      await this.#change(signal);
    }
  }

  writeLine(value: object): void {
    this.#inner.write([Buffer.from(`${JSON.stringify(value)}\n`)]);
  }

  open(handlers: TransportHandlers): void {
    this.#handlers = handlers;
    const kept = this.#kept;
    this.#kept = Buffer.alloc(0);
    if (kept.length > 0) handlers.onData(kept);
    if (this.#end === null) this.#inner.setReading(true);
    else queueMicrotask(() => handlers.onClosed(this.#end!.error));
  }

  write(chunks: readonly Uint8Array[], onTaken?: () => void): boolean {
    return this.#inner.write(chunks, onTaken);
  }

  end(): void {
    this.#inner.end();
  }

  destroy(): void {
    this.#inner.destroy();
  }

  setReading(on: boolean): void {
    this.#inner.setReading(on);
  }

  #takeLine(): string | null {
    if (this.#kept.length === 0) return null;
    if (this.#kept[0] !== BRACE) throw new NoLine(this.#kept[0]!);
    const end = this.#kept.indexOf(LINE_FEED);
    if (end > LINE_BYTES_MAX || (end < 0 && this.#kept.length > LINE_BYTES_MAX)) {
      throw new GodwitError('RECEIVE_PROTOCOL', `a line of more than ${LINE_BYTES_MAX} bytes`);
    }
    if (end < 0) return null;
    const line = this.#kept.toString('utf8', 0, end);
    this.#kept = this.#kept.subarray(end + 1);
    if (this.#end === null) this.#inner.setReading(true);
    return line;
  }

  #onData(chunk: Uint8Array): void {
    if (this.#handlers !== null) {
      this.#handlers.onData(chunk);
      return;
    }
    this.#kept = Buffer.concat([this.#kept, chunk]);
    if (this.#kept.length > LINE_BYTES_MAX) this.#inner.setReading(false);
    this.#tell();
  }

  #onClosed(error: Error | null): void {
    this.#end = { error };
    this.#gone.resolve();
    this.#handlers?.onClosed(error);
    this.#tell();
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  async #change(signal: AbortSignal): Promise<void> {
    await orAborted(this.#changed.promise, signal);
  }
}

function closedError(): GodwitError {
  return new GodwitError('CHANNEL_CLOSED', 'the other end closed the connection');
}

/** Bytes both ways, untouched, until either side ends; the other one ends after what it was sent. */
export function joinSocket(stream: LineStream, socket: Socket): void {
  socket.on('data', (chunk) => {
    if (!stream.write([chunk])) socket.pause();
  });
  socket.on('drain', () => stream.setReading(true));
  socket.on('error', () => undefined);
  socket.once('close', () => stream.end());
  stream.open({
    onData: (chunk) => {
      if (!socket.write(Buffer.from(chunk))) stream.setReading(false);
    },
    onWritable: () => void socket.resume(),
    onClosed: () => socket.destroySoon(),
  });
  if (socket.destroyed) stream.end();
}
