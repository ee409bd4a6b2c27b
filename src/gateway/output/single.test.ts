/** The single output against a loader that reads records by the book: what it sends, and how little of it. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MIB, Prng, systemClock } from '../../base/index.ts';
import { PageStore } from '../../pages/index.ts';
import type { RamSetup } from '../../stream/index.ts';
import { makeRamLayout, PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { SingleOutput } from './single.ts';

const PAGES = 64;
const SETUP = {
  layout: makeRamLayout([{ id: 'ram', sizeBytes: PAGES * PAGE_SIZE_BYTES }]),
  sectionId: 2,
  footers: true,
} as unknown as RamSetup;

/** Reads sections of one block and PINGs, and answers them; missing bytes come with the next chunk. */
class Loader {
  readonly memory = Buffer.alloc(PAGES * PAGE_SIZE_BYTES, 0xee);
  readonly records = { zero: 0, page: 0, delta: 0 };
  bytes = 0;
  #left = Buffer.alloc(0);

  take(chunk: Buffer, answer: (nonce: number) => void): void {
    this.bytes += chunk.length;
    this.#left = Buffer.concat([this.#left, chunk]);
    for (let end = this.#item(answer); end > 0; end = this.#item(answer))
      this.#left = this.#left.subarray(end);
  }

  /** One command or section; 0 where not all of it is there. */
  #item(answer: (nonce: number) => void): number {
    const bytes = this.#left;
    if (bytes.length < 9) return 0;
    if (bytes[0] === 0x08) {
      answer(bytes.readUInt32BE(5));
      return 9;
    }
    assert.equal(bytes[0], 0x02);
    const done: (() => void)[] = [];
    for (let at = 5; at + 8 <= bytes.length; ) {
      const low = bytes.readUInt32BE(at + 4);
      at += 8;
      if ((low & 0x10) !== 0) {
        if (at + 5 > bytes.length) return 0;
        for (const apply of done) apply();
        return at + 5;
      }
      if ((low & 0x20) === 0) at += 1 + bytes[at]!;
      const page = (low & ~0xfff) >>> 0;
      const body = at;
      if ((low & 0x02) !== 0) {
        done.push(() => this.#zero(page));
        at += 1;
      } else if ((low & 0x08) !== 0) {
        done.push(() => this.#whole(page, bytes.subarray(body, body + PAGE_SIZE_BYTES)));
        at += PAGE_SIZE_BYTES;
      } else {
        const length = bytes.readUInt16BE(body + 1);
        done.push(() => this.#change(page, bytes.subarray(body + 3, body + 3 + length)));
        at += 3 + length;
      }
    }
    return 0;
  }

  #zero(at: number): void {
    this.records.zero++;
    this.memory.fill(0, at, at + PAGE_SIZE_BYTES);
  }

  #whole(at: number, content: Buffer): void {
    this.records.page++;
    content.copy(this.memory, at);
  }

  #change(page: number, delta: Buffer): void {
    this.records.delta++;
    let from = 0;
    let to = page;
    const number = () => {
      const low = delta[from++]!;
      return low < 128 ? low : (low & 0x7f) | (delta[from++]! << 7);
    };
    while (from < delta.length) {
      to += number();
      const count = number();
      delta.copy(this.memory, to, from, from + count);
      from += count;
      to += count;
    }
  }
}

async function setUp(t: TestContext, keepsReferences = true) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-single-'));
  const path = join(folder, 'incoming');
  const loader = new Loader();
  const server = net.createServer((socket) => {
    socket.on('data', (chunk) =>
      loader.take(chunk, (nonce) => {
        const pong = Buffer.from([0, 2, 0, 4, 0, 0, 0, 0]);
        pong.writeUInt32BE(nonce, 4);
        socket.write(pong);
      }),
    );
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const failures: Error[] = [];
  const options = { address: `unix:${path}`, clock: systemClock, prepareTimeoutMs: 1000, keepsReferences };
  const output = new SingleOutput(options, {
    onRoom: () => undefined,
    onReturnPath: () => undefined,
    onError: (error) => failures.push(error),
  });
  t.after(() => {
    output.close();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  await output.connect(AbortSignal.timeout(5000));
  const store = new PageStore({
    pageCount: PAGES,
    memoryBytesMax: 8 * MIB,
    references: keepsReferences,
    onChunk: (chunk, memory) => output.onChunk(chunk, memory),
  });
  output.open(SETUP);
  const batch = new Uint32Array(PAGES);
  /** Sends all that waits, and waits until it is loaded. */
  const send = async () => {
    output.sendPages(batch, store.index.take(PAGES, batch), store);
    while (output.facts.deliveredBytes < output.facts.sentBytes) await new Promise(setImmediate);
    assert.deepEqual(failures, []);
    return output.facts;
  };
  return { loader, store, send };
}

function noise(prng: Prng): Buffer {
  const page = Buffer.alloc(PAGE_SIZE_BYTES);
  for (let at = 0; at < PAGE_SIZE_BYTES; at += 4) page.writeUInt32LE(prng.u32(), at);
  return page;
}

test('a page that was sent goes as what changed in it', async (t) => {
  const { loader, store, send } = await setUp(t);
  const page = noise(new Prng(1));
  store.put(3, 0, page, 0);
  const first = await send();
  page.writeUInt32LE(7, 100);
  store.put(3, 1, page, 0);
  const second = await send();
  assert.deepEqual(loader.records, { zero: 0, page: 1, delta: 1 });
  assert.ok(second.sentBytes - first.sentBytes < 64, `${second.sentBytes - first.sentBytes} bytes`);
  assert.deepEqual(loader.memory.subarray(3 * PAGE_SIZE_BYTES, 4 * PAGE_SIZE_BYTES), page);
  assert.equal(second.unloadedPages, 0);
});

test('a page with one word set goes as zeros and that word, whoever asks for no deltas', async (t) => {
  const { loader, store, send } = await setUp(t, false);
  const page = Buffer.alloc(PAGE_SIZE_BYTES);
  page.writeUInt32LE(7, 4092);
  store.put(5, 0, page, 0);
  const { wholePageBytes } = await send();
  assert.deepEqual(loader.records, { zero: 1, page: 0, delta: 1 });
  assert.ok(wholePageBytes! < PAGE_SIZE_BYTES);
  assert.deepEqual(loader.memory.subarray(5 * PAGE_SIZE_BYTES, 6 * PAGE_SIZE_BYTES), page);
});

test('whatever is written, the loader ends with the newest copies', async (t) => {
  const { loader, store, send } = await setUp(t);
  const prng = new Prng(2);
  const memory = loader.memory.map(() => 0);
  for (let page = 0; page < PAGES; page++) store.putZero(page, 0);
  for (let round = 1; round < 40; round++) {
    await send();
    for (let write = 0; write < 20; write++) {
      const page = prng.below(PAGES);
      const content = memory.subarray(page * PAGE_SIZE_BYTES, (page + 1) * PAGE_SIZE_BYTES);
      const kind = prng.below(4);
      if (kind === 0) content.fill(0);
      else if (kind === 1) content.set(noise(prng));
      else
        for (let word = prng.below(1 << prng.below(11)); word >= 0; word--)
          content[prng.below(4096)] = prng.u32();
      if (kind === 0) store.putZero(page, round);
      else store.put(page, round, Buffer.from(content), 0);
    }
  }
  await send();
  assert.ok(Buffer.from(memory).equals(loader.memory));
  const { zero, page, delta } = loader.records;
  assert.ok(Math.min(zero, page, delta) > 50, JSON.stringify(loader.records));
});
