/**
 * How fast a QEMU stream is taken apart and put together again, without sockets unless a row says so. The
 * baseline is a plain copy of the same bytes in the same chunks and the same run. Not responsible for the
 * page store or the gateway.
 */

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { MIB, median, Prng } from '../src/base/index.ts';
import { RAM_RECORD_BYTES_MAX, StreamDecoder, StreamEncoder, type StreamSink } from '../src/stream/index.ts';
import { PAGE_SIZE_BYTES, type RamLayout } from '../src/vm/index.ts';
import type { Bench, BenchOptions } from './registry.ts';
import { ramStart, SAMPLE_SECTION_ID } from './stream-sample.ts';

/** What a unix socket's 'data' events bring. */
const CHUNK_BYTES = 64 * 1024;
const OUT_BYTES = MIB;

interface Sample {
  readonly layout: RamLayout;
  /** A whole stream up to the end of its first PART. */
  readonly bytes: Buffer;
  readonly records: number;
}

/** Header, RAM's START, and one PART of pages in address order, `zeroShare` of them zero. */
function sampleStream(pageCount: number, zeroShare: number): Sample {
  const { bytes: start, layout } = ramStart(pageCount);
  const prng = new Prng(1);
  const body = Buffer.allocUnsafe(PAGE_SIZE_BYTES);
  for (let word = 0; word < PAGE_SIZE_BYTES; word += 4) body.writeUInt32LE(prng.u32(), word);
  const encoder = new StreamEncoder({ layout, sectionId: SAMPLE_SECTION_ID, footers: true });
  const out = Buffer.allocUnsafeSlow(start.length + 64 + pageCount * RAM_RECORD_BYTES_MAX);
  start.copy(out);
  let at = encoder.openSection(out, start.length, 'part');
  for (let page = 0; page < pageCount; page++) {
    at = prng.unit() < zeroShare ? encoder.zeroPage(out, at, page) : encoder.page(out, at, page, body, 0);
  }
  at = encoder.closeSection(out, at);
  return { layout, bytes: out.subarray(0, at), records: pageCount };
}

function inChunks(bytes: Buffer, use: (chunk: Buffer) => void): void {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) use(bytes.subarray(at, at + CHUNK_BYTES));
}

/** A sink that ignores everything but pages. */
function pageSink(
  onPage: StreamSink['onPage'],
  onZeroPage: StreamSink['onZeroPage'] = () => undefined,
): StreamSink {
  const ignore = () => undefined;
  return {
    onHeader: ignore,
    onConfiguration: ignore,
    onCommand: ignore,
    onRamSetup: ignore,
    onEarlySection: ignore,
    onDirtyBitmaps: ignore,
    onPage,
    onZeroPage,
    onRamSectionEnd: ignore,
    onTail: ignore,
    onPassThrough: ignore,
    onPassThroughBytes: ignore,
  };
}

function decodeAll(bytes: Buffer, sink: StreamSink): void {
  const decoder = new StreamDecoder({ capabilities: new Set() }, sink);
  inChunks(bytes, (chunk) => decoder.write(chunk));
}

function secondsOf(work: () => void): number {
  const begin = performance.now();
  work();
  return (performance.now() - begin) / 1000;
}

/** Contestant and baseline alternate; medians, so that a neighbour on the core disturbs both or neither. */
function against(bytes: number, options: BenchOptions, contestant: () => void, baseline: () => void) {
  const rounds = options.quick ? 3 : 9;
  const ours: number[] = [];
  const plain: number[] = [];
  contestant();
  baseline();
  for (let round = 0; round < rounds; round++) {
    ours.push(bytes / secondsOf(contestant));
    plain.push(bytes / secondsOf(baseline));
  }
  const bytesPerSecond = median(ours)!;
  const baselineBytesPerSecond = median(plain)!;
  return { bytesPerSecond, baselineBytesPerSecond, ratio: bytesPerSecond / baselineBytesPerSecond };
}

function plainCopy(bytes: Buffer): () => void {
  const target = Buffer.allocUnsafeSlow(CHUNK_BYTES * 16);
  return () => {
    let at = 0;
    inChunks(bytes, (chunk) => {
      chunk.copy(target, at);
      at = (at + CHUNK_BYTES) % target.length;
    });
  };
}

/** Records are found and handed over, nothing is copied. */
async function decode(options: BenchOptions) {
  const { bytes, records } = sampleStream(options.quick ? 8192 : 32768, 0);
  let seen = 0;
  const sink = pageSink((pageIndex) => {
    seen += pageIndex;
  });
  const row = against(bytes.length, options, () => decodeAll(bytes, sink), plainCopy(bytes));
  return { ...row, pagesPerSecond: (row.bytesPerSecond / bytes.length) * records, seen: seen > 0 };
}

/** Nothing but zero pages: the price of a record. */
async function decodeZero(options: BenchOptions) {
  const { bytes, records } = sampleStream(options.quick ? 262_144 : 1_048_576, 1);
  let seen = 0;
  const sink = pageSink(
    () => undefined,
    (pageIndex) => {
      seen += pageIndex;
    },
  );
  const row = against(bytes.length, options, () => decodeAll(bytes, sink), plainCopy(bytes));
  return { ...row, recordsPerSecond: (row.bytesPerSecond / bytes.length) * records, seen: seen > 0 };
}

/**
 * Decode, copy each page into memory as large as the guest, and encode every page from
 * there in another order.
 */
async function reemit(options: BenchOptions) {
  const { bytes, layout } = sampleStream(options.quick ? 8192 : 32768, 0.1);
  const store = Buffer.allocUnsafeSlow(layout.sizeBytes);
  const zero = new Uint8Array(layout.pageCount);
  const out = Buffer.allocUnsafeSlow(OUT_BYTES);
  const sink = pageSink(
    (pageIndex, buffer, offset) => {
      zero[pageIndex] = 0;
      (buffer as Buffer).copy(store, pageIndex * PAGE_SIZE_BYTES, offset, offset + PAGE_SIZE_BYTES);
    },
    (pageIndex) => {
      zero[pageIndex] = 1;
    },
  );
  const contestant = () => {
    decodeAll(bytes, sink);
    encodeAll(layout, store, zero, out, () => undefined);
  };
  return against(bytes.length, options, contestant, plainCopy(bytes));
}

/** All pages into buffers of OUT_BYTES, odd pages first, so that they are not read as they lie. */
function encodeAll(
  layout: RamLayout,
  store: Buffer,
  zero: Uint8Array,
  out: Buffer,
  full: (used: number) => void,
): void {
  const encoder = new StreamEncoder({ layout, sectionId: SAMPLE_SECTION_ID, footers: true });
  let at = encoder.openSection(out, 0, 'part');
  for (let index = 0; index < layout.pageCount; index++) {
    const page = scattered(index, layout.pageCount);
    if (at + RAM_RECORD_BYTES_MAX > out.length) {
      full(at);
      at = 0;
    }
    at = zero[page]
      ? encoder.zeroPage(out, at, page)
      : encoder.page(out, at, page, store, page * PAGE_SIZE_BYTES);
  }
}

function scattered(index: number, count: number): number {
  const half = Math.floor(count / 2);
  return index < half ? index * 2 + 1 : (index - half) * 2;
}

/** Encoding into buffers, against a copy of the same bytes. */
async function encode(options: BenchOptions) {
  const { bytes, layout } = sampleStream(options.quick ? 8192 : 32768, 0);
  const store = Buffer.allocUnsafeSlow(layout.sizeBytes).fill(0x5a);
  const zero = new Uint8Array(layout.pageCount);
  const out = Buffer.allocUnsafeSlow(OUT_BYTES);
  const contestant = () => encodeAll(layout, store, zero, out, () => undefined);
  return against(bytes.length, options, contestant, plainCopy(bytes));
}

/**
 * Copying pages into a large buffer and writing that, against gathering headers and pages for writev:
 * to a unix socket.
 */
async function socketWrite(options: BenchOptions) {
  const { layout, bytes } = sampleStream(options.quick ? 8192 : 32768, 0);
  const store = Buffer.allocUnsafeSlow(layout.sizeBytes).fill(0x5a);
  const folder = mkdtempSync(join(tmpdir(), 'godwit-bench-'));
  const path = join(folder, 'socket');
  const reader = new Worker(READER, { eval: true, workerData: path });
  try {
    await once(reader, 'message');
    const socket = createConnection(path);
    await once(socket, 'connect');
    const copied: number[] = [];
    const gathered: number[] = [];
    for (let round = 0; round < (options.quick ? 3 : 7); round++) {
      copied.push(bytes.length / (await secondsOfAsync(() => sendCopied(socket, layout, store))));
      gathered.push(bytes.length / (await secondsOfAsync(() => sendGathered(socket, layout, store))));
    }
    socket.destroy();
    const bytesPerSecond = median(copied)!;
    const baselineBytesPerSecond = median(gathered)!;
    return { bytesPerSecond, baselineBytesPerSecond, ratio: bytesPerSecond / baselineBytesPerSecond };
  } finally {
    await reader.terminate();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Reads and forgets, on a thread of its own. */
const READER = `
  const { parentPort, workerData } = require('node:worker_threads');
  require('node:net').createServer((socket) => socket.on('data', () => {}).on('error', () => {}))
    .listen(workerData, () => parentPort.postMessage('listening'));
`;

async function secondsOfAsync(work: () => Promise<void>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}

async function sendCopied(socket: Socket, layout: RamLayout, store: Buffer): Promise<void> {
  const buffers = [Buffer.allocUnsafeSlow(OUT_BYTES), Buffer.allocUnsafeSlow(OUT_BYTES)];
  const encoder = new StreamEncoder({ layout, sectionId: SAMPLE_SECTION_ID, footers: true });
  let written: Promise<void>[] = [];
  let page = 0;
  for (let turn = 0; page < layout.pageCount; turn++) {
    // A buffer is filled again only after the socket is done with it.
    if (turn >= buffers.length) await written.shift();
    const out = buffers[turn % buffers.length]!;
    let at = encoder.isOpen ? 0 : encoder.openSection(out, 0, 'part');
    for (; page < layout.pageCount && at + RAM_RECORD_BYTES_MAX <= out.length; page++) {
      at = encoder.page(out, at, page, store, page * PAGE_SIZE_BYTES);
    }
    written = [...written, new Promise((resolve) => socket.write(out.subarray(0, at), () => resolve()))];
  }
  await Promise.all(written);
}

async function sendGathered(socket: Socket, layout: RamLayout, store: Buffer): Promise<void> {
  const encoder = new StreamEncoder({ layout, sectionId: SAMPLE_SECTION_ID, footers: true });
  const batchPages = OUT_BYTES / PAGE_SIZE_BYTES;
  for (let first = 0; first < layout.pageCount; first += batchPages) {
    const headers = Buffer.allocUnsafe(OUT_BYTES / 8 + RAM_RECORD_BYTES_MAX);
    let at = encoder.isOpen ? 0 : encoder.openSection(headers, 0, 'part');
    let from = 0;
    socket.cork();
    for (let page = first; page < Math.min(first + batchPages, layout.pageCount); page++) {
      at = encoder.pageHeader(headers, at, page);
      socket.write(headers.subarray(from, at));
      socket.write(store.subarray(page * PAGE_SIZE_BYTES, (page + 1) * PAGE_SIZE_BYTES));
      from = at;
    }
    const done = new Promise<void>((resolve) => socket.write(headers.subarray(at, at), () => resolve()));
    socket.uncork();
    await done;
  }
}

export const benches: readonly Bench[] = [
  { name: 'stream-decode', needsQemu: false, run: decode },
  { name: 'stream-decode-zero', needsQemu: false, run: decodeZero },
  { name: 'stream-encode', needsQemu: false, run: encode },
  { name: 'stream-reemit', needsQemu: false, run: reemit },
  { name: 'stream-socket-write', needsQemu: false, run: socketWrite },
];

/** All rows of this file. */
export async function run(options: BenchOptions): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  for (const bench of benches) rows.push({ bench: bench.name, ...(await bench.run(options)) });
  return rows;
}
