/**
 * A live link: it joins the protocol (session.ts), the connections (dialler.ts, greeter.ts, wire.ts) and the
 * owner. It moves bytes between transports and session, and hands the owner one message a lane at a time. Not
 * responsible for the protocol's rules nor for sockets (transports/).
 */

import { type Clock, errorCode, errorMessage, GodwitError, sleep, systemClock } from '../base/index.ts';
import type { SessionStats } from './connected-lane.ts';
import { errorFrame } from './connection.ts';
import { Dialler, isHopeless } from './dialler.ts';
import { linkError } from './errors.ts';
import { Greeter } from './greeter.ts';
import type { Capabilities } from './hello.ts';
import type { Message } from './message.ts';
import { Session, type SessionOptions } from './session.ts';
import type { Dial, Transport, TransportHandlers } from './transport.ts';
import { Waiters } from './waiters.ts';
import { Wire } from './wire.ts';

/** How often silence is looked for and PINGs are sent that are due. */
const WATCH_MS = 250;
/**
 * How long `close` waits for the other end's GOODBYE. Everything was acknowledged before, so
 * nothing can be lost.
 */
const GOODBYE_MS_MAX = 2000;
/** Connections that may wait for their first frame: each lane's and its successor's, and a few strangers'. */
const STRANGERS_MAX = 8;

export type LinkEvent =
  | { readonly kind: 'connected'; readonly lane: number; readonly epoch: number; readonly transport: string }
  | { readonly kind: 'disconnected'; readonly lane: number; readonly reason: string }
  /** A connection was refused; the link goes on. */
  | { readonly kind: 'refused'; readonly code: string; readonly reason: string };

export interface LinkOptions extends SessionOptions {
  /**
   * A lane's next message comes when the promise for the one before has resolved. A rejection ends the link.
   */
  readonly onMessage: (message: Message, lane: number) => void | Promise<void>;
  readonly onEvent?: (event: LinkEvent) => void;
  /** Bytes of `lane` were acknowledged: its capacity has grown. */
  readonly onRoom?: (lane: number) => void;
  readonly clock?: Clock;
}

export class Link {
  readonly #session: Session;
  readonly #options: LinkOptions;
  readonly #clock: Clock;
  readonly #wires: Wire[];
  readonly #waiters = new Waiters();
  readonly #ended = new AbortController();
  readonly #greeter: Greeter;
  readonly #dialler: Dialler;
  readonly #watch: NodeJS.Timeout;
  #resolveClosed: (error: GodwitError | null) => void = () => {};
  #barrierDone = 0;
  /** Resolves when the link has ended: with null after GOODBYE, otherwise with the reason. Never rejects. */
  readonly closed: Promise<GodwitError | null>;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#session = new Session(options, this.#clock.nowMs());
    this.#wires = Array.from({ length: options.laneCount }, () => new Wire());
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    const { helloTimeoutMs, redialDelayMs } = this.#session.limits;
    this.#greeter = new Greeter(helloTimeoutMs, options.laneCount * 2 + STRANGERS_MAX);
    this.#dialler = new Dialler({
      redialDelayMs,
      signal: this.#ended.signal,
      isFinished: (lane) => this.#session.connectionState(lane) === 'finished',
      onTransport: (lane, transport) => this.#greet(lane, transport),
      onHopeless: (error) => this.abort(error),
    });
    this.#watch = setInterval(() => this.#guard(() => this.#lookForSilence()), WATCH_MS);
  }

  // For the owner

  get laneCount(): number {
    return this.#session.laneCount;
  }

  /** What the other end is capable of; null before the first connection. */
  get peer(): Capabilities | null {
    return this.#session.peer;
  }

  stats(): SessionStats[] {
    return this.#session.stats();
  }

  /** Bytes that may be sent on `lane` before its resend buffer is full. */
  capacityBytes(lane: number): number {
    return this.#session.capacityBytes(lane);
  }

  /**
   * Resolves when `lane` has room for `bytes`; where that is more than the whole buffer, when
   * the buffer is empty.
   */
  writable(lane: number, bytes: number, signal?: AbortSignal): Promise<void> {
    const enough = Math.min(bytes, this.#session.limits.resendBytesMax);
    return this.#waiters.until(() => this.#session.capacityBytes(lane) >= enough, signal);
  }

  /**
   * Queues a message without waiting: ask `capacityBytes` or `writable` before page batches. `checksum`:
   * CRC-32 of a page batch, where it is known.
   */
  send(lane: number, message: Message, checksum?: number): void {
    this.#ended.signal.throwIfAborted();
    const known = message.kind === 'pages' && checksum !== undefined ? { ...message, checksum } : message;
    this.#session.send(lane, known);
    this.#guard(() => this.#pump(lane));
  }

  /** Resolves when everything is acknowledged that was sent before the call or while it waits. */
  flush(signal?: AbortSignal): Promise<void> {
    return this.#waiters.until(() => this.#session.flushed, signal);
  }

  /** Resolves when the owner at the other end has handled everything that was sent before, on all lanes. */
  barrier(signal?: AbortSignal): Promise<void> {
    this.#ended.signal.throwIfAborted();
    const id = this.#session.sendBarrier();
    this.#guard(() => this.#pumpAll());
    return this.#waiters.until(() => this.#barrierDone >= id, signal);
  }

  /** Resolves when every lane has an open connection. */
  connected(signal?: AbortSignal): Promise<void> {
    return this.#waiters.until(
      () => this.#wires.every((_, lane) => this.#session.connectionState(lane) === 'open'),
      signal,
    );
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

  /** Ends the link now. The other end is told `error`'s code over each open connection. */
  abort(error: unknown): void {
    if (this.#ended.signal.aborted) return;
    const reason =
      error instanceof GodwitError
        ? error
        : new GodwitError(errorCode(error), errorMessage(error), { cause: error });
    if (reason.fields['fromPeer'] !== true) {
      for (const wire of this.#wires) wire.transport?.write([errorFrame(reason.code, reason.message)]);
    }
    this.#end(reason);
  }

  // Connections

  /**
   * At the destination: takes a connection that somebody opened. A connection that is refused causes
   * an event, no error.
   */
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
          this.#wires[lane]!.detach()?.destroy();
          this.#wires[lane]!.attach(transport);
          this.#wires[lane]!.write([welcome]);
          route(this.#handlers(lane, transport));
          this.#tellConnected(lane, transport);
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
    for (let lane = 0; lane < this.laneCount; lane++) void this.#dialler.keep(lane, dial);
  }

  /** Says HELLO on a connection that was just dialled. See DiallerOptions.onTransport. */
  #greet(lane: number, transport: Transport): Promise<boolean> {
    const wire = this.#wires[lane]!;
    const lost = new Promise<boolean>((resolve) => {
      wire.onLost = resolve;
    });
    const hello = this.#session.dialled(lane, this.#clock.nowMs());
    wire.attach(transport);
    transport.open(this.#handlers(lane, transport));
    wire.write([hello]);
    return lost;
  }

  #tellConnected(lane: number, { description }: Transport): void {
    this.#event({ kind: 'connected', lane, epoch: this.stats()[lane]!.epoch, transport: description });
  }

  #lose(lane: number, reason: string): void {
    const wasOpen = this.#session.connectionState(lane) === 'open';
    this.#wires[lane]!.detach()?.destroy();
    this.#session.lost(lane, this.#clock.nowMs());
    this.#event({ kind: 'disconnected', lane, reason });
    this.#wires[lane]!.tellLost(wasOpen);
    this.#settle();
  }

  #handlers(lane: number, transport: Transport): TransportHandlers {
    return {
      onData: (chunk) => this.#guard(() => this.#receive(lane, transport, chunk)),
      onWritable: () => this.#guard(() => this.#onWritable(lane, transport)),
      onClosed: (error) => this.#guard(() => this.#onClosed(lane, transport, error)),
    };
  }

  #onClosed(lane: number, transport: Transport, error: Error | null): void {
    if (this.#wires[lane]!.transport !== transport) return;
    // In TLS 1.3 a server refuses the client's certificate only after the client's handshake is over.
    if (isHopeless(error)) throw error;
    this.#lose(lane, error === null ? 'the other end closed it' : errorMessage(error));
  }

  #onWritable(lane: number, transport: Transport): void {
    const wire = this.#wires[lane]!;
    if (wire.transport !== transport) return;
    wire.writable = true;
    this.#pump(lane);
  }

  // Traffic

  #receive(lane: number, transport: Transport, chunk: Uint8Array): void {
    if (this.#wires[lane]!.transport !== transport) return;
    const before = this.#session.connectionState(lane);
    const capacityBytes = this.#session.capacityBytes(lane);
    this.#session.receive(lane, chunk, this.#clock.nowMs());
    if (this.#session.capacityBytes(lane) > capacityBytes) this.#options.onRoom?.(lane);
    if (before === 'greeting' && this.#session.connectionState(lane) === 'open') {
      this.#tellConnected(lane, transport);
    }
    this.#afterReceive(lane);
  }

  #afterReceive(lane: number): void {
    this.#deliver(lane);
    this.#pump(lane);
    this.#settle();
  }

  /** Hands the lane's messages to the owner until the owner is busy with one. */
  #deliver(lane: number): void {
    for (;;) {
      if (this.#ended.signal.aborted) return;
      const message = this.#session.takeMessage(lane, this.#clock.nowMs());
      // Lane 0 hands a barrier over once every lane has reached it, and this may be the last one.
      if (message === null) {
        if (lane !== 0) this.#deliver(0);
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

  /** Writes what the session has for `lane` until the transport is full. */
  #pump(lane: number): void {
    const wire = this.#wires[lane]!;
    while (wire.writable) {
      const chunks = this.#session.nextOutput(lane, this.#clock.nowMs());
      if (chunks === null) break;
      wire.write(chunks);
    }
    const ackDueMs = this.#session.ackDueMs(lane);
    if (ackDueMs === null || wire.transport === null) return;
    wire.acknowledgeIn(ackDueMs - this.#clock.nowMs(), () => this.#guard(() => this.#pump(lane)));
  }

  #lookForSilence(): void {
    for (const lane of this.#session.silentLanes(this.#clock.nowMs()))
      this.#lose(lane, 'silent for too long');
    this.#pumpAll();
  }

  /**
   * Called after every change: wakes those who wait, and ends the link once GOODBYE went both
   * ways on every lane.
   */
  #settle(): void {
    this.#waiters.check();
    if (this.#wires.every((_, lane) => this.#session.finished(lane))) this.#end(null);
  }

  // The end

  /** Runs `step`; what it throws ends the link. Nothing runs after the end. */
  #guard(step: () => void): void {
    if (this.#ended.signal.aborted) return;
    try {
      step();
    } catch (error) {
      this.abort(this.#dialler.explain(error));
    }
  }

  #end(error: GodwitError | null): void {
    if (this.#ended.signal.aborted) return;
    clearInterval(this.#watch);
    const reason = error ?? linkError('LINK_CLOSED', 'the link has ended');
    this.#ended.abort(reason);
    this.#greeter.close();
    for (const wire of this.#wires) wire.close();
    this.#waiters.fail(reason);
    this.#resolveClosed(error);
  }

  #event(event: LinkEvent): void {
    this.#options.onEvent?.(event);
  }
}
