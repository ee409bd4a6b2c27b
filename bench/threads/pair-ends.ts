/**
 * Both QEMUs of a move, as far as bytes go: one socket pours a stream of incompressible pages, as fast as it
 * is read, and one counts what comes out at the far end. Started by bench/pair.ts.
 */

import net from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { Prng } from '../../src/base/index.ts';
import { StreamEncoder } from '../../src/stream/index.ts';
import { PAGE_SIZE_BYTES } from '../../src/vm/index.ts';
import { ramStart, SAMPLE_SECTION_ID } from '../stream-sample.ts';

const { sourcePath, sinkPath, pageCount } = workerData as {
  sourcePath: string;
  sinkPath: string;
  pageCount: number;
};

/** Header and body, where the record before was of the same block. */
const RECORD_BYTES = 8 + PAGE_SIZE_BYTES;
const BLOCK_PAGES = 256;
/** No content comes twice within a batch of 1,024 pages. */
const BLOCKS = 16;
const FLAGS_PAGE_CONTINUE = 0x28;

const blocks = makeBlocks();
const idle: Buffer[] = [...blocks];
let wake = () => {};
let arrived = 0;
let mark = { bytes: Number.POSITIVE_INFINITY, startMs: 0, size: 0 };
let pagesPoured = 0;

function makeBlocks(): Buffer[] {
  const prng = new Prng(3);
  return Array.from({ length: BLOCKS }, () => {
    const block = Buffer.allocUnsafeSlow(BLOCK_PAGES * RECORD_BYTES);
    for (let at = 0; at + 4 <= block.length; at += 4) block.writeUInt32LE(prng.u32(), at);
    return block;
  });
}

const sinkServer = net.createServer((socket) => {
  socket.on('data', (chunk: Buffer) => {
    arrived += chunk.length;
    if (arrived < mark.bytes) return;
    const { size, startMs } = mark;
    mark = { ...mark, bytes: Number.POSITIVE_INFINITY };
    parentPort?.postMessage({ bytesPerSecond: (size * 1000) / (performance.now() - startMs) });
  });
  socket.on('error', () => undefined);
});

/** Header, RAM's START, and the first page, which names its block. */
function beginning(): Buffer {
  const { bytes, layout } = ramStart(pageCount);
  const encoder = new StreamEncoder({ layout, sectionId: SAMPLE_SECTION_ID, footers: true });
  const out = Buffer.alloc(bytes.length + 2 * RECORD_BYTES);
  bytes.copy(out);
  let at = encoder.openSection(out, bytes.length, 'part');
  at = encoder.page(out, at, 0, blocks[0]!, 8);
  return out.subarray(0, at);
}

async function pour(socket: net.Socket, pages: number): Promise<void> {
  if (pagesPoured === 0) {
    socket.write(beginning());
    pagesPoured = 1;
  }
  const end = pagesPoured + pages;
  while (pagesPoured < end) {
    const block = idle.shift();
    if (block === undefined) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      continue;
    }
    const count = Math.min(BLOCK_PAGES, end - pagesPoured);
    for (let index = 0; index < count; index++) {
      const page = pagesPoured + index;
      block.writeUInt32BE(Math.floor(page / 0x100000), index * RECORD_BYTES);
      block.writeUInt32BE(((page << 12) | FLAGS_PAGE_CONTINUE) >>> 0, index * RECORD_BYTES + 4);
    }
    pagesPoured += count;
    socket.write(block.subarray(0, count * RECORD_BYTES), () => {
      idle.push(block);
      wake();
    });
  }
}

let source: net.Socket | null = null;

parentPort?.on('message', ({ pages }: { pages: number }) => {
  source ??= net.connect(sourcePath).on('error', () => undefined);
  const size = pages * RECORD_BYTES;
  // What is left of an earlier stretch has arrived: each is waited for.
  mark = { bytes: arrived + size, startMs: performance.now(), size };
  void pour(source, pages);
});

sinkServer.listen(sinkPath, () => parentPort?.postMessage('ready'));
