import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { StreamDecoder } from '../../stream/index.ts';
import type { Output } from '../command.ts';
import { InspectCollector } from '../inspect/collector.ts';
import { describe } from '../inspect/report.ts';
import { runInspect } from './inspect.ts';

const folder = mkdtempSync(join(tmpdir(), 'godwit-inspect-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function golden(name: string): Buffer {
  return zstdDecompressSync(
    readFileSync(join(import.meta.dirname, '../../../test/golden', `${name}.stream.zst`)),
  );
}

class Text implements Output {
  text = '';
  write(text: string): void {
    this.text += text;
  }
}

async function inspect(bytes: Uint8Array, json: boolean): Promise<{ code: number; text: string }> {
  const file = join(folder, 'stream');
  writeFileSync(file, bytes);
  const out = new Text();
  return { code: await runInspect(file, { json }, out), text: out.text };
}

async function report(bytes: Uint8Array) {
  const { code, text } = await inspect(bytes, true);
  return { code, ...JSON.parse(text) };
}

test('inspect --json: machine, blocks, pages, duplicates and wholeness of a stream with several passes', async () => {
  const found = await report(golden('qemu10.0-q35-passes'));
  assert.equal(found.code, 0);
  assert.equal(found.machine, 'pc-q35-10.0');
  assert.equal(found.qemuVersionAtLeast, '10.0');
  assert.equal(found.complete, true);
  assert.deepEqual(found.blocks[0], { id: 'pc.ram', sizeBytes: 2 * 1024 * 1024, pages: 80, zeroPages: 496 });
  assert.deepEqual([found.pages, found.zeroPages], [101, 557]);
  // The firmware of record.mjs keeps 16 pages dirty.
  assert.equal(found.duplicates.resentPages, 16);
  assert.equal(found.duplicates.supersededRecords, 101 + 557 - found.ramPages);
  assert.equal(
    found.sizeBytes,
    found.ramBytes + found.deviceBytes + found.descriptionBytes + 8 + 16 + 5 + 9 + 5,
  );
  assert.ok(found.sections.some((section: { name: string }) => section.name === 'globalstate'));
});

test('inspect: a stream that is cut short, empty or doubled is not whole, and the exit code says so', async () => {
  const found = await report(golden('qemu10.0-pc-cut'));
  assert.equal(found.code, 1);
  const empty = await report(Buffer.alloc(0));
  assert.deepEqual([empty.code, empty.complete], [1, false]);
  const whole = golden('qemu10.0-pc');
  const doubled = await report(Buffer.concat([whole, whole]));
  assert.deepEqual([doubled.code, doubled.complete, doubled.error], [1, false, 'STREAM_AFTER_END']);
  assert.equal(found.complete, false);
  assert.match(found.reason, /device state/);
  assert.equal((await report(golden('qemu5.2-pc').subarray(0, 8000))).complete, false);
});

test('inspect: what cannot be decoded is named, and wholeness is then not known', async () => {
  const found = await report(golden('qemu7.2-pc-compress'));
  assert.deepEqual([found.code, found.complete], [1, null]);
  assert.equal(found.passThrough.reason, 'compress');
  assert.equal(found.passThrough.streamOffset + found.passThrough.sizeBytes, found.sizeBytes);
});

test('inspect: with x-ignore-shared memory that is elsewhere leaves open whether the stream is whole', async () => {
  const bytes = golden('qemu10.0-pc-ignoreshared');
  assert.deepEqual([(await report(bytes)).code, (await report(bytes)).complete], [0, true]);
  // As where all memory is shared: no page arrives.
  const collector = new InspectCollector();
  collector.onPage = () => undefined;
  collector.onZeroPage = () => undefined;
  const decoder = new StreamDecoder({ capabilities: 'unknown' }, collector);
  decoder.write(bytes);
  const without = describe(collector, bytes.length, decoder.end(), null);
  assert.equal(without.complete, null);
  assert.match(without.reason ?? '', /x-ignore-shared: 0 of \d+ pages/);
});

test('inspect: damage is reported with its code, what came before it is shown', async () => {
  const bytes = golden('qemu7.2-q35-virtio');
  // Flags that no record has, where pages should come.
  bytes.set([0, 0, 0, 0, 0, 0, 0, 1], bytes.indexOf('pc.ram', 300) + 6 + 1);
  const damaged = await report(bytes);
  assert.equal(damaged.code, 1);
  assert.equal(damaged.complete, false);
  assert.equal(damaged.error, 'STREAM_RAM_RECORD');
  const hit = await report(Buffer.concat([golden('qemu10.0-pc'), Buffer.from('more')]));
  assert.equal(hit.code, 1);
  assert.equal(hit.error, 'STREAM_AFTER_END');
  assert.equal(hit.machine, 'pc-i440fx-10.0');
});

test('inspect: no stream at all is an error', async () => {
  await assert.rejects(inspect(Buffer.from('#!/bin/sh\n'), true), { code: 'STREAM_MAGIC' });
  await assert.rejects(runInspect(join(folder, 'absent'), { json: true }, new Text()), { code: 'ENOENT' });
});

test('inspect: the human view names what a person asks for, and no control character of the stream', async () => {
  const bytes = golden('qemu11.1-q35-virtio');
  // A machine type that would clear the screen.
  bytes.set([0x1b, 0x5b, 0x32, 0x4a], 13);
  const { text } = await inspect(bytes, false);
  assert.match(text, /whole\s+yes/);
  assert.match(text, /vga\.vram\s+16\.0 MiB/);
  assert.match(text, /virtio-net/);
  assert.ok(!text.includes('\u001b'));
});
