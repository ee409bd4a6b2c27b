/**
 * How fast pages are encoded, on one core and on two. Code-like pages come from the machine code of
 * the running node binary. Each round runs contestant and baseline, so that noise on the machine hits
 * both; figures are medians.
 */

import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { MIB, median, Prng } from '../src/base/index.ts';
import { WorkerPool } from '../src/link/index.ts';
import {
  BatchEncoder,
  type BatchRequest,
  codecTaskModule,
  NO_SLOT,
  ParallelCodec,
  SlotMemory,
} from '../src/pages/index.ts';
import { PAGE_SIZE_BYTES } from '../src/vm/index.ts';
import type { Bench, BenchOptions } from './registry.ts';
import { relayRate } from './relay.ts';

const BATCH_PAGES = 256;

interface Workload {
  readonly chunk: SharedArrayBuffer;
  readonly batches: readonly BatchRequest[];
  readonly bytes: number;
}

/** Slots 0 .. n-1 hold the pages, n .. 2n-1 the references. */
function workload(
  pageCount: number,
  fill: (page: Buffer, reference: Buffer, index: number) => boolean,
): Workload {
  const chunk = new SharedArrayBuffer(2 * pageCount * PAGE_SIZE_BYTES);
  const bytes = Buffer.from(chunk);
  const at = (slot: number) => bytes.subarray(slot * PAGE_SIZE_BYTES, (slot + 1) * PAGE_SIZE_BYTES);
  const referenceSlots = Int32Array.from({ length: pageCount }, (_, index) =>
    fill(at(index), at(pageCount + index), index) ? pageCount + index : NO_SLOT,
  );
  const batches: BatchRequest[] = [];
  for (let first = 0; first < pageCount; first += BATCH_PAGES) {
    const pages = Uint32Array.from({ length: BATCH_PAGES }, (_, index) => first + index);
    batches.push({
      pages,
      slots: Int32Array.from(pages),
      referenceSlots: referenceSlots.slice(first, first + BATCH_PAGES),
      pack: true,
    });
  }
  return { chunk, batches, bytes: pageCount * PAGE_SIZE_BYTES };
}

function codeLike(pageCount: number): Workload {
  const file = openSync(process.execPath, 'r');
  // A third into the file: machine code, before the tables and the snapshot at the end.
  let position = Math.floor(statSync(process.execPath).size / 3);
  const work = workload(pageCount, (page) => {
    do {
      readSync(file, page, 0, PAGE_SIZE_BYTES, position);
      position += PAGE_SIZE_BYTES;
    } while (page.every((byte) => byte === 0));
    return false;
  });
  closeSync(file);
  return work;
}

function noisePage(page: Buffer, prng: Prng): void {
  for (let at = 0; at < page.length; at += 4) page.writeUInt32LE(prng.u32(), at);
}

/** Incompressible bodies in which one word was written: what stress does. */
function oneWord(pageCount: number): Workload {
  const prng = new Prng(1);
  return workload(pageCount, (page, reference) => {
    noisePage(reference, prng);
    reference.copy(page);
    page.writeUInt32LE(prng.u32(), prng.below(1024) * 4);
    return true;
  });
}

function incompressible(pageCount: number): Workload {
  const prng = new Prng(2);
  return workload(pageCount, (page) => {
    noisePage(page, prng);
    return false;
  });
}

/** Bytes of pages per second, and bytes made per page. */
function encodeRate(work: Workload): { bytesPerSecond: number; bytesPerPage: number } {
  const memory = new SlotMemory(work.chunk.byteLength / PAGE_SIZE_BYTES);
  memory.set(0, work.chunk);
  const encoder = new BatchEncoder(memory);
  const startMs = performance.now();
  let made = 0;
  for (const batch of work.batches) made += encoder.encode(batch).bytes.length;
  const seconds = (performance.now() - startMs) / 1000;
  return { bytesPerSecond: work.bytes / seconds, bytesPerPage: (made * PAGE_SIZE_BYTES) / work.bytes };
}

async function runCodec({ quick, log }: BenchOptions): Promise<Record<string, unknown>> {
  const pages = quick ? 2048 : 8192;
  const contestants = { code: codeLike(pages), word: oneWord(pages), noise: incompressible(pages) };
  const rates: Record<string, number[]> = { code: [], word: [], noise: [], relay: [] };
  const perPage: Record<string, number> = {};
  for (let round = 0; round < (quick ? 3 : 9); round++) {
    for (const [name, work] of Object.entries(contestants)) {
      const { bytesPerSecond, bytesPerPage } = encodeRate(work);
      rates[name]!.push(bytesPerSecond);
      perPage[name] = bytesPerPage;
    }
    rates['relay']!.push(await relayRate((quick ? 64 : 256) * MIB));
    log(`codec: round ${round + 1}`);
  }
  const middle = (name: string) => Math.round(median(rates[name]!)!);
  return {
    bytesPerSecond: middle('code'),
    oneWordDeltaBytesPerSecond: middle('word'),
    incompressibleBytesPerSecond: middle('noise'),
    baselineBytesPerSecond: middle('relay'),
    codeBytesPerPage: Number(perPage['code']!.toFixed(1)),
    oneWordDeltaBytesPerPage: Number(perPage['word']!.toFixed(2)),
    incompressibleBytesPerPage: Number(perPage['noise']!.toFixed(1)),
    ratio: Number((middle('code') / middle('relay')).toFixed(3)),
  };
}

/** All batches through a pool of `size` workers, a few ahead of each worker as the gateway keeps them. */
async function poolRate(work: Workload, size: number): Promise<number> {
  const slotsPerChunk = work.chunk.byteLength / PAGE_SIZE_BYTES;
  const pool = new WorkerPool({ size, module: codecTaskModule, init: { slotsPerChunk } });
  const codec = new ParallelCodec(pool);
  codec.setChunk(0, work.chunk);
  // Threads start, code is compiled.
  await Promise.all(work.batches.slice(0, 4 * size).map((batch) => codec.encode(batch)));
  const startMs = performance.now();
  let next = 0;
  const feed = async () => {
    while (next < work.batches.length) await codec.encode(work.batches[next++]!);
  };
  await Promise.all(Array.from({ length: 3 * size }, feed));
  const seconds = (performance.now() - startMs) / 1000;
  await pool.close();
  return work.bytes / seconds;
}

async function runWorkers({ quick, log }: BenchOptions): Promise<Record<string, unknown>> {
  const work = codeLike(quick ? 4096 : 16_384);
  const one: number[] = [];
  const two: number[] = [];
  for (let round = 0; round < (quick ? 3 : 9); round++) {
    one.push(await poolRate(work, 1));
    two.push(await poolRate(work, 2));
    log(`codec-workers: ${(two.at(-1)! / one.at(-1)!).toFixed(2)}`);
  }
  return {
    speedup: Number(median(two.map((rate, round) => rate / one[round]!))!.toFixed(3)),
    oneBytesPerSecond: Math.round(median(one)!),
    twoBytesPerSecond: Math.round(median(two)!),
  };
}

export const benches: readonly Bench[] = [
  { name: 'codec', needsQemu: false, run: runCodec },
  { name: 'codec-workers', needsQemu: false, run: runWorkers },
];
