/** The stream decoders under a bounded, seeded fuzz; long runs: stream.ts. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { GodwitError } from '../../src/base/index.ts';
import { decodeInChunks } from '../golden/recorder.ts';
import { checkDamaged, checkLegal, checkReturnPath } from './stream-check.ts';
import { generateStream } from './stream-generator.ts';

const SEEDS = 400;

test('generated streams: the naive decoder agrees, and a re-emission leaves the same memory', () => {
  for (let seed = 1; seed <= SEEDS; seed++) checkLegal(seed);
});

test('damaged streams: only our errors, the same in any chunking', () => {
  for (let seed = 1; seed <= SEEDS * 2; seed++) checkDamaged(seed);
});

test('return path: only our errors, the same in any chunking', () => {
  for (let seed = 1; seed <= SEEDS * 4; seed++) checkReturnPath(seed);
});

/** Small, readable streams with a description, in order of seed. */
function smallStreams(count: number): Buffer[] {
  const found: Buffer[] = [];
  for (let seed = 1; found.length < count; seed++) {
    const { bytes, described } = generateStream(seed);
    if (described && bytes.length < 16_000) found.push(bytes);
  }
  return found;
}

test('cut at every byte: never whole before the end-of-file byte', () => {
  for (const bytes of smallStreams(4)) {
    const eof = bytes.length - decodeInChunks(bytes, [bytes.length]).recorder.tail!.end.length;
    for (let length = 0; length < bytes.length; length++) {
      const { complete } = decodeInChunks(bytes.subarray(0, length), [8192]).decoder.end();
      // Behind a footer QEMU takes a lone end-of-file byte; without footers nothing tells.
      if (length === eof + 1) assert.notEqual(complete, false);
      else if (complete !== false)
        assert.ok(bytes[length - 1] === 0 && length > 100, `cut at ${length}: ${complete}`);
    }
  }
});

test('every byte changed: an answer or one of our errors', () => {
  for (const bytes of smallStreams(2)) {
    for (let at = 0; at < bytes.length; at++) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const changed = Buffer.from(bytes);
        changed[at]! ^= mask;
        try {
          decodeInChunks(changed, [8192]).decoder.end();
        } catch (error) {
          assert.ok(error instanceof GodwitError, `byte ${at}: ${error}`);
        }
      }
    }
  }
});
