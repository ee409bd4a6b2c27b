import assert from 'node:assert/strict';
import test from 'node:test';
import { checkGuestMemory, expectedPage, type PageContent } from './index.ts';

const TABLE = 0x200000;
const MIRROR = 0x201000;
const FIRST_PAGE = 0x202;
const PAGES = 32;
const FILLED = 24;
const content: PageContent = { seed: 5, workload: 'uniform', body: 'text' };

/** A small memory as the guest would leave it: page i was written i mod 4 times. */
function memory() {
  const bytes = Buffer.alloc((FIRST_PAGE + PAGES) * 4096);
  let written = 0;
  for (let index = 0; index < PAGES; index++) {
    const counter = index < FILLED ? index % 4 : 0;
    written += counter;
    bytes.writeUInt32LE(counter, TABLE + index * 4);
    bytes.writeUInt32LE(~counter >>> 0, MIRROR + index * 4);
    if (index < FILLED) put(bytes, index, counter);
  }
  const facts = [0x3153544346574447n, 5n, 2n, 1n, PAGES, FILLED, 0, FILLED, 0, TABLE, MIRROR, written];
  facts.push(0, 9, 0, 0, 0, 1, FIRST_PAGE, PAGES);
  facts.forEach((value, word) => void bytes.writeBigUInt64LE(BigInt(value), 0x110000 + word * 8));
  return { bytes, read: (at: number, length: number) => bytes.subarray(at, at + length) };
}

function put(bytes: Buffer, index: number, counter: number): void {
  bytes.set(
    new Uint8Array(expectedPage(content, FIRST_PAGE + index, counter).buffer),
    (FIRST_PAGE + index) * 4096,
  );
}

test('an intact memory has no bad page', () => {
  const check = checkGuestMemory(memory().read);
  assert.deepEqual(
    [check.pages, check.badPages, check.firstBadPage, check.badRows, check.countersAddUp],
    [PAGES, 0, null, 0, true],
  );
});

test('a changed bit, an older copy, two swapped pages and a dirtied empty page are each found', () => {
  const damages: readonly [string, number, number, (bytes: Buffer) => void][] = [
    ['bit', 1, 7, (bytes) => void (bytes[(FIRST_PAGE + 7) * 4096 + 4095]! ^= 1)],
    ['older', 1, 7, (bytes) => put(bytes, 7, 2)],
    ['lost', 1, 7, (bytes) => void bytes.fill(0, (FIRST_PAGE + 7) * 4096, (FIRST_PAGE + 8) * 4096)],
    ['empty', 1, 30, (bytes) => void (bytes[(FIRST_PAGE + 30) * 4096 + 100] = 1)],
    [
      'swap',
      2,
      3,
      (bytes) => {
        const third = Buffer.from(bytes.subarray((FIRST_PAGE + 3) * 4096, (FIRST_PAGE + 4) * 4096));
        bytes.copyWithin((FIRST_PAGE + 3) * 4096, (FIRST_PAGE + 7) * 4096, (FIRST_PAGE + 8) * 4096);
        bytes.set(third, (FIRST_PAGE + 7) * 4096);
      },
    ],
  ];
  for (const [name, bad, first, damage] of damages) {
    const { bytes, read } = memory();
    damage(bytes);
    const check = checkGuestMemory(read);
    assert.deepEqual([name, check.badPages, check.firstBadPage], [name, bad, first]);
  }
});

test('a stale table row is found by its mirror, and all three stale together by the sum', () => {
  const row = memory();
  row.bytes.writeUInt32LE(2, TABLE + 7 * 4);
  assert.deepEqual([checkGuestMemory(row.read).badRows, checkGuestMemory(row.read).badPages], [1, 1]);
  const all = memory();
  all.bytes.writeUInt32LE(2, TABLE + 7 * 4);
  all.bytes.writeUInt32LE(~2 >>> 0, MIRROR + 7 * 4);
  put(all.bytes, 7, 2);
  const check = checkGuestMemory(all.read);
  assert.deepEqual([check.badRows, check.badPages, check.countersAddUp], [0, 0, false]);
});

test('a page caught half written is not judged, and memory without facts is refused', () => {
  const { bytes, read } = memory();
  bytes.fill(1, (FIRST_PAGE + 7) * 4096 + 2000, (FIRST_PAGE + 8) * 4096);
  assert.equal(checkGuestMemory(read).badPages, 1);
  bytes.writeBigUInt64LE(BigInt(FIRST_PAGE + 7), 0x110000 + 12 * 8);
  assert.equal(checkGuestMemory(read).badPages, 0);
  bytes[0x110000]! ^= 1;
  assert.throws(() => checkGuestMemory(read), { code: 'GUEST_DUMP_UNREADABLE' });
});
