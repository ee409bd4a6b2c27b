/**
 * A real QEMU loads what the encoder writes: a recorded stream with pages, zero pages and changes to pages of
 * our own, in random order and cut into random sections. Memory is compared in the loaded, stopped machine.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { zstdDecompressSync } from 'node:zlib';
import { Prng } from '../../src/base/index.ts';
import { findQemu } from '../../src/lab/index.ts';
import { qemuMissing } from '../../src/lab/machine/qemu.testing.ts';
import { PAGE_SIZE_BYTES } from '../../src/vm/index.ts';
import { random } from '../fuzz/stream-generator.ts';
import { decodeInChunks, type Recorder } from './recorder.ts';
import { reemit } from './reemit.ts';

const MACHINE = 'pc-i440fx-10.0';
/** Above the BIOS area; what lies below 1 MiB is partly covered by ROM. */
const RAM_FROM = 0x100000;
const RAM_BYTES = 0x100000;

function skipReason(): string | false {
  const missing = qemuMissing();
  if (missing !== false) return missing;
  const machines = execFileSync(findQemu(), ['-machine', 'help'], { encoding: 'utf8' });
  return machines.includes(MACHINE) ? false : `QEMU here has no machine ${MACHINE}`;
}

/** One QMP command after the other over the child's standard streams. */
function qmp(child: ChildProcess): (execute: string, args?: object) => Promise<Record<string, unknown>> {
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return async (execute, args = {}) => {
    child.stdin!.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    for (;;) {
      const { value, done } = await lines.next();
      assert.ok(!done, 'QEMU is still there');
      const message = JSON.parse(value as string) as { return?: Record<string, unknown>; error?: object };
      assert.equal(message.error, undefined);
      if (message.return) return message.return;
    }
  };
}

/** Pages of RAM above 1 MiB get contents of their own: a third of them zero, others mostly so. */
function paint(recorder: Recorder, prng: Prng): void {
  const ram = recorder.setup!.layout.blocks.find(({ id }) => id === 'pc.ram')!;
  for (let offset = RAM_FROM; offset < RAM_FROM + RAM_BYTES; offset += PAGE_SIZE_BYTES) {
    const content = prng.below(3) === 0 ? null : random(prng, PAGE_SIZE_BYTES);
    if (content !== null && prng.below(3) === 0) for (let byte = 64; byte < 4096; byte++) content[byte] = 0;
    recorder.memory.set(ram.firstPage + offset / PAGE_SIZE_BYTES, content);
  }
}

function paintedMemory(recorder: Recorder): Buffer {
  const ram = recorder.setup!.layout.blocks.find(({ id }) => id === 'pc.ram')!;
  const first = ram.firstPage + RAM_FROM / PAGE_SIZE_BYTES;
  const pages = Array.from({ length: RAM_BYTES / PAGE_SIZE_BYTES }, (_, page) =>
    recorder.memory.get(first + page),
  );
  return Buffer.concat(pages.map((page) => page ?? Buffer.alloc(PAGE_SIZE_BYTES)));
}

test('a stock QEMU loads a re-emitted stream, page by page as we wrote it', {
  skip: skipReason(),
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-load-'));
  const bytes = zstdDecompressSync(readFileSync(join(import.meta.dirname, 'qemu10.0-pc.stream.zst')));
  const { recorder } = decodeInChunks(bytes, [65536]);
  paint(recorder, new Prng(11));
  writeFileSync(join(folder, 'stream'), reemit(recorder, 12, { changes: true }));
  writeFileSync(join(folder, 'firmware'), Buffer.alloc(65536, 0xf4));
  const child = spawn(
    findQemu(),
    [
      ...[
        '-machine',
        MACHINE,
        '-accel',
        'tcg',
        '-m',
        '2M',
        '-nodefaults',
        '-display',
        'none',
        '-S',
        '-vga',
        'none',
      ],
      ...['-nic', 'none', '-bios', join(folder, 'firmware'), '-qmp', 'stdio'],
      ...['-incoming', `exec:cat ${join(folder, 'stream')}`],
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  try {
    const command = qmp(child);
    await command('qmp_capabilities');
    for (let tries = 0; (await command('query-status'))['status'] === 'inmigrate'; tries++) {
      assert.ok(tries < 500, 'the stream is loaded within ten seconds');
      await sleep(20);
    }
    assert.deepEqual((await command('query-migrate'))['status'], 'completed');
    const dump = join(folder, 'memory');
    await command('pmemsave', { val: RAM_FROM, size: RAM_BYTES, filename: dump });
    assert.ok(readFileSync(dump).equals(paintedMemory(recorder)), 'every page is as it was written');
  } finally {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});
