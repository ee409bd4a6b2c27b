/** Tasks repeat, sweeps resume, ranges multiply, and what comes out says whose it is. */

import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { GIB, MIB } from '../base/index.ts';
import {
  appendRecord,
  recordsCsv,
  replayCommand,
  resumeRecords,
  runTask,
  type SimulationTask,
  summarize,
  sweep,
  sweepPage,
  type TaskResult,
  variantsOf,
} from './index.ts';

function taskOf(name: string, run: number, over: Partial<SimulationTask> = {}): SimulationTask {
  return {
    key: `uniform/${name}/${run}`,
    run,
    seed: 5 + run,
    seedBase: 5,
    strategy: { id: name, name, parameters: {}, relaxedFactor: 1 },
    workload: {
      id: 'uniform',
      options: { workload: 'uniform', hotBytes: 8 * MIB, rateBytesPerSecond: 30 * MIB },
    },
    trace: null,
    memoryBytes: 32 * MIB,
    linkBytesPerSecond: 8 * MIB,
    roundTripMs: 0.2,
    downtimeLimitMs: 300,
    timeLimitMs: null,
    gatewayMemoryBytesMax: GIB,
    arrangement: 'single',
    regret: true,
    ...over,
  };
}

const noTrace = () => assert.fail('no trace is replayed here');

test('threads give what one thread gives, and every task once', async () => {
  const tasks = ['frs', 'mp', 'hyperv'].flatMap((name) => [taskOf(name, 0), taskOf(name, 1)]);
  const results: TaskResult[] = [];
  const signal = new AbortController().signal;
  await sweep({ tasks, workers: 2, signal, onResult: (result) => results.push(result) });
  assert.deepEqual(results.map(({ key }) => key).sort(), tasks.map(({ key }) => key).sort());
  const one = results.find(({ key }) => key === tasks[0]!.key);
  assert.deepEqual(one, JSON.parse(JSON.stringify(runTask(tasks[0]!, noTrace))));
});

test('a sweep that is interrupted rejects and keeps what it had', async () => {
  const stop = new AbortController();
  const results: TaskResult[] = [];
  const tasks = Array.from({ length: 6 }, (_, run) => taskOf('frs', run));
  const swept = sweep({
    tasks,
    workers: 1,
    signal: stop.signal,
    onResult: (result) => {
      results.push(result);
      stop.abort(new Error('enough'));
    },
  });
  await assert.rejects(swept, /enough/);
  assert.equal(results.length, 1);
});

test('the relaxed limit is the smallest doubling with which five of five runs end', () => {
  const result = runTask(taskOf('precopy-relaxed', 0), noTrace);
  assert.equal(result.success, true);
  const doublings = result.parameters['doublings']!;
  assert.ok(doublings > 0, 'this guest does not fit the default');
  const fewer = taskOf('precopy-relaxed', 0, {
    strategy: {
      id: 'x',
      name: 'precopy-relaxed',
      parameters: { doublings: doublings - 1 },
      relaxedFactor: 1,
    },
    regret: false,
  });
  const ended = [0, 1, 2, 3, 4].filter((run) => runTask({ ...fewer, seed: 5 + run }, noTrace).success);
  assert.ok(ended.length < 5);
});

test('the replay command names everything that makes the run', () => {
  const command = replayCommand(
    taskOf('frs', 3, { strategy: { id: 'f', name: 'frs', parameters: { theta: 2 }, relaxedFactor: 1 } }),
  );
  for (const part of [
    '--strategy frs',
    '--param theta=2',
    '--memory 32M',
    '--hot 8M',
    '--rate 31457280B/s',
    '--seed 8',
  ]) {
    assert.ok(command.includes(part), `${part} in ${command}`);
  }
});

test('results resume: a torn line is dropped, another plan is refused', () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-sweep-'));
  try {
    const file = join(folder, 'runs.jsonl');
    const stamp = { plan: 'p', hash: 'abc', commit: null };
    const result = runTask(taskOf('frs', 0), noTrace);
    appendRecord(file, stamp, result);
    appendFileSync(file, '{"schema":"godwit.simul');
    assert.equal(resumeRecords(file, 'abc').length, 1);
    assert.ok(readFileSync(file, 'utf8').endsWith('}\n'));
    assert.throws(() => resumeRecords(file, 'other'), { code: 'SWEEP_RESULTS' });
    assert.deepEqual(resumeRecords(join(folder, 'none.jsonl'), 'abc'), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('summaries count failures and leave unknown unknown; CSV leaves it empty', () => {
  const good = runTask(taskOf('frs', 0), noTrace);
  const bad = runTask(taskOf('precopy', 0, { timeLimitMs: 8000 }), noTrace);
  assert.equal(bad.outcome, 'timed-out');
  const row = summarize([good, { ...bad, strategy: 'frs' }], 'frs');
  assert.equal(row.successRate, 0.5);
  assert.equal(row.totalMigrationTimeMs, good.totalMigrationTimeMs);
  assert.equal(summarize([bad], 'precopy').downtimeMs, null);
  const [header, line] = recordsCsv([bad]).split('\n');
  const column = header!.split(',').indexOf('downtimeMs');
  assert.equal(line!.split(',')[column], '');
});

test('the page holds every strategy and loads nothing', () => {
  const results = ['frs', 'mp', 'precopy'].map((name) =>
    runTask(taskOf(name, 0, { timeLimitMs: 20_000 }), noTrace),
  );
  const page = sweepPage({ plan: 'a <plan>', seed: 5, commit: 'c0ffee', results });
  for (const text of ['frs', 'mp', 'precopy', 'a &#60;plan&#62;', 'c0ffee'])
    assert.ok(page.includes(text), text);
  assert.doesNotMatch(page, /<script|https?:\/\/(?!www\.w3\.org)|NaN|undefined/);
});

test('ranges multiply, draws are drawn once and for all', () => {
  const document = {
    name: 'p',
    seed: 9,
    link: '1Gbit',
    memory: '1G',
    workloads: [{ workload: 'uniform', hot: '64M' }],
    ranges: { link: ['100Mbit', '1Gbit'], hot: ['16M', '32M', '64M'] },
  };
  const variants = variantsOf(document);
  assert.equal(variants.length, 6);
  assert.equal(variants[1]!.label, 'link=100Mbit/hot=32M/');
  assert.equal('ranges' in variants[0]!.document, false);
  const draw = { count: 50, link: ['100Mbit', '1Gbit'], hotShare: { from: 0.01, to: 0.5 } };
  const drawn = variantsOf({ ...document, ranges: {}, draw });
  assert.equal(drawn.length, 50);
  assert.equal(new Set(drawn.map(({ document: plan }) => JSON.stringify(plan))).size, 50);
  assert.deepEqual(variantsOf({ ...document, ranges: {}, draw: { ...draw, count: 20 } }), drawn.slice(0, 20));
  assert.throws(() => variantsOf({ ...document, ranges: { link: [] } }), { code: 'SWEEP_RANGES' });
  for (const workloads of [undefined, null, {}, [null], ['x']]) {
    assert.throws(() => variantsOf({ ...document, ranges: {}, workloads, draw }), { code: 'SWEEP_RANGES' });
  }
});

test('a short plan that names more runs than memory holds is refused before they are made', () => {
  const many = Array.from({ length: 1000 }, (_, index) => index + 1);
  const document = { name: 'p', workloads: [{ workload: 'uniform' }] };
  for (const plan of [
    { ranges: { link: many, hot: many } },
    { ranges: { link: many }, draw: { count: 100_000 } },
  ]) {
    assert.throws(() => variantsOf({ ...document, ...plan }), { code: 'SWEEP_RANGES' });
  }
});
