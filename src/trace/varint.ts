/** Unsigned LEB128 numbers below 2^53 (docs/format/trace.md, 1). */

export const VARINT_BYTES_MAX = 8;

/** Writes `value` and returns the position after it. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let left = value;
  let position = at;
  while (left >= 128) {
    target[position++] = (left % 128) | 128;
    left = Math.floor(left / 128);
  }
  target[position++] = left;
  return position;
}

export interface Varint {
  readonly value: number;
  readonly end: number;
}

/** null: it goes on beyond `end`. 'malformed': longer than it may be, too large, or not the shortest form. */
export function readVarint(source: Uint8Array, at: number, end: number): Varint | null | 'malformed' {
  let value = 0;
  let scale = 1;
  for (let position = at; position < at + VARINT_BYTES_MAX; position++) {
    if (position >= end) return null;
    const byte = source[position]!;
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte < 128) {
      const padded = byte === 0 && position > at;
      return padded || value > Number.MAX_SAFE_INTEGER ? 'malformed' : { value, end: position + 1 };
    }
  }
  return 'malformed';
}
