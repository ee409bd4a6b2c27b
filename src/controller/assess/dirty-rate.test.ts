/** What QEMU is asked for its dirty rate, and what is made of its answers. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { GIB, GodwitError, MIB } from '../../base/index.ts';
import type { JsonObject, QmpExecutor } from '../../qmp/index.ts';
import { sampleDirtyRate } from './dirty-rate.ts';

const { signal } = new AbortController();

/** Answers `query-dirty-rate` one after the other; the last one stays. */
function qemu(memoryBytes: number, answers: readonly object[], refuses = false) {
  const asked: JsonObject[] = [];
  let at = 0;
  const executor: QmpExecutor = {
    async execute(name, args) {
      if (name === 'query-memory-size-summary') return { 'base-memory': memoryBytes };
      if (name === 'query-dirty-rate') return answers[Math.min(at++, answers.length - 1)];
      if (refuses) throw new GodwitError('QMP_COMMAND', 'refused');
      asked.push({ name, ...args });
      return {};
    },
  };
  return { executor, asked };
}

test('it is waited for, and told in bytes', async () => {
  const { executor } = qemu(GIB, [{ status: 'measuring' }, { status: 'measured', 'dirty-rate': 37 }]);
  assert.equal(await sampleDirtyRate(executor, signal), 37 * MIB);
});

test('a small guest is sampled densely, a large one no more than it must be', async () => {
  const measured = [{ status: 'measured', 'dirty-rate': 0 }];
  for (const [memoryBytes, expected] of [
    [64 * MIB, 16_384],
    [16 * GIB, 4096],
    [4096 * GIB, 512],
  ] as const) {
    const { executor, asked } = qemu(memoryBytes, measured);
    assert.equal(await sampleDirtyRate(executor, signal), 0);
    assert.deepEqual(asked, [{ name: 'calc-dirty-rate', 'calc-time': 1, 'sample-pages': expected }]);
  }
});

test('what QEMU does not say is unknown, not nothing', async () => {
  assert.equal(await sampleDirtyRate(qemu(GIB, [], true).executor, signal), null);
  assert.equal(await sampleDirtyRate(qemu(GIB, [{ status: 'measured' }]).executor, signal), null);
});
