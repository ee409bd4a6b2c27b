/** What the gateway's stages take of a thread, each alone: the same code as in a migration. */

import { MIB, Prng } from '../../base/index.ts';
import { BatchEncoder, heatTickOf, NO_SLOT, PageStore, SlotMemory } from '../../pages/index.ts';
import { RAM_RECORD_BYTES_MAX, StreamEncoder } from '../../stream/index.ts';
import { makeRamLayout, PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { threadNanoseconds } from './sockets.ts';

const PAGES = (64 * MIB) / PAGE_SIZE_BYTES;
const BATCH_PAGES = 256;
/** A thread's clock is coarse: a round repeats its work for this long. The first one warms the code up. */
const ROUND_MS = 200;
const ROUNDS = 3;

async function bestOf(amount: number, work: () => void): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round <= ROUNDS; round++) {
    let times = 0;
    const spent = await threadNanoseconds(amount, () => {
      for (const untilMs = performance.now() + ROUND_MS; performance.now() < untilMs; times++) work();
    });
    if (round > 0) best = Math.min(best, spent / times);
  }
  return best;
}

export interface StoreCost {
  readonly nanosecondsPerByte: number;
  readonly nanosecondsPerZeroPage: number;
}

/** Into the store, and out of its queue again: what the intake's thread does beside reading its socket. */
export async function storeCost(): Promise<StoreCost> {
  const source = Buffer.alloc(PAGE_SIZE_BYTES + 8, 0xa5);
  const out = new Uint32Array(BATCH_PAGES);
  const store = new PageStore({ pageCount: PAGES, memoryBytesMax: PAGES * (PAGE_SIZE_BYTES + 64) + 8 * MIB });
  let tick = 0;
  const empty = () => {
    for (
      let count = store.index.take(BATCH_PAGES, out);
      count > 0;
      count = store.index.take(BATCH_PAGES, out)
    )
      for (let at = 0; at < count; at++) store.release(out[at]!);
    tick += 100;
  };
  const perByte = await bestOf(PAGES * PAGE_SIZE_BYTES, () => {
    for (let page = 0; page < PAGES; page++) store.put(page, heatTickOf(tick), source, 8);
    empty();
  });
  const perZero = await bestOf(PAGES, () => {
    for (let page = 0; page < PAGES; page++) store.putZero(page, heatTickOf(tick));
    empty();
  });
  return { nanosecondsPerByte: perByte, nanosecondsPerZeroPage: perZero };
}

export interface EncodeCost extends StoreCost {
  readonly packNanosecondsPerByte: number;
  readonly deltaNanosecondsPerPage: number;
}

/** `text`, whose pages pack about 2.6 to 1. */
const WORDS = ['mémoire ', 'page ', 'cold ', 'hot ', 'stream ', 'of a guest ', 'written ', 'again '];

function fill(memory: Buffer, isText: boolean): void {
  const prng = new Prng(1);
  if (!isText) {
    for (let at = 0; at < memory.length; at += 4) memory.writeUInt32LE(prng.u32(), at);
    return;
  }
  for (let at = 0; at < memory.length; ) {
    at += Math.max(1, memory.write(WORDS[prng.below(WORDS.length)]!, at, 'latin1'));
    if (at < memory.length) memory[at++] = prng.u32() & 0xff;
  }
}

/** Batches of raw pages with their checksum, of packed ones, of one-word deltas and of zeros. */
export async function encodeCost(): Promise<EncodeCost> {
  const chunk = new SharedArrayBuffer(2 * PAGES * PAGE_SIZE_BYTES);
  const bytes = Buffer.from(chunk);
  const memory = new SlotMemory(2 * PAGES);
  memory.set(0, chunk);
  const encoder = new BatchEncoder(memory);
  const run = (slot: (page: number) => number, reference: (page: number) => number, pack: boolean) => () => {
    for (let first = 0; first < PAGES; first += BATCH_PAGES) {
      const pages = Uint32Array.from({ length: BATCH_PAGES }, (_, index) => first + index);
      const slots = Int32Array.from(pages, slot);
      encoder.encode({ pages, slots, referenceSlots: Int32Array.from(pages, reference), pack });
    }
  };
  const own = (page: number) => page;
  const none = () => NO_SLOT;
  fill(bytes, false);
  const raw = await bestOf(PAGES * PAGE_SIZE_BYTES, run(own, none, false));
  const zero = await bestOf(PAGES, run(none, none, false));
  bytes.copy(bytes, PAGES * PAGE_SIZE_BYTES, 0, PAGES * PAGE_SIZE_BYTES);
  for (let page = 0; page < PAGES; page++) bytes[page * PAGE_SIZE_BYTES + 512]! ^= 1;
  const delta = await bestOf(
    PAGES,
    run(own, (page) => PAGES + page, true),
  );
  fill(bytes, true);
  const packed = await bestOf(PAGES * PAGE_SIZE_BYTES, run(own, none, true));
  return {
    nanosecondsPerByte: raw,
    nanosecondsPerZeroPage: zero,
    packNanosecondsPerByte: Math.max(0, packed - raw),
    deltaNanosecondsPerPage: delta,
  };
}

/** Pages into a QEMU stream: what a feeder does beside writing its socket. */
export async function emitCost(): Promise<StoreCost> {
  const layout = makeRamLayout([{ id: 'pc.ram', sizeBytes: PAGES * PAGE_SIZE_BYTES }]);
  const pages = Buffer.alloc(PAGES * PAGE_SIZE_BYTES, 0x5a);
  const out = Buffer.allocUnsafeSlow(MIB);
  const run = (emit: (encoder: StreamEncoder, at: number, page: number) => number) => () => {
    const encoder = new StreamEncoder({ layout, sectionId: 2, footers: true });
    let at = encoder.openSection(out, 0, 'part');
    for (let page = 0; page < PAGES; page++) {
      if (at + RAM_RECORD_BYTES_MAX > out.length) at = 0;
      at = emit(encoder, at, page);
    }
  };
  return {
    nanosecondsPerByte: await bestOf(
      PAGES * PAGE_SIZE_BYTES,
      run((encoder, at, page) => encoder.page(out, at, page, pages, page * PAGE_SIZE_BYTES)),
    ),
    nanosecondsPerZeroPage: await bestOf(
      PAGES,
      run((encoder, at, page) => encoder.zeroPage(out, at, page)),
    ),
  };
}
