/**
 * Checks of the link's decoders for one seed: whatever arrives ends in a code of the link,
 * within its memory bounds.
 */

import assert from 'node:assert/strict';
import { errorCode, Prng } from '../../src/base/index.ts';
import { encodeFrame, FRAME, type Frame } from '../../src/link/frame.ts';
import { encodeAck, encodeToken } from '../../src/link/hello.ts';
import { FrameDecoder, type LinkRole, PAYLOAD_BYTES_MAX } from '../../src/link/index.ts';
import { decodeMessage } from '../../src/link/message.ts';
import { Session } from '../../src/link/session.ts';

const TYPES = Object.values(FRAME);

function randomBytes(prng: Prng, lengthMax: number): Buffer {
  const bytes = Buffer.alloc(prng.below(lengthMax + 1));
  for (let at = 0; at < bytes.length; at++) bytes[at] = prng.below(256);
  return bytes;
}

/** Frames that are well-formed outside and mostly nonsense inside, some of them damaged. */
export function hostileStream(prng: Prng): Buffer {
  const parts: Uint8Array[] = [];
  let sequence = 1;
  for (let count = 1 + prng.below(12); count > 0; count--) {
    const type = prng.unit() < 0.9 ? TYPES[prng.below(TYPES.length)]! : prng.below(256);
    const payload =
      type === FRAME.ACK && prng.unit() < 0.7
        ? encodeAck({ received: prng.below(3), creditBytes: prng.u32() })
        : type === FRAME.PING
          ? encodeToken(prng.u32())
          : randomBytes(prng, 80);
    const numbered = type >= 0x10 ? prng.unit() < 0.95 : prng.unit() < 0.05;
    const flags = prng.unit() < 0.9 ? 0 : prng.below(4);
    const frame = Buffer.from(encodeFrame({ type, flags, payload, sequence: numbered ? sequence++ : 0 }));
    if (prng.unit() < 0.1) frame[prng.below(frame.length)]! ^= 1 << prng.below(8);
    parts.push(prng.unit() < 0.05 ? frame.subarray(0, prng.below(frame.length)) : frame);
  }
  return Buffer.concat(parts);
}

interface Outcome {
  readonly frames: readonly string[];
  readonly code: string | null;
}

function decode(bytes: Buffer, chunkBytes: () => number): Outcome {
  const decoder = new FrameDecoder();
  decoder.payloadBytesMax = PAYLOAD_BYTES_MAX;
  const frames: string[] = [];
  try {
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + chunkBytes());
      decoder.push(bytes.subarray(at, end));
      at = end;
      for (let frame = decoder.next(); frame !== null; frame = decoder.next()) frames.push(describe(frame));
    }
    return { frames, code: null };
  } catch (error) {
    return { frames, code: errorCode(error) };
  }
}

function describe(frame: Frame): string {
  return `${frame.type}/${frame.flags}/${frame.sequence}/${Buffer.from(frame.payload).toString('hex')}`;
}

/** The frame decoder: only our codes, and the same frames and code in any chunking. */
export function checkFrames(seed: number): void {
  const prng = new Prng(seed);
  checkFrameBytes(prng.unit() < 0.2 ? randomBytes(prng, 400) : hostileStream(prng), prng);
}

export function checkFrameBytes(bytes: Buffer, prng: Prng): void {
  const whole = decode(bytes, () => bytes.length);
  assert.match(whole.code ?? 'LINK_', /^LINK_/);
  assert.deepEqual(
    decode(bytes, () => 1),
    whole,
  );
  assert.deepEqual(
    decode(bytes, () => 1 + prng.below(40)),
    whole,
  );
}

/** Each message decoder on nonsense: a message or LINK_MESSAGE. */
export function checkMessages(seed: number): void {
  const prng = new Prng(seed);
  for (const type of TYPES) {
    try {
      decodeMessage(type, randomBytes(prng, 60), 0);
    } catch (error) {
      assert.equal(errorCode(error), 'LINK_MESSAGE');
    }
  }
}

function connectedPair(): { source: Session; destination: Session } {
  const make = (role: LinkRole) =>
    new Session(
      {
        migrationId: new Uint8Array(16),
        laneCount: 1,
        capabilities: { role, codecMask: 1, pageSizeBytes: 4096 },
      },
      0,
    );
  const source = make('source');
  const destination = make('destination');
  const decoder = new FrameDecoder();
  decoder.push(source.dialled(0, 0));
  source.receive(0, destination.accepted(decoder.next()!, decoder, 0).welcome, 0);
  return { source, destination };
}

/**
 * An open connection on either side: what is queued stays within the window, and every end has
 * a code of ours.
 */
export function checkSession(seed: number): void {
  const prng = new Prng(seed);
  checkSessionBytes(hostileStream(prng), prng.unit() < 0.5 ? 'source' : 'destination');
}

export function checkSessionBytes(bytes: Buffer, role: LinkRole): void {
  const session = connectedPair()[role];
  try {
    session.receive(0, bytes, 0);
    for (let message = session.takeMessage(0, 0); message !== null; message = session.takeMessage(0, 0)) {
      session.consumed(0, 0);
    }
    for (let round = 0; round < 50 && session.nextOutput(0, 1000) !== null; round++);
    assert.equal(session.nextOutput(0, 1000), null, 'it answers with a bounded number of frames');
  } catch (error) {
    assert.match(errorCode(error), /^[A-Z][A-Z0-9_]*$/);
    assert.notEqual(errorCode(error), 'ASSERTION');
    assert.notEqual(errorCode(error), 'ERR_ASSERTION');
  }
}
