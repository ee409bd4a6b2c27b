/**
 * The content of a guest page as a function of seed, page number and write counter: the twin of
 * bare/content.c, so that the host can judge a memory dump without the guest. u64 as two u32; a change in one
 * needs the same change in the other.
 */

import { bodyOf, type GuestBody, type GuestOptions, type GuestWorkload } from './options.ts';

export const PAGE_BYTES = 4096;
const SEGMENT_COUNT = 8;
const SEGMENT_WORDS = 64;
const DICTIONARY_WORDS = 32;

export interface PageContent {
  readonly seed: number;
  readonly workload: GuestWorkload;
  readonly body: GuestBody;
}

export function pageContentOf(options: Pick<GuestOptions, 'seed' | 'workload' | 'body'>): PageContent {
  return { seed: options.seed, workload: options.workload, body: bodyOf(options) };
}

/**
 * The 4,096 bytes of a filled page that was written `counter` times. `pageNumber` is the physical address /
 * 4,096. The result is `into` when given, which must be 1,024 words.
 */
export function expectedPage(
  content: PageContent,
  pageNumber: number,
  counter: number,
  into: Uint32Array = new Uint32Array(PAGE_BYTES / 4),
): Uint32Array {
  const low = mix32(content.seed ^ mix32(pageNumber + 0x9e3779b9));
  const high = mix32((low + 0x7f4a7c15) ^ mix32(pageNumber ^ 0x2545f491));
  for (let segment = 0; segment < SEGMENT_COUNT; segment++) {
    const key = Math.imul(segmentVersion(content.workload, counter, segment), SEGMENT_COUNT) + segment;
    fillSegment(
      into,
      segment * SEGMENT_WORDS * 2,
      content.body,
      mix32(low ^ mix32(key)) | 1,
      mix32(high + mix32(key ^ 0x68e31da4)),
    );
  }
  into[0] = counter;
  into[1] = mix32(high + counter);
  into[2] = pageNumber;
  into[3] = 0;
  into[4] = low;
  into[5] = high;
  return into;
}

/** The write that last changed the body's segment of a page written `counter` times. */
function segmentVersion(workload: GuestWorkload, counter: number, segment: number): number {
  if (workload === 'stress') return 0;
  if (workload !== 'mixed') return counter;
  const age = (counter - segment) & (SEGMENT_COUNT - 1);
  return counter < age ? 0 : counter - age;
}

export function mix32(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/** Fills `words` u64 words with the xorshift64 sequence that follows the state (low, high). */
export function fillRandom(into: Uint32Array, at: number, words: number, low: number, high: number): void {
  const end = at + words * 2;
  for (let place = at; place < end; place += 2) {
    high ^= (high << 13) | (low >>> 19);
    low ^= low << 13;
    low ^= (low >>> 7) | (high << 25);
    high ^= high >>> 7;
    high ^= (high << 17) | (low >>> 15);
    low ^= low << 17;
    into[place] = low;
    into[place + 1] = high;
  }
}

const dictionary = new Uint32Array(DICTIONARY_WORDS * 2);
fillRandom(dictionary, 0, DICTIONARY_WORDS, 0x7f4a7c15, 0x9e3779b9);

// The header is put over the first words of segment 0 afterwards.
function fillSegment(into: Uint32Array, at: number, body: GuestBody, low: number, high: number): void {
  if (body === 'zero') {
    into.fill(0, at, at + SEGMENT_WORDS * 2);
    return;
  }
  if (body === 'random') {
    fillRandom(into, at, SEGMENT_WORDS, low, high);
    return;
  }
  for (let word = 0; word < SEGMENT_WORDS; word += 4) {
    const place = at + word * 2;
    fillRandom(into, place, 1, low, high);
    low = into[place]!;
    high = into[place + 1]!;
    for (let copy = 0; copy < 3; copy++) {
      const entry = (low >>> (copy * 8)) & (DICTIONARY_WORDS - 1);
      into[place + 2 + copy * 2] = dictionary[entry * 2]!;
      into[place + 3 + copy * 2] = dictionary[entry * 2 + 1]!;
    }
  }
}
