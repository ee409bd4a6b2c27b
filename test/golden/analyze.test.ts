/**
 * Agreement with QEMU's own reader, scripts/analyze-migration.py of a QEMU source tree: every RAM block
 * byte by byte, every device section by name and id. It is not installed with QEMU; README.md says where
 * it is looked for.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { PAGE_SIZE_BYTES } from '../../src/vm/index.ts';
import { decodeInChunks, type Recorder } from './recorder.ts';

const script = resolve(
  process.env['GODWIT_ANALYZE_MIGRATION'] ?? join(import.meta.dirname, '../../.work/analyze-migration.py'),
);
/** Whole streams without commands before RAM: QEMU's reader stops at those. */
const READABLE = ['qemu5.2-pc', 'qemu5.2-q35-virtio', 'qemu7.2-pc-passes', 'qemu7.2-q35-virtio'];

function skipReason(): string | false {
  if (!existsSync(script)) return 'analyze-migration.py is not at hand (test/golden/README.md)';
  try {
    execFileSync('python3', ['--version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'python3 is not installed';
  }
}

function blockContent(recorder: Recorder, firstPage: number, pageCount: number): Buffer {
  const content = Buffer.alloc(pageCount * PAGE_SIZE_BYTES);
  for (let page = 0; page < pageCount; page++) {
    recorder.memory.get(firstPage + page)?.copy(content, page * PAGE_SIZE_BYTES);
  }
  return content;
}

for (const name of READABLE) {
  test(`${name}: QEMU's analyze-migration reads the same memory and devices`, { skip: skipReason() }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'godwit-analyze-'));
    try {
      const bytes = zstdDecompressSync(readFileSync(join(import.meta.dirname, `${name}.stream.zst`)));
      writeFileSync(join(folder, 'stream'), bytes);
      execFileSync('python3', [script, '-f', 'stream', '-x'], { cwd: folder, stdio: 'pipe' });
      const state = JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')) as Record<string, unknown>;
      const { recorder } = decodeInChunks(bytes, [65536]);
      for (const { id, firstPage, pageCount } of recorder.setup!.layout.blocks) {
        const theirs = readFileSync(join(folder, id));
        assert.ok(theirs.equals(blockContent(recorder, firstPage, pageCount)), `block ${id}`);
      }
      const ours = recorder.tail!.sections!.map((section) => `${section.name} (${section.sectionId})`);
      const ram = `ram (${recorder.setup!.sectionId})`;
      assert.deepEqual(Object.keys(state).sort(), [ram, ...ours].sort());
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
