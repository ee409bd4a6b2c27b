/**
 * One lane: numbering, resend buffer, credit and inbox of both directions, over any number of connections
 * (docs/format/link.md, 1 to 4). Pure. Not responsible for connections, greetings and barriers: session.ts.
 */

import { assert } from '../base/index.ts';
import { linkError } from './errors.ts';
import { encodeFrameHeader, FRAME_HEADER_BYTES, type Frame } from './frame.ts';
import type { Acknowledgement } from './hello.ts';
import type { LinkLimits } from './limits.ts';

interface Pending {
  readonly sequence: number;
  readonly chunks: readonly [header: Uint8Array, payload: Uint8Array];
  readonly sizeBytes: number;
  /** Bytes of this lane up to and including this frame, for the credit. */
  readonly endOffset: number;
  readonly onArrived: (() => void) | null;
  written: boolean;
}

/** What the sender knows of a payload. */
interface Known {
  readonly checksum?: number;
  readonly onArrived?: () => void;
}

export interface LaneStats {
  /** Lane frames handed to a connection, first time and again. */
  readonly sentBytes: number;
  readonly resentBytes: number;
  readonly acknowledgedBytes: number;
  readonly receivedBytes: number;
  /** Waiting to be sent or acknowledged. */
  readonly bufferedBytes: number;
}

/** More received bytes than this are acknowledged at once; fewer wait for more. */
const ACK_BYTES = 256 * 1024;

export class Lane {
  readonly index: number;
  readonly #limits: LinkLimits;

  #sequenceLast = 0;
  #endOffset = 0;
  #pending: Pending[] = [];
  #cursor = 0;
  #bufferedBytes = 0;
  #acknowledged = 0;
  #acknowledgedBytes = 0;
  #peerCredit = 0;
  #sentBytes = 0;
  #resentBytes = 0;

  #received = 0;
  #receivedBytes = 0;
  #consumedBytes = 0;
  #grantedCredit: number;
  #unacknowledgedBytes = 0;
  #ackSinceMs: number | null = null;
  #inbox: Frame[] = [];
  #inboxHead = 0;

  constructor(index: number, limits: LinkLimits) {
    this.index = index;
    this.#limits = limits;
    this.#grantedCredit = limits.windowBytes;
  }

  // Sending

  /** What `enqueue` still takes. Never negative; a single frame may overrun it once. */
  capacityBytes(): number {
    return Math.max(0, this.#limits.resendBytesMax - this.#bufferedBytes);
  }

  get idle(): boolean {
    return this.#pending.length === 0;
  }

  enqueue(type: number, payload: Uint8Array, known: Known): void {
    const sequence = ++this.#sequenceLast;
    const header = encodeFrameHeader({
      type,
      sequence,
      payload,
      ...(known.checksum === undefined ? {} : { payloadCheck: known.checksum }),
    });
    const sizeBytes = FRAME_HEADER_BYTES + payload.length;
    this.#endOffset += sizeBytes;
    this.#bufferedBytes += sizeBytes;
    this.#pending.push({
      sequence,
      chunks: [header, payload],
      sizeBytes,
      endOffset: this.#endOffset,
      onArrived: known.onArrived ?? null,
      written: false,
    });
  }

  /**
   * The next frame that this connection has not carried and for which the other end has room; null if there
   * is none.
   */
  nextFrame(): Pending | null {
    const frame = this.#pending[this.#cursor];
    if (frame === undefined || frame.endOffset > this.#peerCredit) return null;
    this.#cursor++;
    if (frame.written) this.#resentBytes += frame.sizeBytes;
    frame.written = true;
    this.#sentBytes += frame.sizeBytes;
    return frame;
  }

  acknowledge(ack: Acknowledgement): void {
    this.#checkAck(ack);
    const count = ack.received - this.#acknowledged;
    let bytes = 0;
    for (let index = 0; index < count; index++) bytes += this.#pending[index]!.sizeBytes;
    const arrived = this.#pending.splice(0, count);
    this.#cursor -= count;
    this.#bufferedBytes -= bytes;
    this.#acknowledgedBytes += bytes;
    this.#acknowledged = ack.received;
    this.#peerCredit = ack.creditBytes;
    for (const { onArrived } of arrived) onArrived?.();
  }

  #checkAck(ack: Acknowledgement): void {
    const sent = this.#acknowledged + this.#cursor;
    if (ack.received < this.#acknowledged || ack.received > sent || ack.creditBytes < this.#peerCredit) {
      throw linkError('LINK_ACK', `lane ${this.index} acknowledged ${ack.received}`, {
        fields: { lane: this.index, received: ack.received, acknowledged: this.#acknowledged, sent },
      });
    }
  }

  /** A new connection begins: what the other end has not received is sent again from the start. */
  resume(ack: Acknowledgement): void {
    const held = this.#sequenceLast - this.#pending.length;
    const everWritten = this.#pending.filter((frame) => frame.written).length;
    if (ack.received < held || ack.received > held + everWritten || ack.creditBytes < this.#peerCredit) {
      throw linkError('LINK_RESUME', `lane ${this.index} cannot go on after frame ${ack.received}`, {
        hint: 'the gateway at the other end lost its state; start the migration again',
        fields: { lane: this.index, received: ack.received, held, sent: held + everWritten },
      });
    }
    this.#cursor = everWritten;
    this.acknowledge(ack);
    this.#cursor = 0;
  }

  // Receiving

  acknowledgement(): Acknowledgement {
    return { received: this.#received, creditBytes: this.#grantedCredit };
  }

  /** As `acknowledgement`, and it counts as sent. */
  takeAcknowledgement(): Acknowledgement {
    this.#unacknowledgedBytes = 0;
    this.#ackSinceMs = null;
    this.#grantedCredit = this.#consumedBytes + this.#limits.windowBytes;
    return this.acknowledgement();
  }

  /** When an acknowledgement is due: a time at or before `nowMs` means now; null: nothing to acknowledge. */
  ackDueMs(): number | null {
    if (this.#ackSinceMs === null) return null;
    const bytesAtOnce = Math.min(ACK_BYTES, this.#limits.windowBytes / 4);
    return this.#unacknowledgedBytes >= bytesAtOnce
      ? this.#ackSinceMs
      : this.#ackSinceMs + this.#limits.ackDelayMs;
  }

  accept(frame: Frame, nowMs: number): void {
    if (frame.sequence !== this.#received + 1) {
      throw linkError(
        'LINK_SEQUENCE',
        `lane ${this.index}: frame ${frame.sequence} after ${this.#received}`,
        {
          fields: { lane: this.index, sequence: frame.sequence, received: this.#received },
        },
      );
    }
    const sizeBytes = FRAME_HEADER_BYTES + frame.payload.length;
    if (this.#receivedBytes + sizeBytes > this.#grantedCredit) {
      throw linkError('LINK_CREDIT', `lane ${this.index}: the other end sends more than the window`, {
        fields: { lane: this.index, windowBytes: this.#limits.windowBytes },
      });
    }
    this.#received = frame.sequence;
    this.#receivedBytes += sizeBytes;
    this.#noteAck(sizeBytes, nowMs);
    this.#inbox.push(frame);
  }

  peek(): Frame | null {
    return this.#inbox[this.#inboxHead] ?? null;
  }

  /** The owner is done with the frame at the head: its bytes become credit again. */
  consume(nowMs: number): Frame {
    const frame = this.#inbox[this.#inboxHead];
    assert(frame !== undefined, 'only a frame that is there is consumed');
    this.#inboxHead++;
    if (this.#inboxHead > 64 || this.#inboxHead === this.#inbox.length) {
      this.#inbox.splice(0, this.#inboxHead);
      this.#inboxHead = 0;
    }
    const sizeBytes = FRAME_HEADER_BYTES + frame.payload.length;
    this.#consumedBytes += sizeBytes;
    this.#noteAck(sizeBytes, nowMs);
    return frame;
  }

  #noteAck(bytes: number, nowMs: number): void {
    this.#unacknowledgedBytes += bytes;
    this.#ackSinceMs ??= nowMs;
  }

  stats(): LaneStats {
    return {
      sentBytes: this.#sentBytes,
      resentBytes: this.#resentBytes,
      acknowledgedBytes: this.#acknowledgedBytes,
      receivedBytes: this.#receivedBytes,
      bufferedBytes: this.#bufferedBytes,
    };
  }
}
