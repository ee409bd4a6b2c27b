/**
 * The trace format: round trips against a naive model, every truncation, every flipped byte, and what is
 * refused.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { Bitmap, errorCode, Prng } from '../base/index.ts';
import {
  anonymize,
  describeTrace,
  heatMap,
  makeGuest,
  PassRecorder,
  type Recording,
  readRecording,
  replayGuest,
  STEP_MS,
  synthesize,
  TraceReader,
  TraceWriter,
} from './index.ts';
import { thinLarge } from './large-sets.ts';
import { readVarint, writeVarint } from './varint.ts';

interface NaiveSet {
  readonly startMs: number;
  readonly endMs: number;
  readonly pages: readonly number[];
}

function bitmapOf(pageCount: number, pages: readonly number[]): Bitmap {
  const bitmap = new Bitmap(pageCount);
  for (const page of pages) bitmap.add(page);
  return bitmap;
}

function write(pageCount: number, sets: readonly NaiveSet[], ended = true): Buffer {
  const chunks: Uint8Array[] = [];
  const writer = new TraceWriter({
    pageCount,
    source: 'recorded',
    about: 'a test',
    write: (bytes) => chunks.push(bytes),
  });
  for (const { startMs, endMs, pages } of sets) writer.set(startMs, endMs, bitmapOf(pageCount, pages));
  if (ended) writer.end();
  return Buffer.concat(chunks);
}

function setsOf(recording: Recording): NaiveSet[] {
  return recording.sets.map(({ startMs, endMs, firstRun, endRun }) => {
    const pages: number[] = [];
    for (let run = firstRun; run < endRun; run++) {
      for (let page = 0; page < recording.runs[2 * run + 1]!; page++)
        pages.push(recording.runs[2 * run]! + page);
    }
    return { startMs, endMs, pages };
  });
}

const SAMPLE: readonly NaiveSet[] = [
  { startMs: 0, endMs: 250, pages: [0, 1, 2, 9, 31, 32, 33, 99] },
  { startMs: 250, endMs: 500, pages: [] },
  { startMs: 600, endMs: 900, pages: [98, 99] },
];

const naiveSets = (pageCount: number) =>
  fc
    .array(
      fc.record({
        gapMs: fc.integer({ min: 0, max: 1000 }),
        lengthMs: fc.integer({ min: 0, max: 5000 }),
        pages: fc.uniqueArray(fc.integer({ min: 0, max: pageCount - 1 }), { maxLength: 60 }),
      }),
      { maxLength: 12 },
    )
    .map((drawn) => {
      let atMs = 0;
      return drawn.map(({ gapMs, lengthMs, pages }) => {
        const startMs = atMs + gapMs;
        atMs = startMs + lengthMs;
        return { startMs, endMs: atMs, pages: pages.sort((left, right) => left - right) };
      });
    });

test('what is written is read, in any chunking', () => {
  const cases = fc
    .integer({ min: 1, max: 300 })
    .chain((pageCount) =>
      fc.tuple(fc.constant(pageCount), naiveSets(pageCount), fc.integer({ min: 1, max: 50 })),
    );
  fc.assert(
    fc.property(cases, ([pageCount, sets, chunkBytes]) => {
      const bytes = write(pageCount, sets);
      const chunks: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += chunkBytes) chunks.push(bytes.subarray(at, at + chunkBytes));
      const recording = readRecording(chunks);
      assert.deepEqual(setsOf(recording), sets);
      assert.equal(recording.end.whole, true);
      assert.equal(recording.header.pageCount, pageCount);
    }),
    { numRuns: 200, seed: 11 },
  );
});

test('a trace cut at any byte gives the sets that were complete, and says that it is not whole', () => {
  const bytes = write(100, SAMPLE);
  const whole = readRecording([bytes]);
  for (let length = 0; length < bytes.length; length++) {
    let recording: Recording;
    try {
      recording = readRecording([bytes.subarray(0, length)]);
    } catch (error) {
      assert.equal(errorCode(error), 'TRACE_HEADER', `at ${length}`);
      continue;
    }
    assert.equal(recording.end.whole, false, `at ${length}`);
    assert.ok(recording.end.reason, `at ${length}`);
    const sets = setsOf(recording);
    assert.deepEqual(sets, setsOf(whole).slice(0, sets.length), `at ${length}`);
  }
  assert.deepEqual(setsOf(readRecording([write(100, SAMPLE, false)])), SAMPLE);
});

test('any flipped byte is found', () => {
  const bytes = write(100, SAMPLE);
  const found = new Set<string>();
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at] = damaged[at]! ^ 0x41;
    try {
      const { end } = readRecording([damaged]);
      assert.equal(end.whole, false, `byte ${at} was changed and nobody noticed`);
    } catch (error) {
      found.add(errorCode(error));
      assert.match(errorCode(error), /^TRACE_/, `byte ${at}: ${String(error)}`);
    }
  }
  assert.ok(found.has('TRACE_MAGIC') && found.has('TRACE_CHECK'), [...found].join(' '));
});

test('hostile records are refused before memory is taken', async () => {
  const { crc32 } = await import('node:zlib');
  const header = write(100, [], false);
  const record = (type: number, payload: readonly number[]) => {
    const body = Buffer.from([type, payload.length, ...payload]);
    const check = Buffer.alloc(4);
    check.writeUInt32LE(crc32(body));
    return Buffer.concat([body, check]);
  };
  const refused: [string, Buffer, string][] = [
    ['an unknown type', record(9, []), 'TRACE_RECORD'],
    ['MORE first', record(2, [0, 1]), 'TRACE_RECORD'],
    ['an empty run', record(1, [0, 0, 5, 0]), 'TRACE_RECORD'],
    ['beyond the guest', record(1, [0, 0, 99, 2]), 'TRACE_RECORD'],
    ['touching runs', record(1, [0, 0, 5, 1, 0, 1]), 'TRACE_RECORD'],
    ['half a run', record(1, [0, 0, 5]), 'TRACE_RECORD'],
    ['a padded number', record(1, [0, 0, 0x85, 0x00, 1]), 'TRACE_RECORD'],
    ['wrong totals', record(3, [1, 0]), 'TRACE_RECORD'],
    ['after END', Buffer.concat([record(3, [0, 0]), record(1, [0, 0])]), 'TRACE_RECORD'],
    ['content after a set', Buffer.concat([record(1, [0, 0]), record(128, [0, 1])]), 'TRACE_RECORD'],
    ['content beyond the guest', record(128, [99, 2]), 'TRACE_RECORD'],
    ['a cost too many', record(129, [1, 1, 1]), 'TRACE_RECORD'],
    ['a huge payload', Buffer.from([1, 0xff, 0xff, 0xff, 0xff, 0x7f]), 'TRACE_RECORD'],
  ];
  for (const [name, bytes, code] of refused) {
    assert.throws(() => readRecording([header, bytes]), { code }, name);
  }
  assert.equal(readRecording([header, record(200, [1, 2, 3]), record(3, [0, 0])]).end.whole, true);
  assert.throws(() => readRecording([Buffer.from('QEVM....')]), { code: 'TRACE_MAGIC' });
  const reader = new TraceReader({ onHeader() {}, onSet() {}, onRun() {} });
  assert.throws(() => reader.write(Buffer.from(`GWTRACE1\u007f`, 'latin1')) ?? reader.end(), {
    code: 'TRACE_HEADER',
  });
});

test('varints: shortest form, up to 2^53', () => {
  const bytes = new Uint8Array(16);
  for (const value of [0, 1, 127, 128, 300, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    const end = writeVarint(bytes, 0, value);
    assert.deepEqual(readVarint(bytes, 0, end), { value, end });
    assert.equal(readVarint(bytes, 0, end - 1), null);
  }
  assert.equal(readVarint(new Uint8Array(9).fill(255), 0, 9), 'malformed');
});

test('large sets spread over several records and stay one', () => {
  const pageCount = 2_000_000;
  const pages = Array.from({ length: pageCount / 2 }, (_, index) => 2 * index);
  const bytes = write(pageCount, [{ startMs: 0, endMs: 1, pages }]);
  const recording = readRecording([bytes]);
  assert.equal(recording.sets.length, 1);
  assert.equal(recording.end.dirtyPages, pages.length);
  assert.ok(bytes.length < 2.2 * pages.length, `${bytes.length} bytes`);
});

test('a recorder turns passes into sets: what a pass sends was written before it began', () => {
  const chunks: Uint8Array[] = [];
  const writer = new TraceWriter({ pageCount: 10, source: 'recorded', write: (bytes) => chunks.push(bytes) });
  const recorder = new PassRecorder(writer, 10);
  recorder.beginPass(0);
  for (let page = 0; page < 8; page++) recorder.page(page);
  for (const page of [8, 9]) recorder.zeroPage(page);
  recorder.beginPass(1000);
  for (const page of [7, 3, 3]) recorder.page(page);
  recorder.beginPass(1300);
  recorder.page(5);
  recorder.zeroPage(9);
  recorder.end();
  recorder.beginPass(1600);
  const recording = readRecording(chunks);
  assert.deepEqual(setsOf(recording), [
    { startMs: 0, endMs: 1000, pages: [3, 7] },
    { startMs: 1000, endMs: 1300, pages: [5, 9] },
  ]);
  assert.deepEqual(
    [...Array(10).keys()].filter((page) => recording.content?.has(page)),
    [0, 1, 2, 3, 4, 5, 6, 7],
  );
});

test('a replay has its zero pages last, and costs as sampled', () => {
  const chunks: Uint8Array[] = [];
  const writer = new TraceWriter({
    pageCount: 100,
    source: 'recorded',
    write: (bytes) => chunks.push(bytes),
  });
  writer.content(bitmapOf(100, [10, 11, 50]));
  writer.set(0, STEP_MS, bitmapOf(100, [11, 70, 71]));
  writer.cost({ packedBytes: 900, deltaBytes: 17 });
  writer.end();
  const guest = replayGuest(readRecording(chunks));
  assert.deepEqual(guest.content, { firstPage: 0, pageCount: 5 });
  assert.deepEqual(guest.cost, { packedBytes: 900, deltaBytes: 17 });
  const written: number[] = [];
  const range = (first: number, pages: number) => {
    for (let page = first; page < first + pages; page++) written.push(page);
  };
  guest.writeStep(0, { page: (page) => written.push(page), range, word: () => assert.fail() });
  assert.deepEqual(written, [1, 3, 4]);
});

function synthetic(workload: 'uniform' | 'sweep', durationMs = 2000): Recording {
  const chunks: Uint8Array[] = [];
  const guest = makeGuest(4096, { workload, hotBytes: 4 * 2 ** 20, rateBytesPerSecond: 2 * 2 ** 20 });
  const writer = new TraceWriter({
    pageCount: 4096,
    source: 'synthetic',
    write: (bytes) => chunks.push(bytes),
  });
  synthesize(guest, writer, durationMs, 250);
  return readRecording(chunks);
}

test('a synthesized trace says what its guest does, and replays as written', () => {
  const recording = synthetic('sweep');
  const about = describeTrace(recording);
  assert.equal(about.sets, 8);
  assert.equal(about.durationMs, 2000);
  assert.ok(Math.abs(about.dirtyBytesPerSecond! - 2.1e6) < 0.2e6, `${about.dirtyBytesPerSecond}`);
  const drawn = heatMap(recording, 4, 4).reduce((sum, cell) => sum + cell, 0);
  assert.ok(Math.abs(drawn - recording.end.dirtyPages) < 1e-6 * drawn, `${drawn}`);
  const guest = replayGuest(recording);
  const pages = new Bitmap(4096);
  const sink = {
    page: (page: number) => pages.add(page),
    range: (first: number, count: number) => {
      for (let page = first; page < first + count; page++) pages.add(page);
    },
    word: () => assert.fail('a replay tells ranges'),
  };
  for (let step = 0; step < 2000 / STEP_MS; step++) guest.writeStep(step, sink);
  assert.equal(pages.count(), about.distinctPages);
});

test('anonymizing keeps sizes and rates and moves addresses', () => {
  const recording = synthetic('uniform');
  const chunks: Uint8Array[] = [];
  const writer = new TraceWriter({
    pageCount: 4096,
    source: 'recorded',
    write: (bytes) => chunks.push(bytes),
  });
  anonymize(recording, writer, 99);
  const moved = readRecording(chunks);
  assert.deepEqual(
    moved.sets.map(({ pages }) => pages),
    recording.sets.map(({ pages }) => pages),
  );
  assert.equal(describeTrace(moved).distinctPages, describeTrace(recording).distinctPages);
  assert.notDeepEqual(setsOf(moved), setsOf(recording));
});

test('guests write what they are told to, and the same in every order of steps', () => {
  for (const workload of [
    'stress',
    'uniform',
    'zipf',
    'sweep',
    'mixed',
    'web',
    'stream',
    'memory-intensive',
  ] as const) {
    const guest = makeGuest(16_384, {
      workload,
      hotBytes: 16 * 2 ** 20,
      rateBytesPerSecond: 4 * 2 ** 20,
      seed: 5,
    });
    let told = 0;
    const sink = {
      page: () => told++,
      range: (_first: number, count: number) => (told += count),
      word: (_word: number, mask: number) => {
        for (let bits = mask; bits !== 0; bits &= bits - 1) told++;
      },
    };
    const order = Array.from({ length: 100 }, (_, step) => step);
    for (const step of order) guest.writeStep(step, sink);
    const perSecond = told / 5;
    // 1,024 data pages a second, 400 writes to the guest's own pages, and twice the rate on its counter
    // tables.
    assert.ok(perSecond > 900 && perSecond < 3700, `${workload}: ${perSecond}`);
    const before = told;
    const prng = new Prng(1);
    for (const step of order.sort(() => prng.unit() - 0.5)) guest.writeStep(step, sink);
    assert.equal(told, 2 * before, workload);
  }
});

test('thinning and drawing give the expected number of distinct pages', () => {
  for (const perPage of [0.05, 0.2, 1, 3]) {
    const pageCount = 65_536;
    const guest = makeGuest(pageCount, {
      workload: 'uniform',
      hotAtBytes: 0,
      hotBytes: 128 * 2 ** 20,
      rateBytesPerSecond: (perPage * 32_768 * 4096 * 1000) / STEP_MS,
    });
    const pages = new Bitmap(pageCount);
    guest.writeStep(0, {
      page: (page) => pages.add(page),
      range: (first, count) => {
        for (let page = first; page < first + count; page++) pages.add(page);
      },
      word: (word, mask) => (pages.words[word]! |= mask),
    });
    const expected = 32_768 * (1 - Math.exp(-perPage));
    assert.ok(
      Math.abs(pages.count() - expected) < 0.05 * expected + 150,
      `${perPage}: ${pages.count()}, ${expected}`,
    );
  }
});

test('a large set is written as often as it should, and the same whether or not settled chunks are left out', () => {
  const first = 33_000;
  const count = 200_000;
  const settledBelow = 3 * 32_768;
  for (const share of [0.01, 0.3, 0.9]) {
    const drawn = (settled: (from: number, pages: number) => boolean) => {
      const pages = new Bitmap(first + count + 64);
      thinLarge(9, first, count, share, {
        page: () => assert.fail('thinning tells words'),
        range: () => assert.fail('thinning tells words'),
        word: (word, mask) => (pages.words[word]! |= mask),
        settled,
      });
      return pages;
    };
    const all = drawn(() => false);
    assert.ok(all.next(0) >= first && all.next(first + count) === -1);
    assert.ok(Math.abs(all.count() - share * count) < 4 * Math.sqrt(share * (1 - share) * count));
    const some = drawn((from, pages) => from + pages <= settledBelow);
    assert.equal(some.next(0), all.next(settledBelow));
    for (let page = settledBelow; page < first + count; page++) assert.equal(some.has(page), all.has(page));
  }
});
