/** The contract of a link, passed over every transport. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { duplexPair } from 'node:stream';
import test from 'node:test';
import { errorCode, MIB, Prng, sleep } from '../../src/base/index.ts';
import {
  memoryPair,
  PAYLOAD_BYTES_MAX,
  relay,
  SocketThread,
  tcpDial,
  tcpListen,
  withBandwidth,
  withBreakAfter,
  withFlip,
  withLatency,
  withStall,
} from '../../src/link/index.ts';
import { makePair, type Pair, ROADS, stampedPayload, stampOf } from './link-fixture.ts';

const QUICK = { redialDelayMs: 5, ackDelayMs: 1 } as const;

async function sendStamped(pair: Pair, lane: number, count: number, sizeBytes: number): Promise<void> {
  for (let stamp = 0; stamp < count; stamp++) {
    await pair.source.writable(lane, sizeBytes);
    pair.source.send(lane, { kind: 'pages', batch: stampedPayload(sizeBytes, stamp) });
  }
}

/** Every stamp of the lane arrived once, in order, whole. */
function checkLane(pair: Pair, lane: number, count: number, sizeBytes: number): void {
  const pages = pair.received.filter((got) => got.lane === lane && got.message.kind === 'pages');
  assert.deepEqual(
    pages.map(({ message }) => stampOf(message)),
    Array.from({ length: count }, (_, stamp) => stamp),
  );
  for (const { message } of pages) {
    assert.ok(message.kind === 'pages' && message.batch.length === sizeBytes);
    assert.equal(message.batch[sizeBytes - 1], stampOf(message) & 0xff);
  }
}

for (const [name, makeRoad] of Object.entries(ROADS)) {
  test(`${name}: messages of a lane arrive in order, a barrier orders lanes, close ends both`, async () => {
    const pair = await makePair(makeRoad, { laneCount: 3 });
    await pair.source.connected();
    assert.equal(pair.source.peer?.pageSizeBytes, 4096);
    pair.source.send(0, { kind: 'layout', blocks: [{ id: 'pc.ram', sizeBytes: 1 << 30 }] });
    pair.source.send(0, { kind: 'prologue', last: true, bytes: Buffer.from('QEVM') });
    await Promise.all([0, 1, 2].map((lane) => sendStamped(pair, lane, 40, 9000)));
    await pair.source.barrier();
    pair.source.send(0, { kind: 'tail', last: true, bytes: Buffer.from('devices') });
    await pair.source.close();
    assert.equal(await pair.source.closed, null);
    assert.equal(await pair.destination.closed, null);
    for (const lane of [0, 1, 2]) checkLane(pair, lane, 40, 9000);
    assert.deepEqual(pair.received.find(({ lane }) => lane === 0)!.message, {
      kind: 'layout',
      blocks: [{ id: 'pc.ram', sizeBytes: 1 << 30 }],
    });
    assert.deepEqual(
      pair.received.slice(-2).map(({ message }) => message.kind),
      ['barrier', 'tail'],
    );
    await pair.close();
  });

  test(`${name}: both directions at once, and a large transfer`, async () => {
    const answers: string[] = [];
    const pair = await makePair(makeRoad, {
      source: {
        onMessage: (message) => {
          if (message.kind === 'control') answers.push(message.text);
        },
      },
    });
    await pair.source.connected();
    for (let index = 0; index < 50; index++) {
      pair.destination.send(0, { kind: 'control', text: `answer ${index} ✓` });
    }
    await Promise.all([sendStamped(pair, 0, 24, MIB), sendStamped(pair, 1, 24, MIB)]);
    await pair.source.barrier();
    await pair.destination.flush();
    checkLane(pair, 0, 24, MIB);
    checkLane(pair, 1, 24, MIB);
    assert.deepEqual(
      answers,
      Array.from({ length: 50 }, (_, index) => `answer ${index} ✓`),
    );
    const [stats] = pair.source.stats();
    assert.ok(stats!.acknowledgedBytes >= 24 * MIB && stats!.resentBytes === 0);
    await pair.close();
  });

  test(`${name}: a receiver that does not consume holds the sender back, within the window`, async () => {
    let release = () => {};
    const blocked = new Promise<void>((resolve) => {
      release = resolve;
    });
    let consumed = 0;
    const limits = { windowBytes: PAYLOAD_BYTES_MAX + 24, resendBytesMax: 6 * MIB, ...QUICK };
    const pair = await makePair(makeRoad, {
      laneCount: 1,
      source: { limits },
      destination: {
        limits,
        onMessage: async () => {
          await blocked;
          consumed++;
        },
      },
    });
    await pair.source.connected();
    let accepted = 0;
    const producing = (async () => {
      for (; accepted < 20; accepted++) {
        await pair.source.writable(0, MIB);
        pair.source.send(0, { kind: 'pages', batch: stampedPayload(MIB, accepted) });
      }
    })();
    await sleep(200);
    const before = accepted;
    assert.ok(before < 12, `${before} MiB went into a window of 4 and a buffer of 6`);
    assert.ok(pair.destination.stats()[0]!.receivedBytes <= limits.windowBytes);
    release();
    await producing;
    await pair.source.barrier();
    assert.equal(consumed, 21);
    await pair.close();
  });

  test(`${name}: all connections break again and again; everything arrives once, in order`, async () => {
    const prng = new Prng(name.length);
    const pair = await makePair(makeRoad, {
      laneCount: 3,
      source: { limits: QUICK },
      destination: { limits: QUICK },
      // Each connection lives for 0 to 2 MB, cut in the middle of whatever is written then.
      wrap: (transport) => withBreakAfter(transport, prng.below(2_000_000)),
    });
    await Promise.all([0, 1, 2].map((lane) => sendStamped(pair, lane, 60, 100_000)));
    await pair.source.barrier();
    for (const lane of [0, 1, 2]) checkLane(pair, lane, 60, 100_000);
    const stats = pair.source.stats();
    assert.ok(
      stats.every(({ epoch }) => epoch >= 3),
      `epochs ${stats.map(({ epoch }) => epoch)}`,
    );
    await pair.close();
  });

  test(`${name}: breaks from the far side, too, while both directions talk`, async () => {
    const answers: string[] = [];
    const pair = await makePair(makeRoad, {
      laneCount: 2,
      source: {
        limits: QUICK,
        onMessage: (message) => {
          if (message.kind === 'control') answers.push(message.text);
        },
      },
      destination: { limits: QUICK },
    });
    await pair.source.connected();
    const sending = Promise.all([sendStamped(pair, 0, 80, 50_000), sendStamped(pair, 1, 80, 50_000)]);
    for (let cut = 0; cut < 5; cut++) {
      pair.destination.send(0, { kind: 'control', text: String(cut) });
      await sleep(8);
      for (const transport of pair.transports) transport.destroy();
    }
    await sending;
    await pair.source.barrier();
    await pair.destination.flush();
    checkLane(pair, 0, 80, 50_000);
    checkLane(pair, 1, 80, 50_000);
    assert.deepEqual(answers, ['0', '1', '2', '3', '4']);
    await pair.close();
  });

  test(`${name}: a flipped bit ends the link with the code of the rule`, async () => {
    // Beyond HELLO (about 110 bytes): a header's type, its length, its checksum, a payload.
    for (const position of [1000, 50_003, 150_000]) {
      const pair = await makePair(makeRoad, {
        laneCount: 1,
        wrap: (transport) => withFlip(transport, position),
      });
      await pair.source.connected();
      for (let stamp = 0; stamp < 4; stamp++) {
        pair.source.send(0, { kind: 'pages', batch: stampedPayload(60_000, stamp) });
      }
      const [far, near] = await Promise.all([pair.destination.closed, pair.source.closed]);
      assert.match(far!.code, /^LINK_FRAME_(PAYLOAD|HEADER)$/);
      // The other end learns the same code, unless the close overtook it.
      assert.equal(near!.code, far!.code);
      assert.throws(() => pair.source.send(0, { kind: 'commit', nonce: 1 }), { code: far!.code });
      await pair.close();
    }
  });
}

test('a thread with sockets that is gone ends the link at once', async () => {
  const thread = new SocketThread();
  const pair = await makePair(async (accept) => {
    const { address } = await thread.listen(
      { address: { host: '127.0.0.1', port: 0 }, credentials: null },
      accept,
    );
    return { dial: tcpDial(address), close: async () => {} };
  });
  await pair.source.connected();
  await thread.close();
  assert.equal((await pair.destination.closed)!.code, 'LINK_WORKER');
  await pair.close();
});

test('a listener that cannot listen says so', async () => {
  const nowhere = { path: '/nowhere/at/all' };
  await assert.rejects(
    tcpListen(nowhere, () => {}),
    { code: 'LINK_LISTEN' },
  );
  const thread = new SocketThread();
  await assert.rejects(
    thread.listen({ address: nowhere, credentials: null }, () => {}),
    { code: 'LINK_LISTEN' },
  );
  await thread.close();
});

test('the transparent relay passes bytes and ends both ways, and breaks both when one breaks', async () => {
  const [left, near] = duplexPair();
  const [far, right] = duplexPair();
  const done = relay(near, far);
  const heard = Promise.all([left, right].map((stream) => stream.setEncoding('latin1').toArray()));
  left.end('there '.repeat(500_000));
  right.end('back');
  const [back, there] = await heard;
  assert.equal(there!.join(''), 'there '.repeat(500_000));
  assert.equal(back!.join(''), 'back');
  assert.deepEqual(await done, { forwardBytes: 3_000_000, backwardBytes: 4 });

  const [, near2] = duplexPair();
  const [far2, right2] = duplexPair();
  const broken = relay(near2, far2);
  near2.destroy(new Error('QEMU is gone'));
  await assert.rejects(broken, /QEMU is gone/);
  assert.equal(far2.destroyed, true);
  right2.destroy();
});

test('a stalled lane does not stop the others, and does not lose its own', async () => {
  const stalls: ReturnType<typeof withStall>[] = [];
  const pair = await makePair(ROADS['tcp']!, {
    laneCount: 2,
    source: { limits: { ...QUICK, silenceMsMax: 60_000 } },
    destination: { limits: { ...QUICK, silenceMsMax: 60_000 } },
    wrap: (transport, lane) => {
      stalls[lane] = withStall(transport);
      return stalls[lane]!.transport;
    },
  });
  await pair.source.connected();
  stalls[1]!.stall();
  const stalled = sendStamped(pair, 1, 20, MIB);
  await sendStamped(pair, 0, 40, MIB);
  while (pair.received.filter(({ lane }) => lane === 0).length < 40) await sleep(5);
  assert.equal(pair.received.filter(({ lane }) => lane === 1).length, 0);
  assert.ok(pair.source.capacityBytes(1) < MIB);
  stalls[1]!.resume();
  await stalled;
  await pair.source.barrier();
  checkLane(pair, 0, 40, MIB);
  checkLane(pair, 1, 20, MIB);
  await pair.close();
});

test('a silent connection is given up and dialled anew', async () => {
  const limits = { ...QUICK, silenceMsMax: 300, pingIntervalMs: 50 };
  const stalls: ReturnType<typeof withStall>[] = [];
  const pair = await makePair(ROADS['memory']!, {
    laneCount: 1,
    source: { limits },
    destination: { limits },
    wrap: (transport) => {
      const stall = withStall(transport);
      stalls.push(stall);
      return stall.transport;
    },
  });
  await pair.source.connected();
  stalls[0]!.stall();
  await sendStamped(pair, 0, 3, 5000);
  await pair.source.barrier();
  checkLane(pair, 0, 3, 5000);
  assert.ok(pair.source.stats()[0]!.epoch >= 2);
  await pair.close();
});

test('latency is measured', async () => {
  const pair = await makePair(ROADS['memory']!, {
    laneCount: 1,
    source: { limits: { pingIntervalMs: 50 } },
    wrap: (transport) => withLatency(withBandwidth(transport, 20 * MIB), 20),
  });
  await pair.source.connected();
  await sendStamped(pair, 0, 10, MIB);
  await pair.source.barrier();
  const [stats] = pair.source.stats();
  assert.ok(stats!.roundTripMsMin! >= 19, `round trip ${stats!.roundTripMsMin} ms`);
  await pair.close();
});

test('a link down for longer than its time-out ends on both sides', async () => {
  const limits = { ...QUICK, linkTimeoutMs: 300 };
  let allowed = true;
  const pair = await makePair(
    async (accept) => ({
      dial: async () => {
        if (!allowed) throw new Error('no route to host');
        const [near, far] = memoryPair();
        accept(far);
        return near;
      },
      close: async () => {},
    }),
    { source: { limits }, destination: { limits } },
  );
  await pair.source.connected();
  allowed = false;
  for (const transport of pair.transports) transport.destroy();
  const [near, far] = await Promise.all([pair.source.closed, pair.destination.closed]);
  assert.equal(near!.code, 'LINK_TIMEOUT');
  assert.match(near!.message, /no route to host/);
  assert.equal(far!.code, 'LINK_TIMEOUT');
});

test('another version is refused with both named; one minor version apart is spoken', async () => {
  const refusedPair = await makePair(ROADS['memory']!, { source: { version: { major: 2, minor: 0 } } });
  const error = await refusedPair.source.closed;
  assert.equal(error!.code, 'LINK_VERSION');
  assert.match(error!.message, /1\.0 here, 2\.0 at the other end/);
  assert.ok(refusedPair.events.some((event) => event.kind === 'refused' && event.code === 'LINK_VERSION'));
  await refusedPair.close();

  const newer = await makePair(ROADS['memory']!, { source: { version: { major: 1, minor: 2 } } });
  assert.equal((await newer.source.closed)!.code, 'LINK_VERSION');
  await newer.close();

  const older = await makePair(ROADS['memory']!, { destination: { version: { major: 1, minor: 1 } } });
  await older.source.connected();
  older.source.send(0, { kind: 'control', text: 'hello' });
  await older.source.barrier();
  await older.close();
});

test('another migration, another number of lanes, another page size: refused', async () => {
  for (const [options, code] of [
    [{ migrationId: randomBytes(16) }, 'LINK_MIGRATION'],
    [{ laneCount: 3 }, 'LINK_CONNECTION'],
    [{ capabilities: { role: 'source', codecMask: 1, pageSizeBytes: 65536 } }, 'LINK_CONNECTION'],
  ] as const) {
    const pair = await makePair(ROADS['memory']!, { source: options });
    const error = await pair.source.closed;
    assert.equal(error!.code, code);
    assert.equal(
      errorCode(await Promise.race([pair.destination.closed, sleep(50)])),
      'INTERNAL',
      'it waits on',
    );
    await pair.close();
  }
});

test('a message from the wrong side or on the wrong lane is refused before it is sent', async () => {
  const pair = await makePair(ROADS['memory']!);
  await pair.source.connected();
  assert.throws(() => pair.source.send(1, { kind: 'tail', last: true, bytes: Buffer.from('x') }), {
    code: 'LINK_PROTOCOL',
  });
  assert.throws(
    () => pair.source.send(0, { kind: 'prepared', nonce: 1, pageCount: 1, checksum: '0'.repeat(16) }),
    {
      code: 'LINK_PROTOCOL',
    },
  );
  await pair.close();
});

test('a message handler that fails ends the link, and the source learns the code', async () => {
  const pair = await makePair(ROADS['memory']!, {
    destination: {
      onMessage: async () => {
        throw Object.assign(new Error('page batch: a delta of 9 bytes'), { code: 'CODEC_DELTA' });
      },
    },
  });
  await pair.source.connected();
  pair.source.send(1, { kind: 'pages', batch: Buffer.alloc(10) });
  assert.equal((await pair.source.closed)!.code, 'CODEC_DELTA');
  assert.equal((await pair.destination.closed)!.code, 'CODEC_DELTA');
});
