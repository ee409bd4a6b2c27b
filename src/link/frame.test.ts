import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { errorCode } from '../base/index.ts';
import {
  encodeFrame,
  encodeFrameHeader,
  FRAME,
  FRAME_HEADER_BYTES,
  type Frame,
  FrameDecoder,
} from './frame.ts';
import { type Capabilities, decodeHello, decodeRefusal, encodeHello, encodeRefusal } from './hello.ts';
import { PAYLOAD_BYTES_MAX } from './limits.ts';
import { checkPlace, decodeMessage, encodeMessage, type Message } from './message.ts';

/** The whole input at once, by the book and without a state: the decoder's naive twin. */
function readAll(bytes: Buffer): { type: number; sequence: number; payload: Buffer }[] {
  const frames: { type: number; sequence: number; payload: Buffer }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at + 4);
    frames.push({
      type: bytes[at + 2]!,
      sequence: Number(bytes.readBigUInt64BE(at + 8)),
      payload: bytes.subarray(at + 24, at + 24 + length),
    });
    at += 24 + length;
  }
  return frames;
}

function decodeCut(bytes: Uint8Array, cuts: readonly number[], lengthMax = PAYLOAD_BYTES_MAX): Frame[] {
  const decoder = new FrameDecoder();
  decoder.payloadBytesMax = lengthMax;
  const frames: Frame[] = [];
  let at = 0;
  for (const cut of [
    ...cuts.map((share) => Math.floor(share * bytes.length)).sort((a, b) => a - b),
    bytes.length,
  ]) {
    decoder.push(bytes.subarray(at, cut));
    at = cut;
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) frames.push(frame);
  }
  assert.equal(decoder.midFrame, false);
  return frames;
}

const frameFields = fc.record({
  type: fc.constantFrom(FRAME.PAGES, FRAME.TAIL, FRAME.CONTROL),
  sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  payload: fc.uint8Array({ maxLength: 6000 }),
});

test('frames survive any cut of the stream, as the naive reader sees them', () => {
  fc.assert(
    fc.property(
      fc.array(frameFields, { maxLength: 8 }),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true })),
      (all, cuts) => {
        const bytes = Buffer.concat(all.map((fields) => encodeFrame(fields)));
        const naive = readAll(bytes);
        const frames = decodeCut(bytes, cuts);
        assert.equal(frames.length, all.length);
        for (const [index, frame] of frames.entries()) {
          assert.equal(frame.type, naive[index]!.type);
          assert.equal(frame.sequence, naive[index]!.sequence);
          assert.ok(naive[index]!.payload.equals(frame.payload));
          assert.deepEqual(Buffer.from(frame.payload), Buffer.from(all[index]!.payload));
        }
      },
    ),
  );
});

test('every flipped bit of a frame is found, by the rule that names it', () => {
  const good = encodeFrame({ type: FRAME.CONTROL, sequence: 7, payload: Buffer.from('hello, far side') });
  const codes = new Set<string>();
  for (let bit = 0; bit < good.length * 8; bit++) {
    const bad = Uint8Array.from(good);
    bad[bit >>> 3]! ^= 1 << (bit & 7);
    assert.throws(
      () => decodeCut(bad, []),
      (error) => {
        codes.add(errorCode(error));
        return errorCode(error).startsWith('LINK_FRAME_');
      },
    );
  }
  assert.deepEqual([...codes].sort(), ['LINK_FRAME_HEADER', 'LINK_FRAME_MAGIC', 'LINK_FRAME_PAYLOAD']);
});

test('a frame cut short at any byte is no frame and no error', () => {
  const good = encodeFrame({ type: FRAME.CONTROL, sequence: 7, payload: Buffer.from('hello') });
  for (let length = 0; length < good.length; length++) {
    const decoder = new FrameDecoder();
    decoder.push(good.subarray(0, length));
    assert.equal(decoder.next(), null);
    assert.equal(decoder.midFrame, length > 0);
  }
});

test('each header rule refuses with its code, however well the checksums fit', () => {
  const header = (fields: { type: number; flags?: number; sequence?: number; length?: number }) => {
    const bytes = Buffer.from(encodeFrameHeader({ ...fields, payload: new Uint8Array(fields.length ?? 0) }));
    return bytes;
  };
  const refused = (bytes: Uint8Array, lengthMax?: number) => {
    try {
      decodeCut(bytes, [], lengthMax);
      return null;
    } catch (error) {
      return errorCode(error);
    }
  };
  assert.equal(refused(header({ type: FRAME.CONTROL, sequence: 1, flags: 2 })), 'LINK_FRAME_FLAGS');
  assert.equal(refused(header({ type: 0x77, sequence: 1 })), 'LINK_FRAME_TYPE');
  assert.equal(refused(header({ type: 0x08, flags: 1 })), 'LINK_FRAME_TYPE');
  assert.equal(refused(header({ type: 0x77, sequence: 1, flags: 1 })), null, 'optional');
  assert.equal(refused(header({ type: FRAME.CONTROL })), 'LINK_SEQUENCE');
  assert.equal(refused(header({ type: FRAME.ACK, sequence: 1 })), 'LINK_SEQUENCE');
  assert.equal(refused(header({ type: FRAME.CONTROL, sequence: 2 ** 53 })), 'LINK_SEQUENCE');
  assert.equal(refused(header({ type: FRAME.HELLO, length: 5000 }), 4096), 'LINK_FRAME_LENGTH');
  assert.equal(
    refused(header({ type: FRAME.PAGES, sequence: 1, length: PAYLOAD_BYTES_MAX + 1 })),
    'LINK_FRAME_LENGTH',
  );
});

const capabilities: Capabilities = {
  role: 'source',
  codecMask: 1,
  pageSizeBytes: 4096,
};

test('HELLO round-trips; truncated or longer by a byte it is LINK_MESSAGE', () => {
  const version = { major: 1, minor: 0 };
  const hello = {
    version,
    migrationId: new Uint8Array(16).fill(3),
    lane: 2,
    laneCount: 4,
    epoch: 9,
    received: 2 ** 40,
    creditBytes: 2 ** 33,
    capabilities,
  };
  const bytes = encodeHello(hello);
  assert.deepEqual(decodeHello(bytes, version), hello);
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decodeHello(bytes.subarray(0, length), version), { code: 'LINK_MESSAGE' });
  }
  assert.throws(() => decodeHello(Buffer.concat([bytes, Buffer.alloc(1)]), version), {
    code: 'LINK_MESSAGE',
  });
  // An unknown capability is skipped; a repeated one is not.
  const more = (id: number) => {
    const longer = Buffer.concat([bytes, Buffer.from([0, id, 0, 1, 0])]);
    longer.writeUInt16BE(4, 44);
    return longer;
  };
  assert.deepEqual(decodeHello(more(99), version), hello);
  assert.throws(() => decodeHello(more(1), version), { code: 'LINK_MESSAGE' });
});

test('an ERROR cut inside a character stays readable', () => {
  const { code, text } = decodeRefusal(encodeRefusal({ code: 'not a code', text: 'é'.repeat(2000) }));
  assert.equal(code, 'INTERNAL');
  assert.match(text, /^é+$/);
});

const MESSAGES: Message[] = [
  {
    kind: 'layout',
    blocks: [
      { id: 'pc.ram', sizeBytes: 2 ** 40 },
      { id: '/rom@étc', sizeBytes: 4096 },
    ],
  },
  { kind: 'prologue', last: false, bytes: Buffer.from('QEVM') },
  { kind: 'pages', batch: Buffer.from([1, 2, 3]), checksum: 5 },
  { kind: 'barrier', id: 4 },
  { kind: 'barrier-done', id: 4 },
  { kind: 'tail', last: true, bytes: Buffer.alloc(0) },
  { kind: 'prepare', nonce: 5, pageCount: 2 ** 34, checksum: '00ff00000000abcd' },
  { kind: 'prepared', nonce: 5, pageCount: 2 ** 34, checksum: '00ff00000000abcd' },
  { kind: 'commit', nonce: 5 },
  { kind: 'abort', code: 'GATE_LOST', text: 'why' },
  { kind: 'return-path', bytes: Buffer.from([0, 2, 0, 4]) },
  { kind: 'control', text: '{"a":"✓"}' },
];

test('each message round-trips, and each prefix of it is refused or another message, never a crash', () => {
  const opaque = new Set(['pages', 'return-path', 'control', 'prologue', 'tail']);
  for (const message of MESSAGES) {
    const { type, payload } = encodeMessage(message);
    assert.deepEqual(decodeMessage(type, payload, 5), message);
    for (let length = 0; length < payload.length; length++) {
      try {
        decodeMessage(type, payload.subarray(0, length), 5);
        assert.ok(opaque.has(message.kind), `${message.kind} cut to ${length}`);
      } catch (error) {
        assert.equal(errorCode(error), 'LINK_MESSAGE');
      }
    }
    if (opaque.has(message.kind)) continue;
    assert.throws(() => decodeMessage(type, Buffer.concat([payload, Buffer.alloc(1)]), 5), {
      code: 'LINK_MESSAGE',
    });
  }
});

test('the destination may not send pages, nor anybody a tail on lane 1', () => {
  assert.throws(() => checkPlace('pages', 'destination', 0), { code: 'LINK_PROTOCOL' });
  assert.throws(() => checkPlace('tail', 'source', 1), { code: 'LINK_PROTOCOL' });
  checkPlace('pages', 'source', 1);
  assert.equal(FRAME_HEADER_BYTES, 24);
});
