/**
 * Three faults that the fuzzer must find: one behind three exact bytes, an endless loop,
 * and memory without end.
 */

export function readPlanted(bytes: Uint8Array): number {
  let depth = 0;
  if (bytes[0] === 0x71) {
    depth = 1;
    if (bytes[1] === 0x9d) {
      depth = 2;
      if (bytes[2] === 0x03) throw new TypeError('the planted fault');
    }
  }
  return depth;
}

export function spin(bytes: Uint8Array): number {
  let turns = 0;
  while (bytes[0] === 0x42) turns++;
  return turns;
}

export function hoard(bytes: Uint8Array): Uint8Array[] {
  const kept: Uint8Array[] = [];
  while (bytes[0] === 0x42) kept.push(new Uint8Array(2 ** 20).fill(1));
  return kept;
}
