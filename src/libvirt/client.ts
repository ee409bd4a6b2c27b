/**
 * One connection to a libvirt daemon: calls with deadlines, events, keepalive. Not responsible for opening it
 * (connect.ts) or for what a call means (procedures-*.ts). A call that was sent and not answered ends as
 * LIBVIRT_UNANSWERED, never as a failure: whether it was carried out is not known.
 */

import type { Duplex } from 'node:stream';
import type { GodwitError } from '../base/index.ts';
import {
  closedError,
  faultError,
  protocolError,
  queueFullError,
  type UnansweredWhy,
  unansweredError,
} from './errors.ts';
import {
  encodeFrame,
  type Frame,
  FrameReader,
  type FrameType,
  KEEPALIVE_PROGRAM,
  PROGRAM_VERSION,
  REMOTE_PROGRAM,
} from './frame.ts';
import { HEARD, KEEPALIVE, type KeepaliveRule, type KeepaliveState, keepaliveTick } from './keepalive.ts';
import type { Procedure } from './procedure.ts';
import { remoteError } from './remote-error.ts';
import { XdrReader, XdrWriter } from './xdr.ts';

const CALL_TIMEOUT_MS = 30_000;
/**
 * A daemon stops reading from a client with 5 calls under way (max_client_requests in libvirtd.conf),
 * keepalives included; a Perform is one of them for minutes.
 */
export const CALLS_SENT_MAX = 4;
export const CALLS_WAITING_MAX = 1024;
const PING = 1;
const PONG = 2;
const TIMER_MS_MAX = 2 ** 31 - 1;
const CLOSE_GRACE_MS = 500;

export interface CallOptions {
  /** null waits without end (a Perform lasts as long as the migration). Default: CALL_TIMEOUT_MS. */
  readonly timeoutMs?: number | null;
  /** Gives up waiting, like a deadline; what libvirt does about the call is not known then. */
  readonly signal?: AbortSignal;
}

interface Call {
  readonly procedure: number;
  readonly name: string;
  readonly frame: Buffer;
  readonly answer: (reply: Frame) => void;
  readonly fail: (error: unknown) => void;
}

type MessageListener = (payload: Uint8Array) => void;

/** Whatever a call can be put to. */
export type LibvirtCaller = Pick<LibvirtClient, 'call'>;

export class LibvirtClient {
  /** How the other end is named in errors. */
  readonly peer: string;
  /** Resolves when the connection has ended, with why. Never rejects. */
  readonly closed: Promise<GodwitError>;

  readonly #stream: Duplex;
  readonly #frames = new FrameReader();
  readonly #sent = new Map<number, Call>();
  readonly #waiting: (readonly [number, Call])[] = [];
  readonly #listeners = new Map<number, Set<MessageListener>>();
  readonly #reportClosed: (error: GodwitError) => void;
  #serial = 0;
  #end: GodwitError | null = null;
  #keepalive: KeepaliveState = HEARD;
  #timer: NodeJS.Timeout | null = null;

  /** Use connectLibvirt instead, which also authenticates. */
  constructor(stream: Duplex, peer: string) {
    this.#stream = stream;
    this.peer = peer;
    const { promise, resolve } = Promise.withResolvers<GodwitError>();
    this.closed = promise;
    this.#reportClosed = resolve;
    stream.on('data', (chunk: Uint8Array) => this.#receive(chunk));
    stream.on('error', (error) => this.#finish('closed', error.message, error));
    stream.on('close', () => this.#finish('closed', 'the daemon or what leads to it has ended'));
    stream.on('end', () => this.#finish('closed', 'the daemon has closed it'));
  }

  get isOpen(): boolean {
    return this.#end === null;
  }

  /**
   * Errors: LIBVIRT_CALL (libvirt's refusal), LIBVIRT_UNANSWERED (sent, outcome unknown), LIBVIRT_CLOSED and
   * LIBVIRT_QUEUE_FULL (never sent), LIBVIRT_PROTOCOL, before it is sent the signal's reason.
   */
  call<Args, Result>(
    procedure: Procedure<Args, Result>,
    args: Args,
    options: CallOptions = {},
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      options.signal?.throwIfAborted();
      if (this.#end !== null) throw closedError(this.peer, this.#end.message, this.#end);
      if (this.#waiting.length >= CALLS_WAITING_MAX) throw queueFullError(procedure.name, CALLS_WAITING_MAX);
      const writer = new XdrWriter();
      procedure.args.write(writer, args);
      const { timeoutMs = CALL_TIMEOUT_MS, signal } = options;
      const serial = ++this.#serial;
      const giveUp = (cause?: unknown) => {
        settled();
        reject(
          this.#unsend(serial)
            ? closedError(this.peer, `${procedure.name} was given up before its turn`, cause)
            : unansweredError(this.peer, procedure.name, 'deadline', cause),
        );
      };
      const onAbort = () => giveUp(signal?.reason);
      const timer = timeoutMs === null ? undefined : setTimeout(giveUp, Math.min(timeoutMs, TIMER_MS_MAX));
      const settled = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push([
        serial,
        {
          procedure: procedure.number,
          name: procedure.name,
          frame: this.#frame(REMOTE_PROGRAM, procedure.number, 'call', serial, writer.bytes),
          answer: (reply) => {
            const result = this.#resultOf(procedure, reply);
            settled();
            if (result.ok) resolve(result.value);
            else reject(result.error);
          },
          fail: (error) => {
            settled();
            reject(error);
          },
        },
      ]);
      this.#sendWaiting();
    });
  }

  /** Calls `listener` with each message of that number; returns what ends that. */
  onMessage(number: number, listener: MessageListener): () => void {
    const listeners = this.#listeners.get(number) ?? new Set();
    this.#listeners.set(number, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** From now on a daemon that says nothing is asked, and given up when it does not answer. */
  startKeepalive(rule: KeepaliveRule = KEEPALIVE): void {
    if (this.#timer !== null || this.#end !== null) return;
    this.#timer = setInterval(() => {
      const { state, act } = keepaliveTick(this.#keepalive, rule);
      this.#keepalive = state;
      if (act === 'ask') {
        this.#stream.write(this.#frame(KEEPALIVE_PROGRAM, PING, 'message', 0, new Uint8Array()));
      } else if (act === 'give-up') {
        this.#finish('silent', `no word for ${rule.intervalMs * (rule.questionsMax + 1)} ms`);
      }
    }, rule.intervalMs);
  }

  /** Ends the connection without a farewell; what is unanswered stays unknown. */
  async close(): Promise<void> {
    this.#finish('closed', 'godwit has closed it');
    if (this.#stream.closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#stream.destroy(), CLOSE_GRACE_MS);
      this.#stream.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #frame(program: number, procedure: number, type: FrameType, serial: number, payload: Uint8Array): Buffer {
    return encodeFrame({ program, version: PROGRAM_VERSION, procedure, type, serial, status: 'ok', payload });
  }

  #sendWaiting(): void {
    while (this.#sent.size < CALLS_SENT_MAX) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#sent.set(...next);
      this.#stream.write(next[1].frame);
    }
  }

  /**
   * True if the call was not sent yet and now never will be. One that was sent keeps its place until it is
   * answered.
   */
  #unsend(serial: number): boolean {
    const index = this.#waiting.findIndex(([number]) => number === serial);
    if (index >= 0) this.#waiting.splice(index, 1);
    return index >= 0;
  }

  #receive(chunk: Uint8Array): void {
    if (this.#end !== null) return;
    this.#keepalive = HEARD;
    try {
      for (const frame of this.#frames.push(chunk)) {
        this.#dispatch(frame);
        if (this.#end !== null) return;
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#finish('closed', why, error);
    }
  }

  #dispatch(frame: Frame): void {
    if (frame.version !== PROGRAM_VERSION) throw protocolError('1', `program version ${frame.version}`);
    if (frame.program === KEEPALIVE_PROGRAM) this.#answerKeepalive(frame);
    else if (frame.program !== REMOTE_PROGRAM) throw protocolError('1', `program ${frame.program}`);
    else if (frame.type === 'reply') this.#answerCall(frame);
    else if (frame.type === 'message') {
      for (const listener of [...(this.#listeners.get(frame.procedure) ?? [])]) listener(frame.payload);
    } else throw protocolError('1', `a frame of type ${frame.type}, which nobody asked for`);
  }

  #answerKeepalive({ type, procedure }: Frame): void {
    if (type !== 'message' || (procedure !== PING && procedure !== PONG)) {
      throw protocolError('4', `keepalive ${procedure} of type ${type}`);
    }
    if (procedure === PING) {
      this.#stream.write(this.#frame(KEEPALIVE_PROGRAM, PONG, 'message', 0, new Uint8Array()));
    }
  }

  #answerCall(frame: Frame): void {
    const call = this.#sent.get(frame.serial);
    if (call === undefined || call.procedure !== frame.procedure) {
      throw protocolError(
        '1',
        `an answer to call ${frame.serial}, procedure ${frame.procedure}, which was not made`,
      );
    }
    // An answer that cannot be read throws before the call is taken out, so that its caller hears that it is
    // unanswered.
    call.answer(frame);
    this.#sent.delete(frame.serial);
    this.#sendWaiting();
  }

  #resultOf<Args, Result>(
    procedure: Procedure<Args, Result>,
    { status, payload }: Frame,
  ): { readonly ok: true; readonly value: Result } | { readonly ok: false; readonly error: GodwitError } {
    const reader = new XdrReader(payload);
    if (status === 'continue') throw protocolError('1', 'an answer with the status "continue"');
    if (status === 'error') {
      const fault = remoteError.read(reader);
      reader.end();
      return { ok: false, error: faultError(this.peer, procedure.name, fault) };
    }
    const value = procedure.result.read(reader);
    reader.end();
    return { ok: true, value };
  }

  #finish(how: UnansweredWhy, why: string, cause?: unknown): void {
    if (this.#end !== null) return;
    if (this.#timer !== null) clearInterval(this.#timer);
    const end = closedError(this.peer, why, cause);
    this.#end = end;
    const unanswered = [...this.#sent.values()];
    const unsent = this.#waiting.splice(0);
    this.#sent.clear();
    for (const call of unanswered) call.fail(unansweredError(this.peer, call.name, how, end));
    for (const [, call] of unsent) call.fail(end);
    if (how === 'closed') this.#stream.end();
    else this.#stream.destroy();
    this.#reportClosed(end);
  }
}
