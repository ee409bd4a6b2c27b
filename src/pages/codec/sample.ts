/** Cheap looks at a page: is it all zero, does it look incompressible, what is its fingerprint. */

import { PAGE_WORDS } from './format.ts';

export function isZero(words: Uint32Array, at: number): boolean {
  if (words[at] !== 0) return false;
  for (let word = at; word < at + PAGE_WORDS; word += 4) {
    if ((words[word]! | words[word + 1]! | words[word + 2]! | words[word + 3]!) !== 0) return false;
  }
  return true;
}

export function isEqual(left: BigInt64Array, leftAt: number, right: BigInt64Array, rightAt: number): boolean {
  for (let long = 0; long < PAGE_WORDS / 2; long += 4) {
    const l = leftAt + long;
    const r = rightAt + long;
    if (
      left[l] !== right[r] ||
      left[l + 1] !== right[r + 1] ||
      left[l + 2] !== right[r + 2] ||
      left[l + 3] !== right[r + 3]
    ) {
      return false;
    }
  }
  return true;
}

const SAMPLE_WORDS = 32;
/** Odd, so that fields at fixed places of power-of-two records are all seen. */
const SAMPLE_STRIDE = 31;
/**
 * 128 bytes drawn at random from 256 values show 101 different ones on average, and below 89 in none of 2,048
 * pages of noise. Of 8,192 pages of machine code 99 % show fewer than 84, half of them fewer than 43.
 */
const DISTINCT_RANDOM = 88;

const seen = new Uint8Array(256);
let generation = 0;

/**
 * Whether sampled words look like noise, byte by byte, and do not repeat either: such a page is
 * sent as it is.
 */
export function looksRandom(words: Uint32Array, at: number): boolean {
  generation = (generation + 1) & 0xff;
  if (generation === 0) {
    seen.fill(0);
    cellGeneration.fill(0);
    generation = 1;
  }
  let distinct = 0;
  for (let sample = 0; sample < SAMPLE_WORDS; sample++) {
    let value = words[at + sample * SAMPLE_STRIDE]!;
    for (let byte = 0; byte < 4; byte++) {
      const index = value & 0xff;
      if (seen[index] !== generation) {
        seen[index] = generation;
        distinct++;
      }
      value >>>= 8;
    }
  }
  return distinct >= DISTINCT_RANDOM && !repeats(words, at);
}

const REPEAT_SAMPLE_WORDS = 64;
const REPEAT_STRIDE = 15;
/**
 * In 64 words of noise two pairs are met in one page of 10^13: pointers, hashes and dictionaries repeat
 * although their bytes look random.
 */
const REPEATS_MIN = 2;

const cells = new Uint32Array(256);
const cellGeneration = new Uint8Array(256);

function repeats(words: Uint32Array, at: number): boolean {
  let repeated = 0;
  for (let sample = 0; sample < REPEAT_SAMPLE_WORDS; sample++) {
    const value = words[at + sample * REPEAT_STRIDE]!;
    const cell = Math.imul(value, 0x9e3779b1) >>> 24;
    if (cellGeneration[cell] === generation && cells[cell] === value) {
      if (++repeated === REPEATS_MIN) return true;
    }
    cells[cell] = value;
    cellGeneration[cell] = generation;
  }
  return false;
}

/** 16 words spread over the page, mixed; equal pages have equal fingerprints, others seldom. */
export function fingerprint(words: Uint32Array, at: number): number {
  let mixed = 0x9e3779b9;
  for (let word = 7; word < PAGE_WORDS; word += 65) {
    mixed = Math.imul(mixed ^ words[at + word]!, 0x85ebca6b);
    mixed ^= mixed >>> 15;
  }
  return mixed >>> 0;
}
