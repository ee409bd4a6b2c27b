import assert from 'node:assert/strict';
import test from 'node:test';
import { constants, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { expectedPage, GUEST_BODIES, GUEST_WORKLOADS, type PageContent } from './index.ts';

const U64 = (1n << 64n) - 1n;
const U32 = (1n << 32n) - 1n;

function mixNaive(value: bigint): bigint {
  let mixed = value & U32;
  mixed = ((mixed ^ (mixed >> 16n)) * 0x85ebca6bn) & U32;
  mixed = ((mixed ^ (mixed >> 13n)) * 0xc2b2ae35n) & U32;
  return mixed ^ (mixed >> 16n);
}

function xorshiftNaive(value: bigint): bigint {
  let next = value ^ ((value << 13n) & U64);
  next ^= next >> 7n;
  return next ^ ((next << 17n) & U64);
}

const dictionaryNaive: bigint[] = [];
for (let x = 0x9e3779b97f4a7c15n; dictionaryNaive.length < 32; ) dictionaryNaive.push((x = xorshiftNaive(x)));

/** The page as bare/content.h describes it, write by write: each write of `mixed` rewrites one segment. */
function naivePage(content: PageContent, pageNumber: number, counter: number): BigUint64Array {
  const page = new BigUint64Array(512);
  const seed = BigInt(content.seed);
  const number = BigInt(pageNumber);
  const low = mixNaive(seed ^ mixNaive(number + 0x9e3779b9n));
  const high = mixNaive(((low + 0x7f4a7c15n) & U32) ^ mixNaive(number ^ 0x2545f491n));
  const rewrite = (segment: number, version: number) => {
    const key = (BigInt(version) * 8n + BigInt(segment)) & U32;
    let x = (mixNaive(high + mixNaive(key ^ 0x68e31da4n)) << 32n) | (mixNaive(low ^ mixNaive(key)) | 1n);
    for (let word = 0; word < 64; word++) {
      const place = segment * 64 + word;
      if (content.body === 'zero') page[place] = 0n;
      else if (content.body === 'random' || word % 4 === 0) page[place] = x = xorshiftNaive(x);
      else page[place] = dictionaryNaive[Number((x >> BigInt((word % 4) * 8 - 8)) & 31n)]!;
    }
  };
  for (let version = 0; version <= counter; version++) {
    if (version > 0 && content.workload === 'stress') break;
    for (let segment = 0; segment < 8; segment++) {
      if (version === 0 || content.workload !== 'mixed' || version % 8 === segment) rewrite(segment, version);
    }
  }
  page[0] = (mixNaive(high + BigInt(counter)) << 32n) | BigInt(counter);
  page[1] = number;
  page[2] = (high << 32n) | low;
  return page;
}

test('the fast generator agrees with a naive one for every workload and body', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...GUEST_WORKLOADS),
      fc.constantFrom(...GUEST_BODIES),
      fc.integer({ min: 0, max: 0xffffffff }),
      fc.nat(2 ** 31),
      fc.nat(20),
      (workload, body, seed, pageNumber, counter) => {
        const content = { workload, body, seed };
        const fast = new Uint8Array(expectedPage(content, pageNumber, counter).buffer);
        assert.deepEqual(fast, new Uint8Array(naivePage(content, pageNumber, counter).buffer));
      },
    ),
    { numRuns: 300 },
  );
});

test('each version of a page differs from the one before, and stress changes only its first word', () => {
  for (const workload of GUEST_WORKLOADS) {
    const content: PageContent = { workload, body: 'random', seed: 3 };
    const before = expectedPage(content, 300, 9);
    const after = expectedPage(content, 300, 10);
    const changed = [...before.keys()].filter((word) => before[word] !== after[word]).length;
    if (workload === 'stress') assert.equal(changed, 2);
    else if (workload === 'mixed') assert.ok(changed > 120 && changed <= 130, `${changed}`);
    else assert.ok(changed > 1000, `${changed}`);
  }
});

function zstdRatio(body: PageContent['body']): number {
  const pages = Array.from({ length: 16 }, (_, page) =>
    Buffer.from(expectedPage({ workload: 'uniform', body, seed: 1 }, page, 5).buffer),
  );
  const packed = zstdCompressSync(Buffer.concat(pages), {
    params: { [constants.ZSTD_c_compressionLevel]: 1 },
  });
  return (16 * 4096) / packed.length;
}

test('bodies compress as they are named', () => {
  assert.ok(zstdRatio('random') < 1.01);
  const text = zstdRatio('text');
  assert.ok(text > 2 && text < 3, `text ${text}`);
  assert.ok(zstdRatio('zero') > 50);
});
