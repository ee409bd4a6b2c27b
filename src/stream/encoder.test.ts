import assert from 'node:assert/strict';
import test from 'node:test';
import { makeRamLayout } from '../vm/index.ts';
import { encodePing, StreamEncoder } from './encoder.ts';
import { RAM_RECORD_BYTES_MAX } from './wire.ts';

const layout = makeRamLayout([
  { id: 'a', sizeBytes: 2 * 4096 },
  { id: 'big', sizeBytes: 3 * 2 ** 40 },
]);

test('encoder: the block is named when it changes, CONTINUE otherwise, also across sections', () => {
  const encoder = new StreamEncoder({ layout, sectionId: 0x01020304, footers: true });
  const out = Buffer.alloc(3 * RAM_RECORD_BYTES_MAX);
  assert.equal(encoder.lastBlock, null);
  let at = encoder.openSection(out, 0, 'part');
  at = encoder.zeroPage(out, at, 1);
  at = encoder.closeSection(out, at);
  at = encoder.openSection(out, at, 'end');
  at = encoder.zeroPage(out, at, 0);
  at = encoder.zeroPage(out, at, 2 + 2 ** 20);
  at = encoder.closeSection(out, at);
  assert.equal(encoder.lastBlock, 1);
  const footer = '7e01020304';
  const eos = '0000000000000010';
  const name = Buffer.from('big').toString('hex');
  assert.equal(
    out.subarray(0, at).toString('hex'),
    `0201020304${'0000000000001002'}0161${'00'}${eos}${footer}` +
      `0301020304${'0000000000000022'}00${'0000000100000002'}03${name}00${eos}${footer}`,
  );
});

test('encoder: offsets beyond 4 GiB keep all their bits', () => {
  const encoder = new StreamEncoder({ layout, sectionId: 1, footers: false });
  const out = Buffer.alloc(3 * RAM_RECORD_BYTES_MAX);
  let at = encoder.openSection(out, 0, 'part');
  const last = layout.pageCount - 1;
  at = encoder.zeroPage(out, at, last);
  const second = at;
  at = encoder.pageHeader(out, at, last - 1);
  assert.equal(out.readBigUInt64BE(5), BigInt(3 * 2 ** 40 - 4096) + 2n);
  assert.equal(out.readBigUInt64BE(second), BigInt(3 * 2 ** 40 - 8192) + 0x28n);
  assert.equal(encoder.closeSection(out, at) - at, 8, 'no footer where the source writes none');
});

test('encoder: a page is copied behind its header', () => {
  const encoder = new StreamEncoder({ layout, sectionId: 1, footers: true });
  const out = Buffer.alloc(2 * RAM_RECORD_BYTES_MAX);
  const source = Buffer.alloc(3 * 4096).fill(7, 4096, 8192);
  const at = encoder.openSection(out, 0, 'part');
  const end = encoder.page(out, at, 0, source, 4096);
  assert.equal(end, at + 8 + 2 + 4096);
  assert.ok(out.subarray(at + 10, end).every((byte) => byte === 7));
  assert.equal(out[end], 0);
});

test('encoder: misuse is an assertion, not a damaged stream', () => {
  const encoder = new StreamEncoder({ layout, sectionId: 1, footers: true });
  const out = Buffer.alloc(RAM_RECORD_BYTES_MAX + 16);
  assert.throws(() => encoder.zeroPage(out, 0, 0), { code: 'ASSERTION' });
  assert.throws(() => encoder.closeSection(out, 0), { code: 'ASSERTION' });
  encoder.openSection(out, 0, 'part');
  assert.throws(() => encoder.openSection(out, 5, 'part'), { code: 'ASSERTION' });
  assert.throws(() => encoder.zeroPage(out, 17, 0), { code: 'ASSERTION' });
  assert.throws(() => encoder.zeroPage(out, 5, layout.pageCount), { code: 'ASSERTION' });
});

test('encoder: PING carries its nonce', () => {
  assert.equal(Buffer.from(encodePing(0xcafe0001)).toString('hex'), '080002' + '0004' + 'cafe0001');
});
