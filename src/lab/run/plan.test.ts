/** Plans say what is wrong with them; results survive a crash. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { recordOf } from '../report/record.testing.ts';
import { parseResults } from '../report/results.ts';
import { cellsOf, defaultTimeLimitMs, parsePlan, planFor } from './plan.ts';

const text = `
schema: godwit.plan/1
name: two-by-two
seed: 40
runs: 2
link: 200Mbit
memory: 256M
strategies:
  - name: qemu-precopy
  - { name: mp, parameters: { theta: 3 }, downtimeLimit: 300ms }
workloads:
  - { workload: uniform, hot: 64M, rate: 40M }
  - { id: busy, workload: stress }
`;

test('a plan in the units people write', () => {
  const plan = parsePlan(text);
  assert.equal(plan.linkBytesPerSecond, 25e6);
  assert.equal(plan.memoryBytes, 256 * 2 ** 20);
  assert.equal(plan.timeLimitMs, 60_000);
  assert.deepEqual(plan.workloads[0], {
    id: 'uniform',
    guest: { workload: 'uniform', hotBytes: 64 * 2 ** 20, rateBytesPerSecond: 40 * 2 ** 20 },
  });
  assert.equal(plan.strategies[1]?.downtimeLimitMs, 300);
  assert.equal(plan.hash, parsePlan(text).hash);
  assert.notEqual(plan.hash, parsePlan(text.replace('seed: 40', 'seed: 41')).hash);
  assert.equal(defaultTimeLimitMs(2 ** 30, 25e6), 214_749);
});

test('strategies alternate within a run and take turns to begin; a run has one seed', () => {
  const cells = cellsOf(parsePlan(text));
  assert.deepEqual(
    cells.map((cell) => cell.key),
    [
      ...['uniform/qemu-precopy/0', 'uniform/mp/0', 'busy/qemu-precopy/0', 'busy/mp/0'],
      ...['uniform/mp/1', 'uniform/qemu-precopy/1', 'busy/mp/1', 'busy/qemu-precopy/1'],
    ],
  );
  assert.deepEqual([...new Set(cells.map((cell) => `${cell.run}:${cell.seed}`))], ['0:40', '1:41']);
});

test('each fault of a plan is named where it is', () => {
  const faults: [string, string, RegExp][] = [
    ['link: 200Mbit', 'link: fast', /"fast" is not a rate[\s\S]*link/],
    ['runs: 2', 'runs: 0', /runs/],
    ['workload: stress', 'workload: chess', /workloads\[1\]\.workload/],
    ['name: mp', 'name: qemu-precopy', /"qemu-precopy" is there twice/],
    ['seed: 40', 'speed: 40', /speed/],
    ['schema: godwit.plan/1', 'schema: other/1', /schema/],
    ['runs: 2', 'runs: [', /no YAML/],
    ['workload: stress', 'workload: stress, trace: a.trace', /workloads\[1\]/],
    ['workload: stress', 'rate: 4M', /name one of a workload, a program or a trace/],
  ];
  for (const [from, to, expected] of faults) {
    assert.throws(() => parsePlan(text.replace(from, to)), { code: 'LAB_PLAN', message: expected }, to);
  }
});

test('a recorded guest has a name and a file, and no arguments; plans without one are what they were', () => {
  const recorded = parsePlan(`${text}  - { id: recorded, trace: ./a.trace }\n`);
  assert.deepEqual(recorded.workloads.at(-1), { id: 'recorded', guest: {}, trace: './a.trace' });
  const plain = parsePlan(text);
  assert.ok(
    plain.workloads.every((workload) => !('trace' in workload)),
    'the hash of a plan stays',
  );
  for (const wrong of ['{ trace: a.trace }', '{ id: x, trace: a.trace, hot: 4M }']) {
    assert.throws(() => parsePlan(`${text}  - ${wrong}\n`), { code: 'LAB_PLAN' }, wrong);
  }
});

test('a Linux guest has its own memory, machine and time limit; the plan of the others stays', () => {
  const planWith = (workload: string) => parsePlan(`${text}  - ${workload}\n`);
  const plan = planWith('{ id: stress-linux, program: stress, memory: 2G, vcpus: 2, stress: 300M }');
  const workload = plan.workloads.at(-1)!;
  assert.equal(workload.id, 'stress-linux');
  assert.deepEqual(workload.linux, {
    ...{ program: 'stress', memoryBytes: 2 ** 31, vcpus: 2, machine: 'q35' },
    guest: { stressBytes: 300 * 2 ** 20 },
  });
  assert.deepEqual([planFor(plan, workload).memoryBytes, planFor(plan, workload).machine], [2 ** 31, 'q35']);
  assert.ok(planFor(plan, workload).timeLimitMs > plan.timeLimitMs);
  assert.equal(planFor(plan, plan.workloads[0]!), plan);
  for (const wrong of [
    '{ id: x, program: stress, hot: 4M }',
    '{ workload: idle, id: x, vcpus: 2 }',
    '{ program: chess }',
  ]) {
    assert.throws(() => planWith(wrong), { code: 'LAB_PLAN' }, wrong);
  }
});

test('a crash in the middle of a line loses that line only', () => {
  const lines = [recordOf({ run: 0 }), recordOf({ run: 1 })].map((one) => JSON.stringify(one)).join('\n');
  assert.equal(parseResults(`${lines}\n`).length, 2);
  assert.equal(parseResults(lines).length, 2);
  assert.equal(parseResults(lines.slice(0, -5)).length, 1);
  assert.throws(() => parseResults(`{"schema":"other"}\n`), { code: 'LAB_RESULTS' });
  assert.throws(() => parseResults(`{\n${lines}\n`), { code: 'LAB_RESULTS' });
});
