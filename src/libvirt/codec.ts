/**
 * A codec writes and reads one type; larger ones are put together from smaller ones, as libvirt's protocol
 * files do. Arguments and results of every call are codecs (procedures-*.ts), so that client, fake daemon,
 * fuzzer and tests share one description. Not responsible for bytes (xdr.ts).
 */

import { protocolError } from './errors.ts';
import type { XdrReader, XdrWriter } from './xdr.ts';

export interface Codec<T> {
  readonly write: (writer: XdrWriter, value: T) => void;
  readonly read: (reader: XdrReader) => T;
  /** The shortest form, so that an array's count can be judged before memory is taken. */
  readonly bytesMin: number;
}

export type TypeOf<C> = C extends Codec<infer T> ? T : never;

const SECTION = '2';
/** REMOTE_STRING_MAX */
const STRING_BYTES_MAX = 4_194_304;

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lossy = new TextDecoder('utf-8', { ignoreBOM: true });

export const int: Codec<number> = {
  bytesMin: 4,
  write: (writer, value) => writer.int(value),
  read: (reader) => reader.int(),
};

export const uint: Codec<number> = {
  bytesMin: 4,
  write: (writer, value) => writer.uint(value),
  read: (reader) => reader.uint(),
};

export const hyper: Codec<bigint> = {
  bytesMin: 8,
  write: (writer, value) => writer.hyper(value),
  read: (reader) => reader.hyper(),
};

export const uhyper: Codec<bigint> = {
  bytesMin: 8,
  write: (writer, value) => writer.uhyper(value),
  read: (reader) => reader.uhyper(),
};

export const double: Codec<number> = {
  bytesMin: 8,
  write: (writer, value) => writer.double(value),
  read: (reader) => reader.double(),
};

/** An int that is 0 or 1. */
export const boolean: Codec<boolean> = {
  bytesMin: 4,
  write: (writer, value) => writer.int(value ? 1 : 0),
  read: (reader) => {
    const value = reader.int();
    if (value !== 0 && value !== 1) throw protocolError(SECTION, `${value} is no truth value`);
    return value === 1;
  },
};

/** A name or an XML text: what comes back must go out again as the same bytes, so it is UTF-8 or refused. */
export const string: Codec<string> = {
  bytesMin: 4,
  write: (writer, value) => writer.variable(Buffer.from(value, 'utf8')),
  read: (reader) => {
    const bytes = reader.variable(STRING_BYTES_MAX);
    try {
      return strict.decode(bytes);
    } catch {
      throw protocolError(SECTION, 'a string is not UTF-8');
    }
  },
};

/**
 * Text that is only shown. An error that quotes a file name in another encoding is no reason to lose a
 * connection.
 */
export const words: Codec<string> = {
  ...string,
  read: (reader) => lossy.decode(reader.variable(STRING_BYTES_MAX)),
};

/** Bytes that nobody here reads, such as a migration cookie. */
export function opaque(sizeBytesMax: number): Codec<Uint8Array> {
  return {
    bytesMin: 4,
    write: (writer, value) => writer.variable(value),
    read: (reader) => Uint8Array.from(reader.variable(sizeBytesMax)),
  };
}

const UUID_FORM = /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/;

export function isUuid(text: string): boolean {
  return UUID_FORM.test(text);
}

/** 16 bytes; in its usual form with hyphens, lower case. */
export const uuid: Codec<string> = {
  bytesMin: 16,
  write: (writer, value) => writer.fixed(Buffer.from(value.replaceAll('-', ''), 'hex')),
  read: (reader) => {
    const hex = reader.fixed(16).toString('hex');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  },
};

/** XDR's pointer: a truth value, then the item if it is there. */
export function optional<T>(codec: Codec<T>): Codec<T | null> {
  return {
    bytesMin: 4,
    write: (writer, value) => {
      boolean.write(writer, value !== null);
      if (value !== null) codec.write(writer, value);
    },
    read: (reader) => (boolean.read(reader) ? codec.read(reader) : null),
  };
}

export function array<T>(codec: Codec<T>, countMax: number): Codec<readonly T[]> {
  return {
    bytesMin: 4,
    write: (writer, values) => {
      writer.uint(values.length);
      for (const value of values) codec.write(writer, value);
    },
    read: (reader) => {
      const count = reader.count(countMax, codec.bytesMin);
      return Array.from({ length: count }, () => codec.read(reader));
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a shape's codecs are of any type; StructOf gives each field its own
type Shape = Readonly<Record<string, Codec<any>>>;
export type StructOf<S extends Shape> = { readonly [K in keyof S]: TypeOf<S[K]> };

/** Fields one after the other, in the order of `shape`. */
export function struct<const S extends Shape>(shape: S): Codec<StructOf<S>> {
  const fields = Object.entries<Shape[string]>(shape);
  return {
    bytesMin: fields.reduce((sum, [, codec]) => sum + codec.bytesMin, 0),
    write: (writer, value) => {
      for (const [name, codec] of fields) codec.write(writer, value[name]);
    },
    read: (reader) =>
      Object.fromEntries(fields.map(([name, codec]) => [name, codec.read(reader)])) as unknown as StructOf<S>,
  };
}

/** No arguments, or no result. */
export const nothing = struct({});
