/**
 * A live link: the session's driver. It moves bytes between transports and session, dials and redials, paces, and
 * hands messages to their owner one at a time per lane. Not responsible for the protocol (session.ts) nor for sockets (transports/).
 */

import { type Clock, errorCode, errorMessage, GodwitError, sleep, systemClock } from '../base/index.ts';
import { errorFrame } from './connection.ts';
import { linkError } from './errors.ts';
import { Greeter } from './greeter.ts';
import type { Capabilities } from './hello.ts';
import type { SessionStats } from './lane-state.ts';
import { type LinkEvent, type LinkOptions, withDialError } from './link-types.ts';
import type { Message } from './message.ts';
import { TokenBucket } from './rate.ts';
import { Session } from './session.ts';
import type { Dial, Transport, TransportHandlers } from './transport.ts';
import { Waiters } from './waiters.ts';
import { Wire } from './wire.ts';

/** With the same key, certificate or dead thread the next attempt ends the same way. */
const FATAL: ReadonlySet<string> = new Set(['LINK_TLS', 'LINK_WORKER']);
const TICK_MS = 250;
const REDIAL_DELAY_MS_MAX = 2000;
/** After everything was acknowledged only courtesy is left to wait for. */
const GOODBYE_MS_MAX = 2000;

export class Link {
  readonly #session: Session;
  readonly #options: LinkOptions;
  readonly #clock: Clock;
  readonly #wires: Wire[];
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
    this.#wires = Array.from({ length: options.laneCount }, () => new Wire());
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
  send(lane: number, message: Message, checksum?: number): void {
    this.#ended.signal.throwIfAborted();
    const known = message.kind === 'pages' && checksum !== undefined ? { ...message, checksum } : message;
    this.#session.send(lane, known, this.#clock.nowMs());
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
      () => this.#wires.every((_, lane) => this.#session.connectionState(lane) === 'open'),
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
      for (const wire of this.#wires) wire.transport?.write([errorFrame(reason.code, reason.message)]);
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
          this.#wires[lane]!.detach()?.destroy();
          this.#wires[lane]!.attach(transport);
          this.#write(lane, [welcome]);
          route(this.#handlers(lane, transport));
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
          this.#wires[lane]!.onLost = resolve;
        });
        this.#greet(lane, transport);
        // Only attempts that come to nothing make us slower.
        if (await lost) delayMs = delayMsMin;
      } catch (error) {
        this.#dialError = error;
        if (FATAL.has(errorCode(error))) return this.abort(error);
      }
      await sleep(delayMs, signal).catch(() => {});
      delayMs = Math.min(delayMs * 2, REDIAL_DELAY_MS_MAX);
    }
  }

  #greet(lane: number, transport: Transport): void {
    const hello = this.#session.dialled(lane, this.#clock.nowMs());
    this.#wires[lane]!.attach(transport);
    transport.open(this.#handlers(lane, transport));
    this.#write(lane, [hello]);
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
    // TLS 1.3: a server that does not like our certificate says so only after the client's handshake is over.
    if (FATAL.has(errorCode(error))) throw error;
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

  /** Writes what the session has for `lane` until the transport is full or the bandwidth limit says wait. */
  #pump(lane: number): void {
    const wire = this.#wires[lane]!;
    while (wire.writable) {
      const nowMs = this.#clock.nowMs();
      const waitMs = this.#bucket.waitMs(nowMs);
      const chunks = this.#session.nextOutput(lane, nowMs, waitMs === 0);
      if (chunks === null) {
        if (waitMs > 0 && this.#session.hasBulk(lane)) this.#wake(lane, 'pace', waitMs);
        break;
      }
      this.#write(lane, chunks);
    }
    const ackDueMs = this.#session.ackDueMs(lane);
    if (ackDueMs !== null && wire.transport !== null) this.#wake(lane, 'ack', ackDueMs - this.#clock.nowMs());
  }

  #write(lane: number, chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) this.#bucket.take(chunk.length);
    this.#wires[lane]!.write(chunks);
  }

  #wake(lane: number, why: 'pace' | 'ack', waitMs: number): void {
    this.#wires[lane]!.wake(why, waitMs, () => this.#guard(() => this.#pump(lane)));
  }

  #onTick(): void {
    for (const lane of this.#session.silentLanes(this.#clock.nowMs()))
      this.#lose(lane, 'silent for too long');
    this.#pumpAll();
  }

  /** After anything changed: wakes those who wait, and ends when GOODBYE went both ways on every lane. */
  #settle(): void {
    this.#waiters.check();
    if (this.#wires.every((_, lane) => this.#session.finished(lane))) this.#end(null);
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
    for (const wire of this.#wires) wire.close();
    this.#waiters.fail(reason);
    this.#resolveClosed(error);
  }

  #event(event: LinkEvent): void {
    this.#options.onEvent?.(event);
  }
}
