import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { errorCode } from '../base/index.ts';
import { encodeFrame, FRAME, FrameDecoder } from './frame.ts';
import { type Capabilities, encodeAck, encodeHello, encodeToken, type LinkRole } from './hello.ts';
import { PAYLOAD_BYTES_MAX } from './limits.ts';
import { Session } from './session.ts';

const migrationId = new Uint8Array(16).fill(7);

function capabilities(role: LinkRole): Capabilities {
  return { role, codecMask: 1, pageSizeBytes: 4096 };
}

function makeSession(role: LinkRole, laneCount = 1): Session {
  return new Session({ migrationId, laneCount, capabilities: capabilities(role) }, 0);
}

/** Connects `lane`; the two ends then exchange bytes by hand. */
function connect(source: Session, destination: Session, lane = 0): Uint8Array {
  const hello = source.dialled(lane, 0);
  source.receive(lane, accept(destination, hello), 0);
  destination.drain(lane, 0);
  return hello;
}

function accept(destination: Session, hello: Uint8Array): Uint8Array {
  const decoder = new FrameDecoder();
  decoder.push(hello);
  return destination.accepted(decoder.next()!, decoder, 0).welcome;
}

/** Bytes that `from` wants to write now. */
function output(from: Session, lane = 0, nowMs = 0): Buffer {
  const chunks: Uint8Array[] = [];
  for (let next = from.nextOutput(lane, nowMs); next !== null; next = from.nextOutput(lane, nowMs)) {
    chunks.push(...next);
  }
  return Buffer.concat(chunks);
}

function text(session: Session, lane = 0): string[] {
  const texts: string[] = [];
  for (let message = session.takeMessage(lane, 0); message !== null; message = session.takeMessage(lane, 0)) {
    if (message.kind === 'control') texts.push(message.text);
    session.consumed(lane, 0);
  }
  return texts;
}

test('a repeated (lane, epoch) is a replay and changes nothing', () => {
  const source = makeSession('source');
  const destination = makeSession('destination');
  const hello = connect(source, destination);
  assert.throws(() => accept(destination, hello), { code: 'LINK_EPOCH' });
  assert.equal(destination.connectionState(0), 'open');
  destination.receive(0, output(source), 0);
  destination.lost(0, 1);
  assert.throws(() => accept(destination, hello), { code: 'LINK_EPOCH' });
  source.lost(0, 1);
  connect(source, destination);
  assert.equal(destination.stats()[0]!.epoch, 2);
});

test('only what is not known to have arrived is sent again', () => {
  const source = makeSession('source');
  const destination = makeSession('destination');
  connect(source, destination);
  for (let index = 0; index < 10; index++) source.send(0, { kind: 'control', text: String(index) });
  const bytes = output(source);
  // A cut in the middle of the seventh message.
  destination.receive(0, bytes.subarray(0, Math.floor(bytes.length * 0.65)), 0);
  const before = text(destination);
  source.lost(0, 1);
  destination.lost(0, 1);
  connect(source, destination);
  destination.receive(0, output(source), 0);
  assert.deepEqual([...before, ...text(destination)], ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  const { resentBytes } = source.stats()[0]!;
  assert.equal(resentBytes, (10 - before.length) * 25);
});

test('what the rules of numbering, credit and acknowledgement forbid is refused by name', () => {
  const frame = (type: number, sequence: number, payload: Uint8Array = new Uint8Array(0)) =>
    encodeFrame({ type, sequence, payload });
  const cases: [string, Uint8Array[]][] = [
    ['LINK_SEQUENCE', [frame(FRAME.CONTROL, 2)]],
    ['LINK_SEQUENCE', [frame(FRAME.CONTROL, 1), frame(FRAME.CONTROL, 1)]],
    [
      'LINK_ACK',
      [encodeFrame({ type: FRAME.ACK, payload: encodeAck({ received: 1, creditBytes: 2 ** 40 }) })],
    ],
    ['LINK_ACK', [encodeFrame({ type: FRAME.ACK, payload: encodeAck({ received: 0, creditBytes: 1 }) })]],
    [
      'LINK_CREDIT',
      [1, 2].map((sequence) => frame(FRAME.PAGES, sequence, new Uint8Array(PAYLOAD_BYTES_MAX))),
    ],
    ['LINK_PROTOCOL', [encodeFrame({ type: FRAME.GOODBYE }), frame(FRAME.CONTROL, 1)]],
    ['LINK_PROTOCOL', [encodeFrame({ type: FRAME.WELCOME })]],
    ['LINK_MESSAGE', [encodeFrame({ type: FRAME.GOODBYE, payload: new Uint8Array(1) })]],
    ['LINK_MESSAGE', [encodeFrame({ type: FRAME.PING, payload: new Uint8Array(7) })]],
  ];
  for (const [code, frames] of cases) {
    const source = makeSession('source');
    const destination = makeSession('destination');
    connect(source, destination);
    assert.throws(
      () => {
        for (const bytes of frames) destination.receive(0, bytes, 0);
      },
      { code },
    );
  }
});

test('a peer that lost its state, or claims what was never sent, cannot resume', () => {
  const source = makeSession('source');
  const destination = makeSession('destination');
  connect(source, destination);
  source.send(0, { kind: 'control', text: 'x' });
  destination.receive(0, output(source), 0);
  assert.deepEqual(text(destination), ['x']);
  source.receive(0, output(destination, 0, 100), 100);
  source.lost(0, 101);
  const hello = source.dialled(0, 101);
  assert.throws(() => source.receive(0, accept(makeSession('destination'), hello), 101), {
    code: 'LINK_RESUME',
  });
  const lie = encodeHello({
    version: { major: 1, minor: 0 },
    migrationId,
    lane: 0,
    laneCount: 1,
    epoch: 9,
    received: 5,
    creditBytes: 2 ** 40,
    capabilities: capabilities('source'),
  });
  assert.throws(() => accept(destination, encodeFrame({ type: FRAME.HELLO, payload: lie })), {
    code: 'LINK_RESUME',
  });
});

test('a flood of pings does not make the other end queue answers without bound', () => {
  const source = makeSession('source');
  const destination = makeSession('destination');
  connect(source, destination);
  const ping = encodeFrame({ type: FRAME.PING, payload: encodeToken(1) });
  for (let count = 0; count < 1000; count++) destination.receive(0, ping, 0);
  assert.ok(output(destination).length < 10 * ping.length);
});

test('first frames other than HELLO and WELCOME are refused', () => {
  const destination = makeSession('destination');
  assert.throws(() => accept(destination, encodeFrame({ type: FRAME.PING, payload: encodeToken(1) })), {
    code: 'LINK_PROTOCOL',
  });
  const source = makeSession('source');
  source.dialled(0, 0);
  assert.throws(() => source.receive(0, encodeFrame({ type: FRAME.PING, payload: encodeToken(1) }), 0), {
    code: 'LINK_PROTOCOL',
  });
});

type Step = readonly ['send' | 'move' | 'back' | 'cut' | 'consume', number, number];

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom('send', 'move', 'back', 'cut', 'consume'),
  fc.nat(2),
  fc.nat(100),
);

/**
 * Any interleaving of sending, partial delivery, cuts and consumption, against a list per lane: the naive
 * twin of the link.
 */
test('model: every lane delivers its messages once and in order, and nothing passes a barrier', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const lanes = 3;
      const source = makeSession('source', lanes);
      const destination = makeSession('destination', lanes);
      const wires = Array.from({ length: lanes }, () => ({ there: Buffer.alloc(0), back: Buffer.alloc(0) }));
      const sent: number[][] = [[], [], []];
      const got: number[][] = [[], [], []];
      const barriers: { sent: number[]; id: number }[] = [];
      let nowMs = 0;
      const fill = (lane: number) => {
        wires[lane]!.there = Buffer.concat([wires[lane]!.there, output(source, lane, nowMs)]);
        wires[lane]!.back = Buffer.concat([wires[lane]!.back, output(destination, lane, nowMs)]);
      };
      const take = (lane: number): boolean => {
        const message = destination.takeMessage(lane, nowMs);
        if (message === null) return false;
        if (message.kind === 'pages') got[lane]!.push(Buffer.from(message.batch).readUInt32BE());
        if (message.kind === 'barrier') {
          const before = barriers[message.id - 1]!;
          for (const [index, list] of got.entries()) assert.equal(list.length, before.sent[index]);
        }
        destination.consumed(lane, nowMs);
        return true;
      };
      const move = (lane: number, share: number) => {
        const wire = wires[lane]!;
        const cut = Math.ceil(wire.there.length * share);
        destination.receive(lane, wire.there.subarray(0, cut), nowMs);
        wire.there = wire.there.subarray(cut);
      };
      const moveBack = (lane: number, share: number) => {
        const wire = wires[lane]!;
        const cut = Math.ceil(wire.back.length * share);
        source.receive(lane, wire.back.subarray(0, cut), nowMs);
        wire.back = wire.back.subarray(cut);
      };
      const reconnect = (lane: number) => {
        source.lost(lane, nowMs);
        destination.lost(lane, nowMs);
        wires[lane] = { there: Buffer.alloc(0), back: Buffer.alloc(0) };
        connect(source, destination, lane);
      };
      for (let lane = 0; lane < lanes; lane++) reconnect(lane);
      for (const [what, lane, size] of steps) {
        nowMs += size;
        if (what === 'send' && size === 0) {
          barriers.push({ sent: sent.map((list) => list.length), id: source.sendBarrier() });
        } else if (what === 'send') {
          sent[lane]!.push(sent[lane]!.length);
          const batch = Buffer.alloc(4 + size);
          batch.writeUInt32BE(sent[lane]!.length - 1);
          source.send(lane, { kind: 'pages', batch });
        } else if (what === 'cut') reconnect(lane);
        else if (what === 'consume') take(lane);
        else if (what === 'move') move(lane, size / 100);
        else moveBack(lane, size / 100);
        for (let index = 0; index < lanes; index++) fill(index);
      }
      for (let round = 0; round < 8; round++) {
        nowMs += 100;
        for (let lane = 0; lane < lanes; lane++) {
          fill(lane);
          move(lane, 1);
          while (take(lane));
          fill(lane);
          moveBack(lane, 1);
        }
      }
      assert.deepEqual(got, sent);
      assert.ok(source.flushed);
    }),
    { numRuns: 200 },
  );
});

test('any bytes at all end in a code of the link, or in waiting for more', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const source = makeSession('source');
      const destination = makeSession('destination');
      connect(source, destination);
      try {
        destination.receive(0, bytes, 0);
      } catch (error) {
        assert.match(errorCode(error), /^LINK_/);
      }
    }),
  );
});
