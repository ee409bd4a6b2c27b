/**
 * What the other gateway sends: frames, the messages in them, the first frame of a
 * connection, an open connection.
 */

import assert from 'node:assert/strict';
import { Prng } from '../../../src/base/index.ts';
import { encodeFrame, FRAME, type Frame } from '../../../src/link/frame.ts';
import { decodeAck, decodeHello, decodeRefusal, decodeToken, encodeHello } from '../../../src/link/hello.ts';
import { FrameDecoder, PAYLOAD_BYTES_MAX } from '../../../src/link/index.ts';
import { PROTOCOL_MAJOR, PROTOCOL_MINOR } from '../../../src/link/limits.ts';
import { decodeMessage, encodeMessage } from '../../../src/link/message.ts';
import { Session } from '../../../src/link/session.ts';
import { checkFrameBytes, checkSessionBytes, hostileStream } from '../link-check.ts';
import { mutateBytes } from '../mutate.ts';
import type { FuzzTarget } from '../target.ts';

const VERSION = { major: PROTOCOL_MAJOR, minor: PROTOCOL_MINOR };
const CAPABILITIES = { codecMask: 1, pageSizeBytes: 4096 };
const FRAME_TYPES = Object.values(FRAME);

function framesOf(bytes: Uint8Array): Frame[] {
  const decoder = new FrameDecoder();
  decoder.payloadBytesMax = PAYLOAD_BYTES_MAX;
  const frames: Frame[] = [];
  try {
    decoder.push(Uint8Array.from(bytes));
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) {
      frames.push({ ...frame, payload: Uint8Array.from(frame.payload) });
    }
  } catch {
    // What follows a broken frame is lost.
  }
  return frames;
}

/**
 * One frame is changed inside and gets right checks again; without them nothing would come past the decoder.
 */
function mutateFrames(bytes: Uint8Array, prng: Prng): Uint8Array {
  const frames = framesOf(bytes);
  if (frames.length === 0 || prng.below(5) === 0) return mutateBytes(bytes, bytes, prng);
  const index = prng.below(frames.length);
  const frame = frames[index]!;
  const change = prng.below(6);
  if (change === 0) frames.splice(index, 1);
  else if (change === 1) frames.splice(index, 0, frame);
  else {
    const payload = mutateBytes(frame.payload, frames[prng.below(frames.length)]!.payload, prng);
    const type = prng.below(8) === 0 ? FRAME_TYPES[prng.below(FRAME_TYPES.length)]! : frame.type;
    const sequence = prng.below(8) === 0 ? prng.below(20) : frame.sequence;
    frames[index] = { ...frame, type, sequence, payload };
  }
  return Buffer.concat(frames.map((one) => encodeFrame(one)));
}

const framed = { generate: hostileStream, mutate: mutateFrames, inputBytesMax: 64 * 1024 };

export const linkFrames: FuzzTarget = {
  name: 'link-frames',
  codes: /^LINK_/,
  ...framed,
  run: (bytes) => checkFrameBytes(Buffer.from(bytes), new Prng(bytes.length)),
};

const MESSAGES = [
  encodeMessage({ kind: 'layout', blocks: [{ id: 'pc.ram', sizeBytes: 2 ** 30 }] }),
  encodeMessage({ kind: 'control', text: '{"a":1}' }),
  encodeMessage({ kind: 'return-path', bytes: Buffer.from([0, 7, 0, 0]) }),
  encodeMessage({ kind: 'abort', code: 'X_Y', text: 'why' }),
];

/** First byte: the type. What is read is written the same again. */
export const linkMessages: FuzzTarget = {
  name: 'link-messages',
  codes: /^LINK_/,
  inputBytesMax: 8192,
  seeds: () => MESSAGES.map(({ type, payload }) => Buffer.concat([Buffer.from([type]), payload])),
  generate: (prng) =>
    Uint8Array.from([
      FRAME_TYPES[prng.below(FRAME_TYPES.length)]!,
      ...Array.from({ length: prng.below(40) }, () => prng.below(256)),
    ]),
  run: (bytes) => {
    const payload = bytes.subarray(1);
    const decoders = [decodeAck, decodeToken, decodeRefusal];
    const type = bytes[0] ?? 0;
    if (type < 3) decoders[type]!(payload);
    const message = decodeMessage(type, payload, 0);
    if (message === null || message.kind === 'abort' || message.kind === 'control') return;
    const again = encodeMessage(message);
    assert.equal(again.type, type);
    assert.deepEqual(Buffer.from(again.payload), Buffer.from(payload));
  },
};

/** The first bytes that anybody can send to the port of a listener. */
export const linkGreeting: FuzzTarget = {
  name: 'link-greeting',
  codes: /^LINK_/,
  inputBytesMax: 8192,
  generate: (prng) =>
    encodeFrame({
      type: FRAME.HELLO,
      payload: encodeHello({
        version: { major: VERSION.major, minor: prng.below(4) },
        migrationId: new Uint8Array(16),
        lane: prng.below(3),
        laneCount: 2,
        epoch: 1 + prng.below(3),
        received: 0,
        creditBytes: prng.u32(),
        capabilities: { ...CAPABILITIES, role: 'source' },
      }),
    }),
  mutate: mutateFrames,
  run: (bytes) => {
    const session = new Session(
      {
        migrationId: new Uint8Array(16),
        laneCount: 2,
        capabilities: { ...CAPABILITIES, role: 'destination' },
      },
      0,
    );
    const decoder = new FrameDecoder();
    decoder.push(Uint8Array.from(bytes));
    const frame = decoder.next();
    if (frame === null) return;
    if (frame.type === FRAME.HELLO) decodeHello(frame.payload, VERSION);
    const { lane } = session.accepted(frame, decoder, 0);
    session.drain(lane, 0);
    for (
      let message = session.takeMessage(lane, 0);
      message !== null;
      message = session.takeMessage(lane, 0)
    ) {
      session.consumed(lane, 0);
    }
  },
};

export const linkSession: FuzzTarget = {
  name: 'link-session',
  codes: /^LINK_/,
  ...framed,
  run: (bytes) => {
    for (const role of ['source', 'destination'] as const) checkSessionBytes(Buffer.from(bytes), role);
  },
};
