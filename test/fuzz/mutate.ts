/**
 * Damage to bytes that knows nothing of their meaning, and to JSON that knows its tree. Pure: the
 * dice are handed in.
 */

import type { Prng } from '../../src/base/index.ts';

const EDGES = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/** One change or a few; `other` is an input of the corpus to splice with. */
export function mutateBytes(
  bytes: Uint8Array,
  other: Uint8Array,
  prng: Prng,
  words: readonly string[] = [],
): Uint8Array {
  let result: Uint8Array = Uint8Array.from(bytes);
  for (let count = 1 + Math.floor(prng.exponential()); count > 0; count--) {
    result = mutateOnce(result, other, prng, words);
  }
  return result;
}

function mutateOnce(bytes: Uint8Array, other: Uint8Array, prng: Prng, words: readonly string[]): Uint8Array {
  if (bytes.length === 0) return other.length > 0 ? Uint8Array.from(other) : Uint8Array.of(prng.below(256));
  const at = placeIn(bytes, prng);
  switch (prng.below(words.length > 0 ? 10 : 8)) {
    case 0:
      bytes[at]! ^= 1 << prng.below(8);
      return bytes;
    case 1:
      bytes[at] = prng.below(256);
      return bytes;
    case 2:
      return withEdge(bytes, at, prng);
    case 3:
      return bytes.subarray(0, at);
    case 4:
      return joined(bytes.subarray(0, at), bytes.subarray(at + 1 + prng.below(32)));
    case 5: {
      const from = prng.below(bytes.length);
      const part = bytes.slice(from, from + 1 + prng.below(prng.below(8) === 0 ? 5000 : 64));
      return joined(bytes.subarray(0, at), part, bytes.subarray(at));
    }
    case 6: {
      const from = prng.below(other.length + 1);
      return joined(bytes.subarray(0, at), other.subarray(from));
    }
    case 7: {
      // A number of some width that moves by a little: lengths and counts.
      bytes[at] = bytes[at]! + (prng.below(2) === 0 ? 1 : -1) * (1 + prng.below(16));
      return bytes;
    }
    default: {
      const word = Buffer.from(words[prng.below(words.length)]!, 'utf8');
      const end = prng.below(2) === 0 ? at : at + word.length;
      return joined(bytes.subarray(0, at), word, bytes.subarray(end));
    }
  }
}

/** Half of the time near the front, where headers stand. */
function placeIn(bytes: Uint8Array, prng: Prng): number {
  return prng.below(prng.below(2) === 0 ? Math.min(64, bytes.length) : bytes.length);
}

/** An edge value as 1 to 8 bytes, of either order. */
function withEdge(bytes: Uint8Array, at: number, prng: Prng): Uint8Array {
  const width = [1, 2, 4, 8][prng.below(4)]!;
  const field = Buffer.alloc(8, prng.below(8) === 0 ? 0xff : 0);
  const little = prng.below(2) === 0;
  field.writeUInt32BE(EDGES[prng.below(EDGES.length)]!, 4);
  const value = field.subarray(8 - width);
  if (little) value.reverse();
  bytes.set(value.subarray(0, Math.max(0, bytes.length - at)), at);
  return bytes;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const ODD_VALUES: readonly Json[] = [
  ...[null, true, false, 0, -1, 0.5, 1e308, -1e308, 2 ** 31, 2 ** 53, 2 ** 53 + 2, 1e-320],
  ...['', '0', 'null', '-', '\u0000', '\u001b[2J', '../../..', '__proto__', 'constructor', 'ё', '\ud800'],
  ...[[], {}, [[]], [null], { __proto__: null }, 'x'.repeat(5000)],
];

/**
 * One node of one line of JSON is replaced, doubled, renamed, wrapped or taken out. null: no line is JSON.
 */
export function mutateJsonLine(bytes: Uint8Array, prng: Prng): Uint8Array | null {
  const lines = Buffer.from(bytes).toString('utf8').split('\n');
  const index = prng.below(lines.length);
  let value: Json;
  try {
    value = JSON.parse(lines[index]!) as Json;
  } catch {
    return null;
  }
  const places = nodesOf({ root: value });
  const { parent, key } = places[prng.below(places.length)]!;
  change(parent, key, prng);
  lines[index] = JSON.stringify(places[0]!.parent['root']) ?? 'null';
  if (prng.below(6) === 0) lines.splice(index, 0, lines[prng.below(lines.length)]!);
  return Buffer.from(lines.join('\n'));
}

interface Place {
  readonly parent: Record<string, Json>;
  readonly key: string;
}

function nodesOf(root: Record<string, Json>): Place[] {
  const places: Place[] = [];
  const visit = (parent: Record<string, Json>) => {
    for (const key of Object.keys(parent)) {
      places.push({ parent, key });
      const value = parent[key];
      if (value !== null && typeof value === 'object') visit(value as Record<string, Json>);
    }
  };
  visit(root);
  return places;
}

function change(parent: Record<string, Json>, key: string, prng: Prng): void {
  const value = parent[key]!;
  switch (prng.below(6)) {
    case 0:
      delete parent[key];
      return;
    case 1:
      parent[`${key}${['', '-', 'x', '__proto__'][prng.below(4)]}`] = value;
      return;
    case 2: {
      let wrapped: Json = value;
      for (let depth = 1 + prng.below(prng.below(10) === 0 ? 300 : 3); depth > 0; depth--)
        wrapped = [wrapped];
      parent[key] = wrapped;
      return;
    }
    case 3:
      parent[key] =
        typeof value === 'number' ? value * [-1, 2, 0.5, 1e9, 1e300][prng.below(5)]! : String(value);
      return;
    default:
      parent[key] = ODD_VALUES[prng.below(ODD_VALUES.length)]!;
  }
}

/** For targets of JSON lines: mostly by the tree, else by bytes. */
export function mutateJson(bytes: Uint8Array, prng: Prng): Uint8Array {
  const changed = prng.below(4) === 0 ? null : mutateJsonLine(bytes, prng);
  return changed ?? mutateBytes(bytes, bytes, prng, JSON_WORDS);
}

const JSON_WORDS = ['{"', '":', '[', ']', '{}', '\n', '\\u0000', '"', 'null', '1e999', '\r\n', '\ufeff'];
