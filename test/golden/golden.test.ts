/**
 * Recorded streams: the decoder against a naive one, against what is known of each recording,
 * and through a re-emission.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { decodeNaively } from './naive.ts';
import { decodeInChunks } from './recorder.ts';
import { reemit } from './reemit.ts';

const SUFFIX = '.stream.zst';
const names = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith(SUFFIX))
  .map((name) => name.slice(0, -SUFFIX.length));
const load = (name: string) =>
  zstdDecompressSync(readFileSync(join(import.meta.dirname, `${name}${SUFFIX}`)));

/** What record.mjs asked for, and so what must be found. */
const EXPECTED: Readonly<Record<string, { complete: boolean | null; has: RegExp[] }>> = {
  'qemu5.2-pc': { complete: true, has: [/^configuration pc-i440fx-5\.2$/, /^ram 2 true pc\.ram=512 /] },
  'qemu5.2-q35-virtio': { complete: true, has: [/^configuration pc-q35-5\.2$/] },
  'qemu7.2-pc-passes': { complete: true, has: [/^configuration pc-i440fx-7\.2$/] },
  'qemu7.2-q35-virtio': { complete: true, has: [/vga\.vram=4096/] },
  'qemu7.2-pc-compress': { complete: null, has: [/^pass-through compress /] },
  'qemu10.0-pc': { complete: true, has: [/^command 11 $/] },
  'qemu10.0-pc-cut': { complete: false, has: [/^end$/] },
  'qemu10.0-pc-ignoreshared': { complete: true, has: [/^configuration pc-i440fx-10\.0 x-ignore-shared$/] },
  'qemu10.0-pc-nofooter': { complete: true, has: [/^ram 1 false /] },
  'qemu10.0-pc-plain': { complete: null, has: [/^ram 1 false /] },
  'qemu10.0-pc-postcopy': { complete: true, has: [/^command 3 00000000000010000000000000001000$/] },
  'qemu10.0-pc-xbzrle': { complete: null, has: [/^pass-through xbzrle /] },
  'qemu10.0-q35-passes': { complete: true, has: [/^command 1 $/, /^command 2 00000001$/] },
  'qemu10.0-q35-virtio': { complete: true, has: [/vga\.vram=4096/] },
  'qemu10.0-q35-virtiomem': { complete: true, has: [/^early .*virtio-mem-device-early$/, /vm0=4096/] },
  'qemu11.1-pc': { complete: true, has: [/^configuration pc-i440fx-11\.1$/] },
  'qemu11.1-q35-virtio': { complete: true, has: [/^configuration pc-q35-11\.1$/] },
};

test('every recording is expected, and every expectation is recorded', () => {
  assert.deepEqual([...names].sort(), Object.keys(EXPECTED).sort());
});

for (const name of names) {
  test(`${name}: the records a naive decoder finds, in any chunking`, () => {
    const bytes = load(name);
    const naive = decodeNaively(bytes);
    const expected = EXPECTED[name]!;
    assert.equal(naive.complete, expected.complete);
    for (const pattern of expected.has) {
      assert.ok(
        naive.events.some((event) => pattern.test(event)),
        `${pattern}`,
      );
    }
    const lines = naive.events.filter((event) => !event.startsWith('stops'));
    for (const sizes of [[bytes.length], [65536], [4096], [4104], [1], [7, 1, 4099]]) {
      const { recorder, decoder } = decodeInChunks(bytes, sizes);
      assert.deepEqual(recorder.lines(), lines, `chunks of ${sizes}`);
      assert.equal(decoder.end().complete, expected.complete, `chunks of ${sizes}`);
    }
    const size = fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 4000, max: 20_000 }));
    fc.assert(
      fc.property(fc.array(size, { minLength: 1, maxLength: 8 }), (sizes) => {
        assert.deepEqual(decodeInChunks(bytes, sizes).recorder.lines(), lines);
      }),
      { numRuns: 8, seed: 20 },
    );
  });
}

for (const name of names.filter((name) => EXPECTED[name]!.complete && decodeNaively(load(name)).complete)) {
  test(`${name}: reordered and coalesced, it leaves the same memory and the same devices`, () => {
    const { recorder } = decodeInChunks(load(name), [65536]);
    const again = decodeInChunks(reemit(recorder, 3), [5000]);
    assert.equal(again.decoder.end().complete, true);
    assert.deepEqual(again.recorder.memory, recorder.memory);
    assert.deepEqual(again.recorder.tail, recorder.tail);
    assert.deepEqual(again.recorder.raw, recorder.raw);
    assert.ok(again.decoder.facts.pages <= recorder.memory.size);
  });
}

test('a recording cut anywhere is not whole, and says where', () => {
  const bytes = load('qemu10.0-q35-passes');
  const end = bytes.length - decodeInChunks(bytes, [65536]).recorder.tail!.end.length;
  for (let length = 0; length < bytes.length; length += length < 300 ? 1 : 997) {
    const { complete, reason } = decodeInChunks(bytes.subarray(0, length), [65536]).decoder.end();
    // QEMU itself starts the guest at the EOF byte and forgives a missing description.
    assert.equal(complete, length === end + 1, `${length}: ${reason}`);
  }
});

test('capabilities that make a stream unreadable decide at its first byte', () => {
  const bytes = load('qemu10.0-pc');
  for (const capability of ['multifd', 'xbzrle', 'compress', 'mapped-ram', 'x-colo']) {
    const { recorder } = decodeInChunks(bytes, [999], undefined, new Set([capability, 'events']));
    assert.match(recorder.lines()[0]!, /^pass-through [a-z-]+ 0$/);
    assert.equal(recorder.lines().length, 2);
  }
  const readable = decodeInChunks(bytes, [999], undefined, new Set(['return-path', 'auto-converge']));
  assert.equal(readable.decoder.end().complete, true);
});
