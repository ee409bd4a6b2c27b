/**
 * A libvirt daemon's side of a connection as bytes: frames in any chunking, answers and events by their
 * codecs, a client in the middle.
 */

import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { errorCode, type Prng } from '../../../src/base/index.ts';
import { LibvirtClient } from '../../../src/libvirt/client.ts';
import type { Codec } from '../../../src/libvirt/codec.ts';
import { encodeFrame, type Frame, FrameReader } from '../../../src/libvirt/frame.ts';
import {
  connectGetHostname,
  connectListAllDomains,
  domainGetJobStats,
  domainGetState,
  eventRegister,
  jobCompletedEvent,
  lifecycleEvent,
  migrateFinish,
  subscribe,
} from '../../../src/libvirt/index.ts';
import { remoteError } from '../../../src/libvirt/remote-error.ts';
import { XdrReader, XdrWriter } from '../../../src/libvirt/xdr.ts';
import type { FuzzTarget } from '../target.ts';

const VM = { name: 'vm1', uuid: '00112233-4455-6677-8899-aabbccddeeff', id: 7 };
const PARAMETERS = [
  { field: 'time_elapsed', value: { type: 'ullong' as const, value: 5n } },
  { field: 'operation', value: { type: 'int' as const, value: 5 } },
  { field: 'errmsg', value: { type: 'string' as const, value: 'operation aborted' } },
];
const FAULT = {
  code: 42,
  domain: 10,
  message: 'no',
  level: 2,
  dom: null,
  str1: null,
  str2: null,
  str3: null,
  int1: 0,
  int2: 0,
  net: null,
};

interface Item<T> {
  readonly codec: Codec<T>;
  readonly value: T;
}
const item = <T>(codec: Codec<T>, value: T): Item<T> => ({ codec, value });
/** Every shape that a daemon's payload has. */
const ITEMS = [
  item(remoteError, FAULT),
  item(connectListAllDomains.result, { domains: [VM, { ...VM, id: -1 }], count: 2 }),
  item(domainGetJobStats.result, { type: 2, parameters: PARAMETERS }),
  item(migrateFinish.result, { domain: VM, cookie: Uint8Array.of(1, 2, 3) }),
  item(jobCompletedEvent.message, { callbackId: 1, domain: VM, parameters: PARAMETERS }),
  item(lifecycleEvent.message, { callbackId: 1, domain: VM, event: 5, detail: 3 }),
  // biome-ignore lint/suspicious/noExplicitAny: items of all types in one list
] as readonly Item<any>[];

function encode<T>({ codec, value }: Item<T>): Uint8Array {
  const writer = new XdrWriter();
  codec.write(writer, value);
  return Uint8Array.from(writer.bytes);
}

function damaged(bytes: Uint8Array, prng: Prng): Uint8Array {
  const copy = Uint8Array.from(bytes);
  if (copy.length > 0 && prng.below(3) > 0) copy[prng.below(copy.length)] = prng.below(256);
  return copy.subarray(0, prng.below(4) === 0 ? prng.below(copy.length + 1) : copy.length);
}

/**
 * The first byte says which shape; what is read is written again as the same bytes, unless text was mended.
 */
export const libvirtPayloads: FuzzTarget = {
  name: 'libvirt-payloads',
  codes: /^LIBVIRT_PROTOCOL$/,
  seeds: () => ITEMS.map((one, index) => Uint8Array.of(index, ...encode(one))),
  generate: (prng) => {
    const index = prng.below(ITEMS.length);
    return Uint8Array.of(index, ...damaged(encode(ITEMS[index]!), prng));
  },
  run: (bytes) => {
    const { codec } = ITEMS[(bytes[0] ?? 0) % ITEMS.length]!;
    const payload = bytes.subarray(1);
    const reader = new XdrReader(payload);
    const value = codec.read(reader);
    reader.end();
    const again = encode({ codec, value });
    const reread = codec.read(new XdrReader(again));
    assert.deepEqual(reread, value);
    if (again.length === payload.length && !Buffer.from(again).includes('\ufffd')) {
      // A truth value may be any number but 0; everything else has one form.
      assert.ok(again.every((byte, at) => byte === payload[at] || isTruth(again, at)));
    }
  },
};

/** In a word that says "true". */
function isTruth(bytes: Uint8Array, at: number): boolean {
  const word = at & ~3;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readUInt32BE(word) === 1;
}

const reply = (serial: number, procedure: number, payload: Uint8Array, status: Frame['status'] = 'ok') =>
  encodeFrame({ program: 0x2000_8086, version: 1, procedure, type: 'reply', serial, status, payload });
const message = (program: number, procedure: number, payload: Uint8Array) =>
  encodeFrame({ program, version: 1, procedure, type: 'message', serial: 0, status: 'ok', payload });
/** Answers to what `libvirtClient` calls, and what comes unasked. */
const FRAMES = [
  reply(1, eventRegister.number, encode(item(eventRegister.result, { callbackId: 1 }))),
  reply(2, connectGetHostname.number, encode(item(connectGetHostname.result, { hostname: 'host' }))),
  reply(3, connectListAllDomains.number, encode(ITEMS[1]!)),
  reply(4, domainGetState.number, encode(item(domainGetState.result, { state: 1, reason: 1 }))),
  reply(2, connectGetHostname.number, encode(ITEMS[0]!), 'error'),
  message(0x2000_8086, lifecycleEvent.number, encode(ITEMS[5]!)),
  message(0x6b65_6570, 1, new Uint8Array()),
  message(0x6b65_6570, 2, new Uint8Array()),
];

const frames = {
  seeds: () => [Buffer.concat(FRAMES), ...FRAMES],
  generate: (prng: Prng) =>
    Buffer.concat(
      Array.from({ length: 1 + prng.below(6) }, () => {
        const frame = FRAMES[prng.below(FRAMES.length)]!;
        return prng.below(3) === 0 ? damaged(frame, prng) : frame;
      }),
    ),
};

/** In any chunking the same frames, which are written again as the same bytes. */
export const libvirtFrames: FuzzTarget = {
  name: 'libvirt-frames',
  codes: /^LIBVIRT_PROTOCOL$/,
  ...frames,
  run: (bytes) => {
    const read = (sizeBytes: number) => {
      const reader = new FrameReader();
      const found: Frame[] = [];
      try {
        for (let at = 0; at < bytes.length; at += sizeBytes) {
          for (const frame of reader.push(bytes.subarray(at, at + sizeBytes))) found.push(frame);
        }
        return { found, error: null };
      } catch (error) {
        return { found, error };
      }
    };
    const whole = read(Math.max(1, bytes.length));
    const parts = read(1 + (bytes.length % 7));
    assert.deepEqual(parts.found, whole.found);
    assert.equal(parts.error === null, whole.error === null);
    const again = Buffer.concat(whole.found.map(encodeFrame));
    assert.ok(again.equals(bytes.subarray(0, again.length)));
    if (whole.error !== null) throw whole.error;
  },
};

/** A client with four calls under way: each gets an answer or an error of its own, never nothing. */
export const libvirtClient: FuzzTarget = {
  name: 'libvirt-client',
  codes: /^NONE$/,
  ...frames,
  run: async (bytes) => {
    const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    const client = new LibvirtClient(stream, 'fuzzed');
    const ends = [
      subscribe(client, lifecycleEvent, null, () => undefined),
      client.call(connectGetHostname, {}),
      client.call(connectListAllDomains, { needResults: 1, flags: 0 }),
      client.call(domainGetState, { domain: VM, flags: 0 }),
    ].map((end) =>
      end.catch((error: unknown) => assert.match(errorCode(error), /^LIBVIRT_(CALL|UNANSWERED|CLOSED)$/)),
    );
    const half = bytes.length >>> 1;
    stream.push(Uint8Array.from(bytes.subarray(0, half)));
    if (half < bytes.length) stream.push(Uint8Array.from(bytes.subarray(half)));
    stream.push(null);
    await new Promise((resolve) => setImmediate(resolve));
    stream.destroy();
    await client.close();
    await Promise.all(ends);
    assert.equal((await client.closed).code, 'LIBVIRT_CLOSED');
  },
};
