/** How benchmarks are found, chosen and run; their figures are no tests. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { type Bench, choose, discover, runAll } from '../../bench/registry.ts';

const bench = (name: string, run: Bench['run'], needsQemu = false): Bench => ({ name, needsQemu, run });

test('rows are found in every module of the folder, but not in tests, and a name stands once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-bench-'));
  try {
    const row = (name: string) =>
      `export const benches = [{ name: '${name}', needsQemu: false, run: async () => ({}) }];`;
    writeFileSync(join(folder, 'b.ts'), row('second'));
    writeFileSync(join(folder, 'a.ts'), row('first'));
    writeFileSync(join(folder, 'helper.ts'), 'export const nothing = 1;');
    writeFileSync(join(folder, 'a.test.ts'), row('never'));
    assert.deepEqual(
      (await discover(folder)).map(({ name }) => name),
      ['first', 'second'],
    );
    writeFileSync(join(folder, 'c.ts'), row('first'));
    await assert.rejects(discover(folder), { code: 'BENCH_TWICE' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('an unknown name is refused with the names there are', () => {
  const all = [bench('relay', async () => ({})), bench('codec', async () => ({}))];
  assert.equal(choose(all, []).length, 2);
  assert.deepEqual(
    choose(all, ['codec']).map(({ name }) => name),
    ['codec'],
  );
  assert.throws(() => choose(all, ['codex']), { code: 'USAGE_BENCH', hint: 'there are: relay, codec' });
});

test('every line carries name and stamp; a failure does not stop the rest, and is a failure', async () => {
  const lines: Record<string, unknown>[] = [];
  const options = {
    quick: true,
    lockPath: null,
    hasQemu: false,
    stamp: { cores: 2 },
    log: () => {},
    emit: (line: Record<string, unknown>) => void lines.push(line),
  };
  const fails = bench('fails', async () => {
    throw new Error('no room');
  });
  const passed = await runAll(
    [fails, bench('live', async () => ({}), true), bench('works', async ({ quick }) => ({ quick }))],
    options,
  );
  assert.equal(passed, false);
  assert.deepEqual(lines, [
    { bench: 'fails', cores: 2, error: 'no room' },
    { bench: 'live', cores: 2, skipped: 'QEMU is not installed' },
    { bench: 'works', cores: 2, quick: true },
  ]);
  assert.equal(await runAll([bench('works', async () => ({}))], options), true);
});
