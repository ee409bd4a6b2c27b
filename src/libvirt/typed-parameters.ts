/**
 * libvirt's typed parameters: named values that say their type. Field names are libvirt's
 * (VIR_MIGRATE_PARAM_*, VIR_DOMAIN_JOB_*).
 */

import { array, type Codec, double, hyper, int, string, struct, uhyper, uint, words } from './codec.ts';
import { protocolError } from './errors.ts';
import type { XdrReader, XdrWriter } from './xdr.ts';

export type TypedValue =
  | { readonly type: 'int' | 'uint' | 'double'; readonly value: number }
  | { readonly type: 'llong' | 'ullong'; readonly value: bigint }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string };

export interface TypedParameter {
  readonly field: string;
  readonly value: TypedValue;
}

/**
 * In the order of VIR_TYPED_PARAM_INT = 1 to VIR_TYPED_PARAM_STRING = 7. libvirt reads any number but 0 as
 * true.
 */
const truth: Codec<boolean> = {
  bytesMin: 4,
  write: (writer, value) => writer.int(value ? 1 : 0),
  read: (reader) => reader.int() !== 0,
};
// biome-ignore lint/suspicious/noExplicitAny: TypedValue ties each type to its value
const KINDS: readonly (readonly [TypedValue['type'], Codec<any>])[] = [
  ['int', int],
  ['uint', uint],
  ['llong', hyper],
  ['ullong', uhyper],
  ['double', double],
  ['boolean', truth],
  ['string', words],
];

const typedValue: Codec<TypedValue> = {
  bytesMin: 8,
  write: (writer: XdrWriter, { type, value }: TypedValue) => {
    const index = KINDS.findIndex(([name]) => name === type);
    writer.int(index + 1);
    KINDS[index]![1].write(writer, value);
  },
  read: (reader: XdrReader) => {
    const number = reader.int();
    const kind = KINDS[number - 1];
    if (kind === undefined) throw protocolError('3', `a typed parameter of the unknown type ${number}`);
    return { type: kind[0], value: kind[1].read(reader) };
  },
};

const typedParameter: Codec<TypedParameter> = struct({ field: string, value: typedValue });

export function typedParameters(countMax: number): Codec<readonly TypedParameter[]> {
  return array(typedParameter, countMax);
}

export function stringParameter(field: string, value: string): TypedParameter {
  return { field, value: { type: 'string', value } };
}

export function ullongParameter(field: string, value: bigint): TypedParameter {
  return { field, value: { type: 'ullong', value } };
}

/** The first of that name; null where there is none. */
function findParameter(parameters: readonly TypedParameter[], field: string): TypedValue['value'] | null {
  return parameters.find((one) => one.field === field)?.value.value ?? null;
}

/** A number of whatever integer type; null where it is missing, no number, or beyond what a double counts. */
export function findNumber(parameters: readonly TypedParameter[], field: string): number | null {
  const value = findParameter(parameters, field);
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : null;
  }
  return typeof value === 'number' ? value : null;
}
