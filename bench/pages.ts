/**
 * What the page index and the page store cost, on memory alone. Beside them, from the same run: a plain
 * byte relay, and a copy of the same bytes through as much memory. Not responsible for the stream, the
 * codec or any socket.
 */

import { performance } from 'node:perf_hooks';
import { GIB, MIB, median, Prng } from '../src/base/index.ts';
import { heatTickOf, PageChecksum, PageIndex, PageStore } from '../src/pages/index.ts';
import { type Hold, PAGE_SIZE_BYTES } from '../src/vm/index.ts';
import type { Bench, BenchOptions } from './registry.ts';
import { relayRate } from './relay.ts';

/** A page as it lies in QEMU's stream: after an 8-byte header, so at no aligned place. */
const RECORD_BYTES = PAGE_SIZE_BYTES + 8;
const BATCH_PAGES = 256;
const HOLD: Hold = { kind: 'window', theta: 3, of: 4, leaveAfterClean: 2 };

interface Timed {
  readonly work: number;
  readonly ms: number;
}

function perSecond(samples: readonly Timed[]): number {
  return median(samples.map(({ work, ms }) => (work * 1000) / ms))!;
}

function timed(work: number, run: () => void): Timed {
  const startMs = performance.now();
  run();
  return { work, ms: performance.now() - startMs };
}

/** Every page into the store, then every page out of it in the order in force, a batch at a time. */
function throughStore(
  store: PageStore,
  pageCount: number,
  source: Buffer,
  target: Buffer,
  tick: number,
): void {
  const batch = new Uint32Array(BATCH_PAGES);
  for (let page = 0; page < pageCount; page++) {
    store.put(page, tick, source, 5 + (page % BATCH_PAGES) * RECORD_BYTES);
  }
  for (;;) {
    const count = store.index.take(BATCH_PAGES, batch);
    if (count === 0) break;
    for (let at = 0; at < count; at++) {
      store.copyInto(batch[at]!, target, at * RECORD_BYTES);
      store.release(batch[at]!);
    }
  }
}

/** The same pages from the same buffer, through as much memory, to the same place. */
function throughMemory(kept: Buffer, pageCount: number, source: Buffer, target: Buffer): void {
  for (let page = 0; page < pageCount; page++) {
    const from = 5 + (page % BATCH_PAGES) * RECORD_BYTES;
    source.copy(kept, page * PAGE_SIZE_BYTES, from, from + PAGE_SIZE_BYTES);
  }
  for (let page = 0; page < pageCount; page++) {
    const from = page * PAGE_SIZE_BYTES;
    kept.copy(target, (page % BATCH_PAGES) * RECORD_BYTES, from, from + PAGE_SIZE_BYTES);
  }
}

async function benchStore({ quick, log }: BenchOptions): Promise<Record<string, unknown>> {
  const pageCount = (quick ? 64 * MIB : 512 * MIB) / PAGE_SIZE_BYTES;
  const rounds = quick ? 3 : 7;
  const prng = new Prng(1);
  const source = Buffer.alloc(BATCH_PAGES * RECORD_BYTES + 8);
  for (let at = 0; at + 4 <= source.length; at += 4) source.writeUInt32LE(prng.u32(), at);
  const target = Buffer.alloc(source.length);
  const kept = Buffer.from(new SharedArrayBuffer(pageCount * PAGE_SIZE_BYTES));
  const store = new PageStore({ pageCount, memoryBytesMax: pageCount * (PAGE_SIZE_BYTES + 16) + MIB });
  const checksum = new PageChecksum();
  const samples: Timed[] = [];
  const copies: Timed[] = [];
  const relays: number[] = [];
  const sums: Timed[] = [];
  const bytes = pageCount * PAGE_SIZE_BYTES;
  for (let round = 0; round <= rounds; round++) {
    relays.push(await relayRate((quick ? 64 : 256) * MIB));
    copies.push(timed(bytes, () => throughMemory(kept, pageCount, source, target)));
    samples.push(timed(bytes, () => throughStore(store, pageCount, source, target, round * 100)));
    store.index.endIteration({ nowMs: (round + 1) * 1600, passes: 1, bandwidthBytesPerSecond: null });
    sums.push(
      timed(bytes, () => {
        for (let page = 0; page < pageCount; page++) checksum.add(page, kept, page * PAGE_SIZE_BYTES);
      }),
    );
    log(`round ${round} of ${rounds}`);
  }
  // The first round touches memory for the first time.
  return {
    bytesPerSecond: perSecond(samples.slice(1)),
    baselineBytesPerSecond: Math.round(median(relays)!),
    copyBytesPerSecond: perSecond(copies.slice(1)),
    checksumBytesPerSecond: perSecond(sums.slice(1)),
    pages: pageCount,
  };
}

function arrivals(index: PageIndex, pages: Uint32Array, startMs: number, durationMs: number): void {
  const passes = 4;
  const perPass = Math.ceil(pages.length / passes);
  for (let pass = 0; pass < passes; pass++) {
    const tick = heatTickOf(startMs + (pass * durationMs) / passes);
    const end = Math.min(pages.length, (pass + 1) * perPass);
    for (let at = pass * perPass; at < end; at++) index.arrive(pages[at]!, tick);
  }
}

function measureIndex(pageCount: number, pages: Uint32Array, iterations: number) {
  const index = new PageIndex(pageCount);
  const out = new Uint32Array(BATCH_PAGES);
  const drain = () => {
    let taken = 0;
    for (let count = index.take(BATCH_PAGES, out); count > 0; count = index.take(BATCH_PAGES, out))
      taken += count;
    return taken;
  };
  const end = (nowMs: number) => index.endIteration({ nowMs, passes: 4, bandwidthBytesPerSecond: null });
  for (let page = 0; page < pageCount; page++) index.arrive(page, 0);
  const firstPass = timed(pageCount, drain);
  end(1000);
  index.setHold(HOLD);
  const arrive: Timed[] = [];
  const close: Timed[] = [];
  for (let iteration = 1; iteration <= iterations; iteration++) {
    const startMs = iteration * 1000;
    arrive.push(timed(pages.length, () => arrivals(index, pages, startMs, 1000)));
    close.push(timed(pages.length, () => void end(startMs + 1000)));
    drain();
  }
  return {
    arrivalsPerSecond: perSecond(arrive.slice(2)),
    endIterationNsPerArrival: 1e9 / perSecond(close.slice(2)),
    takesPerSecond: perSecond([firstPass]),
  };
}

async function benchIndex({ quick }: BenchOptions): Promise<Record<string, unknown>> {
  const pageCount = (quick ? GIB : 4 * GIB) / PAGE_SIZE_BYTES;
  const iterations = quick ? 6 : 16;
  const prng = new Prng(2);
  const ascending = Uint32Array.from({ length: pageCount }, (_, page) => page);
  const random = Uint32Array.from({ length: pageCount }, () => prng.below(pageCount));
  // QEMU walks its dirty bitmap: a pass brings pages in ascending order.
  const passes = measureIndex(pageCount, ascending, iterations);
  const scattered = measureIndex(pageCount, random, iterations);
  return { ...passes, randomArrivalsPerSecond: scattered.arrivalsPerSecond, pages: pageCount };
}

async function benchBookkeeping(): Promise<Record<string, unknown>> {
  const pageCount = GIB / PAGE_SIZE_BYTES;
  const at = (references: boolean) =>
    new PageStore({ pageCount, memoryBytesMax: 4 * GIB, references }).bookkeepingBytes / pageCount;
  return { bytesPerPage: at(true), bytesPerPageWithoutReferences: at(false) };
}

export const benches: readonly Bench[] = [
  { name: 'store', needsQemu: false, run: benchStore },
  { name: 'index', needsQemu: false, run: benchIndex },
  { name: 'bookkeeping', needsQemu: false, run: benchBookkeeping },
];
