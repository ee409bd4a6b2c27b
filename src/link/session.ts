/**
 * The link's state machine, both ends: bytes and times in, bytes and messages out (docs/format/link.md, 3 to
 * 5). Pure: no sockets, no timers. Not responsible for who may connect (identity.ts), for which message the
 * owner gets next (inbox.ts), for dialling (dialler.ts), nor for transports and timers (link.ts).
 *
 * A lane's connection:  down -> greeting (HELLO sent) -> open -> down ...
 *                       open -> finished (GOODBYE both ways)
 */

import { assert } from '../base/index.ts';
import {
  type ConnectedLane,
  isSilent,
  noteRoundTrip,
  type SessionStats,
  statsOf,
  unconnectedLane,
} from './connected-lane.ts';
import { type Connection, controlFrame, type Open, openConnection, throwRefusal } from './connection.ts';
import { linkError } from './errors.ts';
import { FRAME, FRAME_HEADER_BYTES, type Frame, FrameDecoder, isConnectionType } from './frame.ts';
import {
  type Capabilities,
  decodeAck,
  decodeToken,
  encodeAck,
  encodeToken,
  type Hello,
  type LinkRole,
  type ProtocolVersion,
} from './hello.ts';
import { Identity, type IdentityOptions } from './identity.ts';
import { Inbox } from './inbox.ts';
import { DEFAULT_LIMITS, type LinkLimits, PAYLOAD_BYTES_MAX } from './limits.ts';
import { checkPlace, encodeMessage, type Message } from './message.ts';
import { PayloadPool } from './payload-pool.ts';

export interface SessionOptions extends IdentityOptions {
  readonly limits?: Partial<LinkLimits>;
}

export class Session {
  readonly role: LinkRole;
  readonly limits: LinkLimits;
  readonly #identity: Identity;
  readonly #lanes: ConnectedLane[];
  readonly #pool: PayloadPool;
  readonly #inbox: Inbox;
  #peer: Hello | null = null;
  #barriersSent = 0;
  #finishing = false;

  constructor(options: SessionOptions, nowMs: number) {
    this.#identity = new Identity(options);
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    assert(
      this.limits.windowBytes >= PAYLOAD_BYTES_MAX + FRAME_HEADER_BYTES,
      'the window holds one largest frame at least',
    );
    this.#pool = new PayloadPool(this.limits.windowBytes);
    this.role = options.capabilities.role;
    const downSinceMs = this.role === 'source' ? nowMs : null;
    this.#lanes = Array.from({ length: options.laneCount }, (_, index) =>
      unconnectedLane(index, this.limits, downSinceMs),
    );
    const sender = this.role === 'source' ? 'destination' : 'source';
    this.#inbox = new Inbox(
      this.#lanes.map(({ lane }) => lane),
      sender,
      this.#pool,
    );
  }

  get laneCount(): number {
    return this.#identity.laneCount;
  }

  #state(lane: number): ConnectedLane {
    const state = this.#lanes[lane];
    assert(state !== undefined, `lane ${lane} exists`);
    return state;
  }

  /** What the other end said it can; null until the first connection is open. */
  get peer(): Capabilities | null {
    return this.#peer?.capabilities ?? null;
  }

  /** The version spoken; null until the first connection is open. */
  get spokenVersion(): ProtocolVersion | null {
    if (this.#peer === null) return null;
    const { major, minor } = this.#identity.version;
    return { major, minor: Math.min(minor, this.#peer.version.minor) };
  }

  connectionState(lane: number): Connection['state'] {
    return this.#state(lane).connection.state;
  }

  // Connections

  /** down -> greeting, at the source: a new connection of `lane` is there; its HELLO is the first output. */
  dialled(lane: number, nowMs: number): Uint8Array {
    const state = this.#state(lane);
    assert(this.role === 'source', 'the source dials');
    state.epoch++;
    const decoder = new FrameDecoder();
    state.connection = { state: 'greeting', sinceMs: nowMs, epoch: state.epoch, decoder };
    return this.#greeting(FRAME.HELLO, state);
  }

  /**
   * down | open -> open, at the destination: the first frame of a new connection and the decoder that read
   * it. Returns the lane and WELCOME. Errors: those of docs/format/link.md, 3; nothing changes then.
   */
  accepted(frame: Frame, decoder: FrameDecoder, nowMs: number): { lane: number; welcome: Uint8Array } {
    assert(this.role === 'destination', 'the destination accepts');
    if (frame.type !== FRAME.HELLO)
      throw linkError('LINK_PROTOCOL', `frame type ${frame.type} instead of HELLO`);
    const hello = this.#identity.read(frame);
    const state = this.#state(hello.lane);
    if (hello.epoch <= state.epoch || state.connection.state === 'finished') {
      throw linkError('LINK_EPOCH', `lane ${hello.lane}: epoch ${hello.epoch} was there before`, {
        hint: 'somebody may have recorded and replayed a connection',
        fields: { lane: hello.lane, epoch: hello.epoch, epochSeen: state.epoch },
      });
    }
    state.lane.resume(hello);
    state.epoch = hello.epoch;
    this.#open(state, hello, decoder, nowMs);
    return { lane: hello.lane, welcome: this.#greeting(FRAME.WELCOME, state) };
  }

  #greeting(type: number, { lane, epoch }: ConnectedLane): Uint8Array {
    return this.#identity.greeting(type, lane.index, epoch, lane.takeAcknowledgement());
  }

  #open(state: ConnectedLane, hello: Hello, decoder: FrameDecoder, nowMs: number): void {
    decoder.payloadBytesMax = PAYLOAD_BYTES_MAX;
    decoder.takeMemory = (length) => this.#pool.take(length);
    // The first connection of all starts the clock for the lanes that nobody has called yet.
    if (this.#peer === null) for (const other of this.#lanes) other.downSinceMs ??= nowMs;
    this.#peer = hello;
    state.downSinceMs = null;
    state.opened = true;
    state.connection = openConnection(state.epoch, decoder, nowMs);
  }

  /** greeting | open -> down: the connection of `lane` is gone. A finished lane stays finished. */
  lost(lane: number, nowMs: number): void {
    const state = this.#state(lane);
    const { connection } = state;
    if (connection.state === 'finished' || connection.state === 'down') return;
    const done = connection.state === 'open' && connection.goodbyeReceived && state.lane.idle;
    if (connection.state === 'open') state.downSinceMs = nowMs;
    state.connection = { state: done ? 'finished' : 'down' };
  }

  /** Bytes of `lane`'s connection. Errors end the whole link, except before it is open. */
  receive(lane: number, chunk: Uint8Array, nowMs: number): void {
    const state = this.#state(lane);
    const { connection } = state;
    if (connection.state !== 'greeting' && connection.state !== 'open') return;
    connection.decoder.push(chunk);
    this.drain(lane, nowMs);
  }

  /** Handles the frames that are in `lane`'s decoder already (after `accepted`). */
  drain(lane: number, nowMs: number): void {
    const state = this.#state(lane);
    for (;;) {
      const { connection } = state;
      if (connection.state !== 'greeting' && connection.state !== 'open') return;
      const frame = connection.decoder.next();
      if (frame === null) return;
      if (connection.state === 'greeting') this.#welcomed(state, connection.decoder, frame, nowMs);
      else this.#handle(state, connection, frame, nowMs);
    }
  }

  #welcomed(state: ConnectedLane, decoder: FrameDecoder, frame: Frame, nowMs: number): void {
    if (frame.type === FRAME.ERROR) throwRefusal(frame);
    if (frame.type !== FRAME.WELCOME) {
      throw linkError('LINK_PROTOCOL', `frame type ${frame.type} instead of WELCOME`);
    }
    const welcome = this.#identity.read(frame);
    if (welcome.lane !== state.lane.index || welcome.epoch !== state.epoch) {
      throw linkError('LINK_CONNECTION', `the answer names lane ${welcome.lane}, epoch ${welcome.epoch}`);
    }
    state.lane.resume(welcome);
    this.#open(state, welcome, decoder, nowMs);
  }

  #handle(state: ConnectedLane, connection: Open, frame: Frame, nowMs: number): void {
    connection.lastHeardMs = nowMs;
    if (connection.goodbyeReceived) throw linkError('LINK_PROTOCOL', 'a frame after GOODBYE');
    if (!isConnectionType(frame.type)) {
      state.lane.accept(frame, nowMs);
      return;
    }
    switch (frame.type) {
      case FRAME.ACK:
        state.lane.acknowledge(decodeAck(frame.payload));
        return;
      case FRAME.PING:
        // One answer is enough however many pings wait: the peer may not make us queue without bound.
        if (connection.control.length < 4)
          connection.control.push(controlFrame(FRAME.PONG, encodeToken(decodeToken(frame.payload))));
        return;
      case FRAME.PONG:
        this.#pong(state, connection, decodeToken(frame.payload), nowMs);
        return;
      case FRAME.ERROR:
        throwRefusal(frame);
        break;
      case FRAME.GOODBYE:
        if (frame.payload.length > 0) throw linkError('LINK_MESSAGE', 'GOODBYE with a payload');
        connection.goodbyeReceived = true;
        return;
      default:
        throw linkError('LINK_PROTOCOL', `frame type ${frame.type} on an open connection`);
    }
  }

  #pong(state: ConnectedLane, connection: Open, token: number, nowMs: number): void {
    if (token !== connection.pingToken) return;
    connection.pingToken = null;
    noteRoundTrip(state, token / 1000, nowMs);
  }

  // Messages

  capacityBytes(lane: number): number {
    return this.#state(lane).lane.capacityBytes();
  }

  /** Everything sent on every lane is known to have arrived. */
  get flushed(): boolean {
    return this.#lanes.every(({ lane }) => lane.idle);
  }

  /** Queues a message. Errors: LINK_PROTOCOL, LINK_FRAME_LENGTH. */
  send(lane: number, message: Message): void {
    checkPlace(message.kind, this.role, lane);
    if (this.#finishing) throw linkError('LINK_CLOSED', `${message.kind} after the end`);
    const { type, payload } = encodeMessage(message);
    const known = message.kind === 'pages' ? message : {};
    this.#state(lane).lane.enqueue(type, payload, known);
  }

  /** Queues a barrier on every lane; its BARRIER_DONE comes back as a message. Returns its id. */
  sendBarrier(): number {
    const id = ++this.#barriersSent;
    for (let lane = 0; lane < this.laneCount; lane++) this.send(lane, { kind: 'barrier', id });
    return id;
  }

  /**
   * The next message of `lane`; none while one is with the owner or a barrier holds the
   * lane. Answer with `consumed`.
   */
  takeMessage(lane: number, nowMs: number): Message | null {
    return this.#inbox.take(lane, nowMs);
  }

  /** The owner is done with the message it took from `lane`. */
  consumed(lane: number, nowMs: number): void {
    const barrier = this.#inbox.consumed(lane, nowMs);
    if (barrier !== null) this.send(0, { kind: 'barrier-done', id: barrier });
  }

  // Output and time

  /** The next chunks to write on `lane`'s connection, or null. Connection frames go first. */
  nextOutput(lane: number, nowMs: number): readonly Uint8Array[] | null {
    const state = this.#state(lane);
    const { connection } = state;
    if (connection.state !== 'open' || connection.goodbyeSent) return null;
    const ackDueMs = state.lane.ackDueMs();
    if (ackDueMs !== null && ackDueMs <= nowMs) {
      return [controlFrame(FRAME.ACK, encodeAck(state.lane.takeAcknowledgement()))];
    }
    const control = connection.control.shift();
    if (control !== undefined) return [control];
    if (connection.pingToken === null && connection.pingAtMs <= nowMs) {
      connection.pingToken = Math.round(nowMs * 1000);
      connection.pingAtMs = nowMs + this.limits.pingIntervalMs;
      return [controlFrame(FRAME.PING, encodeToken(connection.pingToken))];
    }
    const frame = state.lane.nextFrame();
    if (frame !== null) return frame.chunks;
    // GOODBYE says that nothing is missing, so it waits for the last acknowledgement in both directions.
    if ((this.#finishing || connection.goodbyeReceived) && state.lane.idle && ackDueMs === null) {
      connection.goodbyeSent = true;
      return [controlFrame(FRAME.GOODBYE, new Uint8Array(0))];
    }
    return null;
  }

  /**
   * When `lane` wants to be asked for output again although nothing arrives; null: not before something does.
   */
  ackDueMs(lane: number): number | null {
    return this.#state(lane).lane.ackDueMs();
  }

  /** From now on nothing is sent any more; GOODBYE follows the last acknowledgement. */
  finish(): void {
    this.#finishing = true;
  }

  /** GOODBYE went both ways on `lane`. */
  finished(lane: number): boolean {
    const { connection } = this.#state(lane);
    if (connection.state === 'finished') return true;
    return connection.state === 'open' && connection.goodbyeSent && connection.goodbyeReceived;
  }

  /** Lanes whose connection must be given up. Errors: LINK_TIMEOUT, when a lane was down too long. */
  silentLanes(nowMs: number): number[] {
    return this.#lanes.filter((state) => isSilent(state, nowMs, this.limits)).map(({ lane }) => lane.index);
  }

  stats(): SessionStats[] {
    return this.#lanes.map(statsOf);
  }
}
