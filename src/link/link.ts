/**
 * A live link: the session's driver. It moves bytes between transports and session, dials and redials, paces, and
 * hands messages to their owner one at a time per lane. Not responsible for the protocol (session.ts) nor for sockets (transports/).
 */

import {
  assert,
  type Clock,
  errorCode,
  errorMessage,
  GodwitError,
  sleep,
  systemClock,
} from '../base/index.ts';
import { linkError } from './errors.ts';
import { Greeter } from './greeter.ts';
import type { Capabilities } from './hello.ts';
import type { Message } from './message.ts';
import { TokenBucket } from './rate.ts';
import { errorFrame, Session, type SessionOptions, type SessionStats } from './session.ts';
import type { Dial, Transport } from './transport.ts';
import { Waiters } from './waiters.ts';

export type LinkEvent =
  | { readonly kind: 'connected'; readonly lane: number; readonly epoch: number; readonly transport: string }
  | { readonly kind: 'disconnected'; readonly lane: number; readonly reason: string }
  /** A connection was turned away; the link goes on. */
  | { readonly kind: 'refused'; readonly code: string; readonly reason: string };

export interface LinkOptions extends SessionOptions {
  /** One at a time per lane; the next one of the lane comes when the promise resolves. A rejection ends the link. */
  readonly onMessage: (message: Message, lane: number) => void | Promise<void>;
  readonly onEvent?: (event: LinkEvent) => void;
  readonly clock?: Clock;
}

interface Attachment {
  transport: Transport | null;
  writable: boolean;
  paceTimer: NodeJS.Timeout | null;
  ackTimer: NodeJS.Timeout | null;
  /** At the source: tells the dialling loop that the connection has ended, and whether it had been open. */
  onLost: ((wasOpen: boolean) => void) | null;
}

const TICK_MS = 250;
const REDIAL_DELAY_MS_MAX = 2000;
/** After everything was acknowledged only courtesy is left to wait for. */
const GOODBYE_MS_MAX = 2000;

export class Link {
  readonly #session: Session;
  readonly #options: LinkOptions;
  readonly #clock: Clock;
  readonly #attachments: Attachment[];
  readonly #bucket = new TokenBucket();
  readonly #waiters = new Waiters();
  readonly #ended = new AbortController();
  readonly #greeter: Greeter;
  readonly #tick: NodeJS.Timeout;
  #resolveClosed: (error: GodwitError | null) => void = () => {};
  #barrierDone = 0;
  #dialError: unknown = null;
  /** Resolves when the link has ended: null after GOODBYE, else why. Never rejects. */
  readonly closed: Promise<GodwitError | null>;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#session = new Session(options, this.#clock.nowMs());
    this.#attachments = Array.from({ length: options.laneCount }, () => ({
      transport: null,
      writable: false,
      paceTimer: null,
      ackTimer: null,
      onLost: null,
    }));
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#greeter = new Greeter(this.#session.limits.helloTimeoutMs, options.laneCount * 2 + 8);
    this.#tick = setInterval(() => this.#guard(() => this.#onTick()), TICK_MS);
  }

  // Owner's side

  get laneCount(): number {
    return this.#session.laneCount;
  }

  /** What the other end can; null before the first connection. */
  get peer(): Capabilities | null {
    return this.#session.peer;
  }

  stats(): SessionStats[] {
    return this.#session.stats();
  }

  /** Bytes that `lane` takes without queueing beyond its limit. */
  capacityBytes(lane: number): number {
    return this.#session.capacityBytes(lane);
  }

  /** Resolves when `lane` has room for `bytes` (or is empty, for more than it ever has). */
  writable(lane: number, bytes: number, signal?: AbortSignal): Promise<void> {
    const enough = Math.min(bytes, this.#session.limits.resendBytesMax);
    return this.#waiters.until(() => this.#session.capacityBytes(lane) >= enough, signal);
  }

  /** Queues a message. Does not wait: ask `capacityBytes` or `writable` before page batches. */
  send(lane: number, message: Message, payloadCheck?: number): void {
    this.#ended.signal.throwIfAborted();
    this.#session.send(lane, message, this.#clock.nowMs(), payloadCheck);
    this.#guard(() => this.#pump(lane));
  }

  /** Resolves when everything sent so far, and since, is known to have arrived. */
  flush(signal?: AbortSignal): Promise<void> {
    return this.#waiters.until(() => this.#session.flushed, signal);
  }

  /** Resolves when the other end's owner is done with everything sent before, on all lanes. */
  barrier(signal?: AbortSignal): Promise<void> {
    this.#ended.signal.throwIfAborted();
    const id = this.#session.sendBarrier(this.#clock.nowMs());
    this.#guard(() => this.#pumpAll());
    return this.#waiters.until(() => this.#barrierDone >= id, signal);
  }

  /** Resolves when every lane has an open connection. */
  connected(signal?: AbortSignal): Promise<void> {
    return this.#waiters.until(
      () => this.#attachments.every((_, lane) => this.#session.connectionState(lane) === 'open'),
      signal,
    );
  }

  /** Limits page and message traffic of all lanes together; null: no limit. */
  setBandwidth(bytesPerSecond: number | null): void {
    this.#bucket.setRate(bytesPerSecond, this.#clock.nowMs());
    this.#guard(() => this.#pumpAll());
  }

  /** How long a lane may be without connection from now on. */
  setLinkTimeoutMs(linkTimeoutMs: number): void {
    this.#session.setLinkTimeoutMs(linkTimeoutMs);
  }

  /** Sends what is queued, says GOODBYE, and resolves when the other end has it all. */
  async close(signal?: AbortSignal): Promise<void> {
    if (this.#ended.signal.aborted) return;
    await this.flush(signal);
    this.#session.finish();
    this.#guard(() => this.#pumpAll());
    await Promise.race([this.closed, sleep(GOODBYE_MS_MAX)]);
    this.#end(null);
  }

  /** Ends the link now; the other end learns `error`'s code where a connection is open. */
  abort(error: unknown): void {
    if (this.#ended.signal.aborted) return;
    const reason =
      error instanceof GodwitError
        ? error
        : new GodwitError(errorCode(error), errorMessage(error), { cause: error });
    if (reason.fields['fromPeer'] !== true) {
      for (const { transport } of this.#attachments) {
        transport?.write([errorFrame(reason.code, reason.message)]);
        transport?.end();
      }
    }
    this.#end(reason);
  }

  // Connections

  /** At the destination: a connection that somebody opened. A refusal is an event, not an error. */
  accept(transport: Transport): void {
    if (this.#ended.signal.aborted) {
      transport.destroy();
      return;
    }
    this.#greeter.greet(
      transport,
      (frame, decoder, route) => {
        try {
          const { lane, welcome } = this.#session.accepted(frame, decoder, this.#clock.nowMs());
          this.#detach(lane)?.destroy();
          this.#attach(lane, transport);
          this.#write(lane, [welcome]);
          route({
            onData: (chunk) => this.#guard(() => this.#receive(lane, transport, chunk)),
            onWritable: () => this.#guard(() => this.#onWritable(lane, transport)),
            onClosed: (error) => this.#guard(() => this.#onClosed(lane, transport, error)),
          });
          this.#event({
            kind: 'connected',
            lane,
            epoch: this.stats()[lane]!.epoch,
            transport: transport.description,
          });
          this.#guard(() => {
            this.#session.drain(lane, this.#clock.nowMs());
            this.#afterReceive(lane);
          });
        } catch (error) {
          this.#refuse(transport, error);
        }
      },
      (error) => this.#refuse(transport, error),
    );
  }

  #refuse(transport: Transport, error: unknown): void {
    this.#event({ kind: 'refused', code: errorCode(error), reason: errorMessage(error) });
    transport.write([errorFrame(errorCode(error), errorMessage(error))]);
    transport.end();
  }

  /** At the source: keeps a connection on every lane until the link ends. */
  dial(dial: Dial): void {
    for (let lane = 0; lane < this.laneCount; lane++) void this.#dialLoop(lane, dial);
  }

  async #dialLoop(lane: number, dial: Dial): Promise<void> {
    const { signal } = this.#ended;
    const delayMsMin = this.#session.limits.redialDelayMs;
    let delayMs = delayMsMin;
    while (!signal.aborted && this.#session.connectionState(lane) !== 'finished') {
      try {
        const transport = await dial(lane, signal);
        if (signal.aborted) return transport.destroy();
        const lost = new Promise<boolean>((resolve) => {
          this.#attachments[lane]!.onLost = resolve;
        });
        this.#greet(lane, transport);
        // Only attempts that come to nothing make us slower.
        if (await lost) delayMs = delayMsMin;
      } catch (error) {
        this.#dialError = error;
        if (errorCode(error) === 'LINK_TLS') return this.abort(error);
      }
      await sleep(delayMs, signal).catch(() => {});
      delayMs = Math.min(delayMs * 2, REDIAL_DELAY_MS_MAX);
    }
  }

  #greet(lane: number, transport: Transport): void {
    const hello = this.#session.dialled(lane, this.#clock.nowMs());
    this.#attach(lane, transport);
    transport.open({
      onData: (chunk) => this.#guard(() => this.#receive(lane, transport, chunk)),
      onWritable: () => this.#guard(() => this.#onWritable(lane, transport)),
      onClosed: (error) => this.#guard(() => this.#onClosed(lane, transport, error)),
    });
    this.#write(lane, [hello]);
  }

  #attach(lane: number, transport: Transport): void {
    const attachment = this.#attachments[lane]!;
    attachment.transport = transport;
    attachment.writable = true;
  }

  #detach(lane: number): Transport | null {
    const attachment = this.#attachments[lane]!;
    const { transport } = attachment;
    attachment.transport = null;
    attachment.writable = false;
    return transport;
  }

  #lose(lane: number, reason: string): void {
    const wasOpen = this.#session.connectionState(lane) === 'open';
    this.#detach(lane)?.destroy();
    this.#session.lost(lane, this.#clock.nowMs());
    this.#event({ kind: 'disconnected', lane, reason });
    const { onLost } = this.#attachments[lane]!;
    this.#attachments[lane]!.onLost = null;
    onLost?.(wasOpen);
    this.#settle();
  }

  #onClosed(lane: number, transport: Transport, error: Error | null): void {
    if (this.#attachments[lane]!.transport !== transport) return;
    // TLS 1.3: a server that does not like our certificate says so only after the client's handshake is over.
    if (errorCode(error) === 'LINK_TLS') throw error;
    this.#lose(lane, error === null ? 'the other end closed it' : errorMessage(error));
  }

  #onWritable(lane: number, transport: Transport): void {
    const attachment = this.#attachments[lane]!;
    if (attachment.transport !== transport) return;
    attachment.writable = true;
    this.#pump(lane);
  }

  // Traffic

  #receive(lane: number, transport: Transport, chunk: Uint8Array): void {
    if (this.#attachments[lane]!.transport !== transport) return;
    const before = this.#session.connectionState(lane);
    this.#session.receive(lane, chunk, this.#clock.nowMs());
    if (before === 'greeting' && this.#session.connectionState(lane) === 'open') {
      this.#event({
        kind: 'connected',
        lane,
        epoch: this.stats()[lane]!.epoch,
        transport: transport.description,
      });
    }
    this.#afterReceive(lane);
  }

  #afterReceive(lane: number): void {
    this.#deliver(lane);
    this.#pump(lane);
    this.#settle();
  }

  /** Hands messages over until the owner is busy with one. */
  #deliver(lane: number): void {
    for (;;) {
      if (this.#ended.signal.aborted) return;
      const message = this.#session.takeMessage(lane, this.#clock.nowMs());
      // The lane that reaches a barrier last frees the message of lane 0.
      if (message === null) {
        if (lane !== 0) return this.#deliver(0);
        return;
      }
      if (message.kind === 'barrier-done') this.#barrierDone = message.id;
      const working = message.kind === 'barrier-done' ? undefined : this.#options.onMessage(message, lane);
      if (working instanceof Promise) {
        working.then(
          () =>
            this.#guard(() => {
              this.#consumed(lane, message);
              this.#deliver(lane);
              this.#pump(lane);
            }),
          (error) => this.abort(error),
        );
        return;
      }
      this.#consumed(lane, message);
    }
  }

  #consumed(lane: number, message: Message): void {
    this.#session.consumed(lane, this.#clock.nowMs());
    if (message.kind !== 'barrier') return;
    for (let other = 1; other < this.laneCount; other++) {
      this.#deliver(other);
      this.#pump(other);
    }
    this.#pump(0);
  }

  #pumpAll(): void {
    for (let lane = 0; lane < this.laneCount; lane++) this.#pump(lane);
    this.#settle();
  }

  /** Writes what the session has for `lane` until the transport is full or the bandwidth limit says wait. */
  #pump(lane: number): void {
    const attachment = this.#attachments[lane]!;
    while (attachment.writable) {
      const nowMs = this.#clock.nowMs();
      const waitMs = this.#bucket.waitMs(nowMs);
      const chunks = this.#session.nextOutput(lane, nowMs, waitMs === 0);
      if (chunks === null) {
        if (waitMs > 0 && this.#session.hasBulk(lane)) this.#wakePump(lane, waitMs);
        break;
      }
      this.#write(lane, chunks);
    }
    this.#wakeAck(lane);
  }

  #write(lane: number, chunks: readonly Uint8Array[]): void {
    const attachment = this.#attachments[lane]!;
    assert(attachment.transport !== null, 'only an attached lane is written to');
    for (const chunk of chunks) this.#bucket.take(chunk.length);
    attachment.writable = attachment.transport.write(chunks);
  }

  #wakePump(lane: number, waitMs: number): void {
    const attachment = this.#attachments[lane]!;
    attachment.paceTimer ??= setTimeout(
      () => {
        attachment.paceTimer = null;
        this.#guard(() => this.#pump(lane));
      },
      Math.max(1, waitMs),
    );
  }

  #wakeAck(lane: number): void {
    const attachment = this.#attachments[lane]!;
    const dueMs = this.#session.ackDueMs(lane);
    if (dueMs === null || attachment.transport === null || attachment.ackTimer !== null) return;
    attachment.ackTimer = setTimeout(
      () => {
        attachment.ackTimer = null;
        this.#guard(() => this.#pump(lane));
      },
      Math.max(1, dueMs - this.#clock.nowMs()),
    );
  }

  #onTick(): void {
    for (const lane of this.#session.silentLanes(this.#clock.nowMs()))
      this.#lose(lane, 'silent for too long');
    this.#pumpAll();
  }

  /** After anything changed: wakes those who wait, and ends when GOODBYE went both ways on every lane. */
  #settle(): void {
    this.#waiters.check();
    if (this.#attachments.every((_, lane) => this.#session.finished(lane))) this.#end(null);
  }

  // The end

  #guard(step: () => void): void {
    if (this.#ended.signal.aborted) return;
    try {
      step();
    } catch (error) {
      this.abort(withDialError(error, this.#dialError));
    }
  }

  #end(error: GodwitError | null): void {
    if (this.#ended.signal.aborted) return;
    clearInterval(this.#tick);
    const reason = error ?? linkError('LINK_CLOSED', 'the link has ended');
    this.#ended.abort(reason);
    this.#greeter.close();
    for (const attachment of this.#attachments) {
      if (attachment.paceTimer) clearTimeout(attachment.paceTimer);
      if (attachment.ackTimer) clearTimeout(attachment.ackTimer);
      attachment.transport?.end();
      attachment.onLost?.(false);
    }
    this.#waiters.fail(reason);
    this.#resolveClosed(error);
  }

  #event(event: LinkEvent): void {
    this.#options.onEvent?.(event);
  }
}

/** A time-out says nothing of why; the last failure to connect does. */
function withDialError(error: unknown, dialError: unknown): unknown {
  if (!(error instanceof GodwitError) || error.code !== 'LINK_TIMEOUT' || dialError === null) return error;
  return new GodwitError(error.code, `${error.message} (${errorMessage(dialError)})`, {
    ...(error.safe === null ? {} : { safe: error.safe }),
    ...(error.hint === null ? {} : { hint: error.hint }),
    fields: error.fields,
    cause: dialError,
  });
}
