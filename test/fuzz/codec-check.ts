/**
 * Checks of the page codec for one seed: a guest that rewrites pages in many ways, and batches
 * damaged in many ways.
 */

import assert from 'node:assert/strict';
import { errorCode, Prng } from '../../src/base/index.ts';
import { BatchApplier, BatchEncoder, NO_SLOT, SlotMemory } from '../../src/pages/codec/index.ts';
import { pageMap } from '../../src/pages/codec/page-map.testing.ts';
import { applyNaively } from './codec-naive.ts';

export const PAGES = 64;
const SLOTS = PAGES * 2;
const PAGE = 4096;

/** What guests do to a page. */
const WRITERS: readonly ((page: Buffer, prng: Prng) => void)[] = [
  (page) => page.fill(0),
  (page, prng) => page.writeUInt32LE(prng.u32(), prng.below(1024) * 4),
  (page, prng) => page.writeUInt8(prng.below(256), prng.below(PAGE)),
  (page, prng) => {
    for (let word = 0; word < 1024; word++) page.writeUInt32LE(prng.u32(), word * 4);
  },
  (page, prng) => {
    for (let word = 0; word < 1024; word++)
      page.writeUInt32LE((page.readUInt32LE(word * 4) + prng.below(3)) >>> 0, word * 4);
  },
  (page, prng) => {
    page.write('the quick brown fox '.repeat(205), prng.below(8));
  },
  (page, prng) => {
    const from = prng.below(PAGE);
    const length = prng.below(PAGE - from);
    for (let byte = from; byte < from + length; byte++) page[byte] = prng.below(256);
  },
  () => {},
];

export interface Guest {
  readonly memory: SlotMemory;
  readonly current: Buffer;
  readonly reference: Buffer;
  readonly hasReference: boolean[];
}

/** Pages 0 to 63 in slots 0 to 63 (two chunks of 32), their references in slots 64 to 127. */
export function makeGuest(): Guest {
  const shared = new SharedArrayBuffer(SLOTS * PAGE);
  const memory = new SlotMemory(32);
  const bytes = Buffer.from(shared);
  const chunks = [0, 1, 2, 3].map(() => new SharedArrayBuffer(32 * PAGE));
  for (const [index, chunk] of chunks.entries()) memory.set(index, chunk);
  // One flat copy to work on; `publish` writes it into the chunks that the encoder reads.
  return {
    memory,
    current: bytes.subarray(0, PAGES * PAGE),
    reference: bytes.subarray(PAGES * PAGE),
    hasReference: new Array<boolean>(PAGES).fill(false),
  };
}

function publish(guest: Guest): void {
  for (let slot = 0; slot < PAGES; slot++) {
    const at = slot * PAGE;
    guest.memory.of(slot).bytes.set(guest.current.subarray(at, at + PAGE), guest.memory.offset(slot));
    guest.memory
      .of(slot + PAGES)
      .bytes.set(guest.reference.subarray(at, at + PAGE), guest.memory.offset(slot + PAGES));
  }
}

function pageOf(bytes: Buffer, page: number): Buffer {
  return bytes.subarray(page * PAGE, (page + 1) * PAGE);
}

/** Writes to some pages and encodes them; afterwards their references are what was sent. */
export function nextBatch(
  guest: Guest,
  encoder: BatchEncoder,
  prng: Prng,
): { bytes: Uint8Array; pages: number[] } {
  const pages = Array.from({ length: PAGES }, (_, page) => page).filter(() => prng.unit() < 0.5);
  if (pages.length === 0) pages.push(prng.below(PAGES));
  if (prng.unit() < 0.3) pages.reverse();
  for (const page of pages) {
    const writer = WRITERS[prng.below(WRITERS.length)]!;
    writer(pageOf(guest.current, page), prng);
    if (prng.unit() < 0.1) pageOf(guest.current, prng.below(PAGES)).copy(pageOf(guest.current, page));
  }
  publish(guest);
  const { bytes } = encoder.encode({
    pages: Uint32Array.from(pages),
    slots: Int32Array.from(pages, (page) =>
      pageOf(guest.current, page).every((byte) => byte === 0) && prng.unit() < 0.5 ? NO_SLOT : page,
    ),
    referenceSlots: Int32Array.from(pages, (page) =>
      guest.hasReference[page] && prng.unit() < 0.9 ? page + PAGES : NO_SLOT,
    ),
    pack: prng.unit() < 0.7,
  });
  for (const page of pages) {
    guest.hasReference[page] = prng.unit() < 0.7;
    pageOf(guest.current, page).copy(pageOf(guest.reference, page));
  }
  return { bytes, pages };
}

function makeApplier(target: Map<number, Buffer>): BatchApplier {
  return new BatchApplier({ pageCount: PAGES, sink: pageMap(target) });
}

/** Encoder, applier and naive twin agree with the guest over a few iterations. */
export function checkRoundTrip(seed: number): void {
  const prng = new Prng(seed);
  const guest = makeGuest();
  const encoder = new BatchEncoder(guest.memory);
  const target = new Map<number, Buffer>();
  const applier = makeApplier(target);
  const naive = new Map<number, Buffer>();
  for (let round = 0; round < 6; round++) {
    const { bytes, pages } = nextBatch(guest, encoder, prng);
    assert.equal(applier.apply(bytes), pages.length);
    applyNaively(bytes, naive);
    for (const page of pages) {
      assert.ok(pageOf(guest.current, page).equals(target.get(page)!), `page ${page} of round ${round}`);
      assert.ok(pageOf(guest.current, page).equals(naive.get(page)!), `naive page ${page}`);
    }
    const evicted = prng.below(PAGES);
    guest.hasReference[evicted] = false;
  }
}

/** A damaged batch ends in one of our codes, or in pages that are all of this RAM; never in anything else. */
export function checkDamagedBatch(seed: number): void {
  const prng = new Prng(seed);
  const guest = makeGuest();
  const encoder = new BatchEncoder(guest.memory);
  const target = new Map<number, Buffer>();
  const applier = makeApplier(target);
  for (let round = 0; round < 3; round++) {
    const bytes = Uint8Array.from(nextBatch(guest, encoder, prng).bytes);
    const damaged = damage(bytes, prng);
    try {
      applier.apply(damaged);
    } catch (error) {
      assert.match(errorCode(error), /^CODEC_/, String(error));
    }
    for (const page of target.keys()) assert.ok(page >= 0 && page < PAGES);
  }
}

function damage(bytes: Uint8Array, prng: Prng): Uint8Array {
  switch (prng.below(4)) {
    case 0:
      return bytes.subarray(0, prng.below(bytes.length));
    case 1:
      return Buffer.concat([bytes, Buffer.alloc(1 + prng.below(40), prng.below(256))]);
    default: {
      // Most of the structure stands in the first bytes: headers and records.
      const reach = prng.unit() < 0.7 ? Math.min(200, bytes.length) : bytes.length;
      for (let flips = 1 + prng.below(4); flips > 0; flips--) bytes[prng.below(reach)] = prng.below(256);
      return bytes;
    }
  }
}
