import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { errorCode } from '../base/index.ts';
import {
  array,
  boolean,
  type Codec,
  double,
  hyper,
  int,
  opaque,
  optional,
  string,
  struct,
  uhyper,
  uint,
  uuid,
  words,
} from './codec.ts';
import { type TypedParameter, typedParameters } from './typed-parameters.ts';
import { XdrReader, XdrWriter } from './xdr.ts';

function encode<T>(codec: Codec<T>, value: T): Buffer {
  const writer = new XdrWriter();
  codec.write(writer, value);
  return Buffer.from(writer.bytes);
}

function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const reader = new XdrReader(bytes);
  const value = codec.read(reader);
  reader.end();
  return value;
}

/** The value, or the code of the error. */
function attempt<T>(codec: Codec<T>, bytes: Uint8Array): { value: T } | { code: string } {
  try {
    return { value: decode(codec, bytes) };
  } catch (error) {
    return { code: errorCode(error) };
  }
}

/** RFC 4506 said once more, slowly: one list of numbers, byte by byte. */
const naive = {
  int: (value: bigint, sizeBytes: number) =>
    Array.from({ length: sizeBytes }, (_, index) =>
      Number((value >> BigInt(8 * (sizeBytes - 1 - index))) & 0xffn),
    ),
  bytes: (value: Uint8Array) => {
    const out = [...naive.int(BigInt(value.length), 4), ...value];
    while (out.length % 4 !== 0) out.push(0);
    return out;
  },
};

/** With a prototype, as decoded ones have. */
function record<T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(shape, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

const text = fc.string({ unit: 'binary', maxLength: 40 }).filter((one) => one.isWellFormed());
const anyUuid = fc.uuid({ version: [1, 2, 3, 4, 5] }).map((one) => one.toLowerCase());
const typed: fc.Arbitrary<TypedParameter> = record({
  field: text,
  value: fc.oneof(
    record({ type: fc.constant('int' as const), value: fc.integer() }),
    record({ type: fc.constant('uint' as const), value: fc.nat() }),
    record({
      type: fc.constant('llong' as const),
      value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    }),
    record({ type: fc.constant('ullong' as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
    record({ type: fc.constant('double' as const), value: fc.double({ noNaN: true }) }),
    record({ type: fc.constant('boolean' as const), value: fc.boolean() }),
    record({ type: fc.constant('string' as const), value: text }),
  ),
});

const everything = struct({
  int,
  uint,
  hyper,
  uhyper,
  double,
  boolean,
  string,
  uuid,
  bytes: opaque(64),
  maybe: optional(words),
  list: array(struct({ id: int, name: string }), 8),
  parameters: typedParameters(8),
});
const anything = record({
  int: fc.integer(),
  uint: fc.nat(),
  hyper: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  uhyper: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  double: fc.double({ noNaN: true }),
  boolean: fc.boolean(),
  string: text,
  uuid: anyUuid,
  bytes: fc.uint8Array({ maxLength: 64 }),
  maybe: fc.option(text),
  list: fc.array(record({ id: fc.integer(), name: text }), { maxLength: 8 }),
  parameters: fc.array(typed, { maxLength: 8 }),
});

describe('XDR codecs', () => {
  it('read back what they wrote, in multiples of four bytes', () => {
    fc.assert(
      fc.property(anything, (value) => {
        const bytes = encode(everything, value);
        assert.equal(bytes.length % 4, 0);
        assert.deepEqual(decode(everything, bytes), value);
      }),
    );
  });

  it('write the bytes that the RFC says', () => {
    fc.assert(
      fc.property(
        anything,
        ({ int: a, uint: b, hyper: c, uhyper: d, boolean: e, string: f, bytes: g, maybe: h }) => {
          const codec = struct({
            a: int,
            b: uint,
            c: hyper,
            d: uhyper,
            e: boolean,
            f: string,
            g: opaque(64),
            h: optional(string),
          });
          const expected = [
            ...naive.int(BigInt(a), 4),
            ...naive.int(BigInt(b), 4),
            ...naive.int(c, 8),
            ...naive.int(d, 8),
            ...naive.int(e ? 1n : 0n, 4),
            ...naive.bytes(Buffer.from(f)),
            ...naive.bytes(g),
            ...naive.int(h === null ? 0n : 1n, 4),
            ...(h === null ? [] : naive.bytes(Buffer.from(h))),
          ];
          assert.deepEqual([...encode(codec, { a, b, c, d, e, f, g, h })], expected);
        },
      ),
    );
  });

  it('refuse a message that ends at any earlier byte, or goes on', () => {
    fc.assert(
      fc.property(anything, (value) => {
        const bytes = encode(everything, value);
        for (let end = 0; end < bytes.length; end++) {
          assert.deepEqual(attempt(everything, bytes.subarray(0, end)), { code: 'LIBVIRT_PROTOCOL' });
        }
        assert.deepEqual(attempt(everything, Buffer.concat([bytes, Buffer.alloc(4)])), {
          code: 'LIBVIRT_PROTOCOL',
        });
      }),
      { numRuns: 10 },
    );
  });

  it('take a flipped byte for another value, or refuse it', () => {
    fc.assert(
      fc.property(anything, (value) => {
        const bytes = encode(everything, value);
        for (let at = 0; at < bytes.length; at++) {
          const damaged = Buffer.from(bytes);
          damaged[at]! ^= 0xff;
          const read = attempt(everything, damaged);
          if ('code' in read) assert.equal(read.code, 'LIBVIRT_PROTOCOL');
        }
      }),
      { numRuns: 10 },
    );
  });

  it('believe no count before that many bytes are there', () => {
    const huge = encode(struct({ count: uint, more: uint }), { count: 16_384, more: 0 });
    assert.deepEqual(attempt(array(struct({ name: string, uuid, id: int }), 16_384), huge), {
      code: 'LIBVIRT_PROTOCOL',
    });
    assert.deepEqual(attempt(string, encode(uint, 0xffff_ffff)), { code: 'LIBVIRT_PROTOCOL' });
    assert.deepEqual(attempt(opaque(8), encode(opaque(9), new Uint8Array(9))), { code: 'LIBVIRT_PROTOCOL' });
    assert.deepEqual(attempt(array(int, 2), encode(array(int, 3), [1, 2, 3])), { code: 'LIBVIRT_PROTOCOL' });
  });

  it('refuse a truth value of 2, padding that is not zero, and a name that is not UTF-8', () => {
    assert.deepEqual(attempt(boolean, encode(int, 2)), { code: 'LIBVIRT_PROTOCOL' });
    assert.deepEqual(attempt(opaque(8), Uint8Array.of(0, 0, 0, 1, 7, 0, 1, 0)), { code: 'LIBVIRT_PROTOCOL' });
    const latin = encode(opaque(8), Uint8Array.of(0xe4));
    assert.deepEqual(attempt(string, latin), { code: 'LIBVIRT_PROTOCOL' });
    assert.deepEqual(attempt(words, latin), { value: '\ufffd' });
  });

  it('refuse a typed parameter of a type that does not exist', () => {
    const bytes = encode(struct({ count: uint, field: string, type: int }), {
      count: 1,
      field: 'x',
      type: 8,
    });
    assert.deepEqual(attempt(typedParameters(4), Buffer.concat([bytes, Buffer.alloc(4)])), {
      code: 'LIBVIRT_PROTOCOL',
    });
  });
});
