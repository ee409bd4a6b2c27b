/**
 * Random writes of large guests: chunk by chunk, each chunk from a seed of its own, so that chunks in which a
 * write would change nothing are not drawn at all and the others are the same either way. Not responsible for
 * which guests count as large (workload.ts).
 */

import { Prng } from '../base/index.ts';
import type { DirtySink } from './types.ts';

/**
 * Pages of a chunk, aligned to pages of their number: large enough that its seed costs nothing, small enough
 * that many are settled early.
 */
const CHUNK_PAGES = 1 << 15;

/** Each page with probability `share`, rounded to 16 bits, independently. */
export function thinLarge(
  seed: number,
  firstPage: number,
  count: number,
  share: number,
  sink: DirtySink,
): void {
  const end = firstPage + count;
  const bits = Math.min(0xffff, Math.max(1, Math.round(share * 0x10000)));
  for (let from = firstPage; from < end; ) {
    const chunk = Math.floor(from / CHUNK_PAGES);
    const to = Math.min(end, (chunk + 1) * CHUNK_PAGES);
    if (!sink.settled?.(from, to - from))
      thinChunk(seed ^ Math.imul(chunk + 1, 0x9e3779b1), from, to, bits, sink);
    from = to;
  }
}

/**
 * Compares 32 random binary fractions with the probability at once, most significant digit first, until all
 * are decided: after 6 digits on average. The generator is that of Prng (sfc32), its state in variables.
 */
function thinChunk(seed: number, firstPage: number, end: number, bits: number, sink: DirtySink): void {
  const prng = new Prng(seed);
  let a = prng.i32();
  let b = prng.i32();
  let c = prng.i32();
  let counter = 1;
  const lastWord = (end - 1) >>> 5;
  for (let word = firstPage >>> 5; word <= lastWord; word++) {
    let undecided = -1;
    if (word * 32 < firstPage) undecided = -1 << (firstPage & 31);
    if (word === lastWord && (end & 31) !== 0) undecided &= (1 << (end & 31)) - 1;
    let mask = 0;
    for (let left = bits; undecided !== 0 && left !== 0; left = (left << 1) & 0xffff) {
      const random = (a + b + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + random) | 0;
      if ((left & 0x8000) !== 0) {
        mask |= undecided & ~random;
        undecided &= random;
      } else undecided &= ~random;
    }
    if (mask !== 0) sink.word(word, mask);
  }
}
