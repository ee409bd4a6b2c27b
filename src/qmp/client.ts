/**
 * One QMP connection: commands with ids and time-outs, out-of-band execution, events.
 * Not responsible for the meaning of a command (commands-*.ts) or for opening the socket (connect.ts).
 */

import type { Duplex } from 'node:stream';
import { type Clock, GodwitError, systemClock } from '../base/index.ts';
import {
  closedError,
  commandError,
  commandTimeoutError,
  protocolError,
  queueFullError,
  unsupportedError,
} from './errors.ts';
import { EventLog, type EventMatch, type QmpEvent, type WaitEventOptions } from './events.ts';
import { isObject, type JsonObject, type LineReader } from './lines.ts';

export const COMMAND_TIMEOUT_MS = 10_000;

/**
 * QEMU takes 8 requests off the socket and reads no further until one is answered (qmp-spec, "Out-of-band
 * execution"); a queue filled with ordinary commands would shut out the out-of-band ones.
 */
const IN_BAND_COMMANDS_MAX = 4;
export const COMMANDS_WAITING_MAX = 1024;

const CLOSE_GRACE_MS = 500;
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface ExecuteOptions {
  /** null waits without end. Default: the connection's. */
  readonly timeoutMs?: number | null;
  /**
   * Out of band (`exec-oob`): answered even while another command blocks. QEMU allows it for few commands.
   */
  readonly oob?: boolean;
  readonly signal?: AbortSignal;
}

/** What the typed commands need: a client, or anything that answers like one. */
export interface QmpExecutor {
  execute(name: string, args?: JsonObject, options?: ExecuteOptions): Promise<unknown>;
}

export interface QmpGreeting {
  readonly version: { readonly major: number; readonly minor: number; readonly micro: number };
  /** The packager's words, for instance "Debian 1:10.0.2+ds-2"; empty for a build from source. */
  readonly package: string;
  readonly offersOob: boolean;
}

interface Request {
  readonly id: number;
  readonly name: string;
  readonly line: string;
  readonly oob: boolean;
  /** Null once the caller gave up; the entry stays, since QEMU still works on the command. */
  settle: { resolve(value: unknown): void; reject(error: unknown): void } | null;
}

export class QmpClient implements QmpExecutor {
  readonly path: string;
  readonly greeting: QmpGreeting;
  /** Resolves when the connection has ended, with the error that every later command gets. Never rejects. */
  readonly closed: Promise<GodwitError>;

  readonly #socket: Duplex;
  readonly #clock: Clock;
  readonly #commandTimeoutMs: number;
  readonly #lines: LineReader;
  readonly #log = new EventLog();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  readonly #sent = new Map<number, Request>();
  readonly #waiting: Request[] = [];
  #nextId = 1;
  #oob = false;
  #end: GodwitError | null = null;
  #reportClosed: (error: GodwitError) => void = () => {};

  /** `lines` has read the greeting and may hold the start of the next line. Use connectQmp instead. */
  constructor(
    socket: Duplex,
    path: string,
    greeting: QmpGreeting,
    lines: LineReader,
    clock: Clock = systemClock,
    commandTimeoutMs: number = COMMAND_TIMEOUT_MS,
  ) {
    this.#commandTimeoutMs = commandTimeoutMs;
    this.#socket = socket;
    this.path = path;
    this.greeting = greeting;
    this.#lines = lines;
    this.#clock = clock;
    this.closed = new Promise((resolve) => {
      this.#reportClosed = resolve;
    });
    socket.on('data', (chunk: Uint8Array) => this.#receive(chunk));
    socket.on('error', (error) => this.#finish(closedError(path, 'qemu', error)));
    socket.on('close', () => this.#finish(closedError(path, 'qemu')));
  }

  /** True when QEMU executes commands out of band on this connection. */
  get oob(): boolean {
    return this.#oob;
  }

  /** Leaves QMP's negotiation mode; must be the first command. */
  async negotiate(options: ExecuteOptions = {}): Promise<void> {
    const enable = this.greeting.offersOob ? { enable: ['oob'] } : {};
    await this.execute('qmp_capabilities', enable, options);
    this.#oob = this.greeting.offersOob;
  }

  /**
   * QEMU's `return` value. Errors: QMP_COMMAND, QMP_TIMEOUT, QMP_CLOSED, QMP_PROTOCOL, QMP_UNSUPPORTED (no
   * out-of-band), QMP_QUEUE_FULL, the signal's reason. After a time-out or an abort QEMU may still carry the
   * command out.
   */
  execute(name: string, args: JsonObject = {}, options: ExecuteOptions = {}): Promise<unknown> {
    const oob = options.oob ?? false;
    const timeoutMs = options.timeoutMs === undefined ? this.#commandTimeoutMs : options.timeoutMs;
    return new Promise((resolve, reject) => {
      options.signal?.throwIfAborted();
      if (this.#end !== null) throw this.#end;
      if (oob && !this.#oob) throw unsupportedError('out-of-band execution');
      if (this.#waiting.length >= COMMANDS_WAITING_MAX) throw queueFullError(name, COMMANDS_WAITING_MAX);

      const id = this.#nextId++;
      const line = `${JSON.stringify({ [oob ? 'exec-oob' : 'execute']: name, arguments: args, id })}\n`;
      const request: Request = { id, name, line, oob, settle: null };
      const giveUp = (error: unknown) => {
        this.#forget(request);
        request.settle?.reject(error);
      };
      const onAbort = () => giveUp(options.signal?.reason);
      const expire = (afterMs: number) => giveUp(commandTimeoutError(name, afterMs));
      const timer =
        timeoutMs === null ? undefined : setTimeout(expire, Math.min(timeoutMs, TIMER_MS_MAX), timeoutMs);
      options.signal?.addEventListener('abort', onAbort, { once: true });
      const release = () => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', onAbort);
        request.settle = null;
      };
      request.settle = {
        resolve: (value) => {
          release();
          resolve(value);
        },
        reject: (error) => {
          release();
          reject(error);
        },
      };
      if (oob) this.#send(request);
      else this.#waiting.push(request);
      this.#sendWaiting();
    });
  }

  /** Calls `listener` for every later event; the returned function ends that. A listener must not throw. */
  on(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * A mark for `waitEvent` and `events`: take it before a command, and no event of that command is missed.
   */
  eventMark(): number {
    return this.#log.next;
  }

  /**
   * What has come since `mark`, for a listener that begins late: a short stream's passes are over
   * before anyone could listen.
   */
  eventsSince(mark: number): readonly QmpEvent[] {
    return this.#log.since(mark);
  }

  /**
   * The first event that matches, from `since` (default: this call) on. Errors: QMP_TIMEOUT, QMP_EVENTS_LOST,
   * QMP_CLOSED, the signal's reason.
   */
  waitEvent(match: EventMatch, options: WaitEventOptions = {}): Promise<QmpEvent> {
    return this.#log.wait(match, options);
  }

  /** Every event from `since` (default: this call) on; throws the connection's end. */
  events(options: { since?: number; signal?: AbortSignal } = {}): AsyncIterable<QmpEvent> {
    return this.#log.read(options);
  }

  /** Ends the connection; commands without an answer get QMP_CLOSED. Resolves when the socket is closed. */
  async close(): Promise<void> {
    this.#finish(closedError(this.path, 'us'));
    if (this.#socket.closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#socket.destroy(), CLOSE_GRACE_MS);
      this.#socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #receive(chunk: Uint8Array): void {
    if (this.#end !== null) return;
    try {
      for (const { message, sizeBytes } of this.#lines.push(chunk)) this.#dispatch(message, sizeBytes);
    } catch (error) {
      this.#finish(
        error instanceof GodwitError ? error : protocolError('a QMP line cannot be handled', error),
      );
      this.#socket.destroy();
    }
  }

  #dispatch(message: JsonObject, sizeBytes: number): void {
    if ('event' in message) {
      const event = this.#log.push(message, this.#clock.nowMs(), sizeBytes);
      for (const listener of [...this.#listeners]) listener(event);
      return;
    }
    const request = typeof message.id === 'number' ? this.#sent.get(message.id) : undefined;
    if (request === undefined) throw protocolError('QEMU answered a command that was not sent');
    // Thrown before the request is taken out, so that the end of the connection still reaches its caller.
    const error = 'error' in message ? refusal(request.name, message.error) : null;
    if (error === null && !('return' in message)) {
      throw protocolError(`QEMU answered ${request.name} with neither a result nor an error`);
    }
    this.#sent.delete(request.id);
    if (error === null) request.settle?.resolve(message.return);
    else request.settle?.reject(error);
    this.#sendWaiting();
  }

  #sendWaiting(): void {
    let inBand = 0;
    for (const request of this.#sent.values()) if (!request.oob) inBand++;
    for (; inBand < IN_BAND_COMMANDS_MAX; inBand++) {
      const request = this.#waiting.shift();
      if (request === undefined) return;
      this.#send(request);
    }
  }

  #send(request: Request): void {
    this.#sent.set(request.id, request);
    this.#socket.write(request.line);
  }

  /** A command not sent yet is never sent; one that was sent keeps its id until QEMU answers it. */
  #forget(request: Request): void {
    const index = this.#waiting.indexOf(request);
    if (index >= 0) this.#waiting.splice(index, 1);
  }

  #finish(error: GodwitError): void {
    if (this.#end !== null) return;
    this.#end = error;
    const unanswered = [...this.#sent.values(), ...this.#waiting];
    this.#sent.clear();
    this.#waiting.length = 0;
    for (const request of unanswered) request.settle?.reject(error);
    this.#log.end(error);
    this.#socket.end();
    this.#reportClosed(error);
  }
}

function refusal(command: string, error: unknown): GodwitError {
  if (!isObject(error) || typeof error.class !== 'string' || typeof error.desc !== 'string') {
    throw protocolError(`QEMU refused ${command} without saying why`);
  }
  return commandError(command, error.class, error.desc.slice(0, 2000));
}
