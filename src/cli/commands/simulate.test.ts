/** What people and programs get from `godwit simulate` and `godwit trace`. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { Command } from 'commander';
import { MIB } from '../../base/index.ts';
import { replayCommand, type SimulationTask } from '../../simulator/index.ts';
import { strategies } from '../../strategy/index.ts';
import { EXIT } from '../exit.ts';
import { main } from '../main.ts';
import { declareSimulationOptions, readTasks } from '../simulate/options.ts';

async function godwit(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await main(args, {
    out: { columns: 120, write: (text: string) => void (out += text) },
    err: { columns: 120, write: (text: string) => void (err += text) },
  });
  return { code, out, err };
}

const SMALL = ['--memory', '32M', '--link', '64Mbit', '--hot', '8M', '--rate', '20M'];

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-simulate-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('--json: results by strategy, with plan, seed and commit beside them', async () => {
  const { code, out } = await godwit(
    'simulate',
    ...SMALL,
    '--strategy',
    'frs,mp',
    '--strategy',
    'precopy',
    '--runs',
    '2',
    '--seed',
    '7',
    '--json',
  );
  assert.equal(code, EXIT.ok);
  const report = JSON.parse(out);
  assert.deepEqual(
    report.results.map(({ strategy }: { strategy: string }) => strategy),
    ['frs', 'mp', 'precopy'],
  );
  const [frs, , precopy] = report.results;
  assert.equal(frs.runs, 2);
  assert.equal(frs.successRate, 1);
  for (const name of ['totalMigrationTimeMs', 'downtimeMs', 'transferredBytes', 'regret']) {
    assert.ok(Number.isFinite(frs[name]), name);
  }
  assert.deepEqual([precopy.successRate, precopy.downtimeMs], [0, null]);
  assert.equal(report.seed, 7);
  assert.ok('commit' in report && report.plan.linkBytesPerSecond === 8e6);
});

test('the table has a row a strategy, and says why one failed', async () => {
  const { out } = await godwit('simulate', ...SMALL, '--strategy', 'frs,precopy', '--no-regret');
  assert.match(out, /^frs +100 % +\d/m);
  assert.match(out, /^precopy +0 % +–/m);
  assert.match(out, /precopy: no decision within/);
  assert.match(out, /bounds: total time .* downtime .* data/);
});

test('--strategy all runs every strategy there is', async () => {
  const idle = ['--workload', 'idle', '--memory', '32M', '--link', '1Gbit', '--no-regret', '--json'];
  const { out } = await godwit('simulate', ...idle, '--strategy', 'all');
  assert.equal(JSON.parse(out).results.length, strategies.length);
});

test('wrong values are refused before anything runs', async () => {
  const wrong: [string[], RegExp][] = [
    [['--strategy', 'nope'], /STRATEGY_UNKNOWN/],
    [['--workload', 'chess'], /USAGE_VALUE/],
    [['--memory', '1K'], /USAGE_VALUE/],
    [['--memory', '9000G'], /USAGE_VALUE/],
    [['--link', '1B/s'], /USAGE_VALUE/],
    [['--runs', '0'], /USAGE_VALUE/],
    [['--param', 'theta=99', '--strategy', 'frs'], /PARAMETER_RANGE/],
    [['--param', 'nothing=1', '--strategy', 'frs'], /PARAMETER_UNKNOWN/],
    [['--arrangement', 'triple'], /USAGE_VALUE/],
    [['sweeep', 'x.yaml'], /USAGE_VALUE/],
  ];
  for (const [args, expected] of wrong) {
    const { code, err } = await godwit('simulate', ...args);
    assert.notEqual(code, EXIT.ok, args.join(' '));
    assert.match(err, expected, args.join(' '));
  }
});

const PLAN = `
schema: godwit.plan/1
name: tiny
seed: 3
runs: 1
link: 64Mbit
memory: 32M
strategies: [{ name: frs }, { id: precopy, name: qemu-precopy }]
workloads: [{ workload: uniform, hot: 8M, rate: 20M }]
ranges: { link: [64Mbit, 200Mbit] }
`;

test('a sweep writes its files, resumes, and refuses the results of another plan', () =>
  inFolder(async (folder) => {
    const plan = join(folder, 'plan.yaml');
    const out = join(folder, 'out');
    writeFileSync(plan, PLAN);
    const first = await godwit('simulate', 'sweep', plan, '--out', out, '--workers', '1');
    assert.equal(first.code, EXIT.ok, first.err);
    assert.match(first.out, /^uniform +success/m);
    const lines = readFileSync(join(out, 'runs.jsonl'), 'utf8').trim().split('\n');
    assert.equal(lines.length, 4);
    assert.ok(JSON.parse(lines[0]!).key.startsWith('link=64Mbit/uniform/'));
    assert.equal(readFileSync(join(out, 'runs.csv'), 'utf8').trim().split('\n').length, 5);
    assert.ok(readFileSync(join(out, 'index.html'), 'utf8').includes('<svg'));
    writeFileSync(join(out, 'runs.jsonl'), `${lines.slice(0, 3).join('\n')}\n`);
    const again = await godwit('simulate', 'sweep', plan, '--out', out, '--workers', '1');
    assert.match(again.err, /3 of 4 runs are there already/);
    writeFileSync(plan, PLAN.replace('seed: 3', 'seed: 4'));
    const other = await godwit('simulate', 'sweep', plan, '--out', out, '--workers', '1');
    assert.match(other.err, /SWEEP_RESULTS/);
  }));

test('a sweep runs every strategy over a recorded guest, each run from another moment of it', () =>
  inFolder(async (folder) => {
    const guest = ['--workload', 'phased', '--memory', '32M', '--hot', '8M', '--rate', '20M'];
    await godwit('trace', 'synthesize', join(folder, 'a b.trace'), ...guest, '--duration', '9s');
    const plan = join(folder, 'plan.yaml');
    const recorded = "workloads: [{ id: recorded, trace: 'a b.trace' }, { workload: idle }]";
    // The guest's memory is the trace's: the plan's counts for the other one.
    const text = PLAN.replace(/workloads: .*/, recorded)
      .replace('runs: 1', 'runs: 3')
      .replace('memory: 32M', 'memory: 16M');
    writeFileSync(plan, text);
    const out = join(folder, 'out');
    const args = ['simulate', 'sweep', plan, '--out', out, '--workers', '1'];
    const { code, out: said, err } = await godwit(...args, '--json');
    assert.equal(code, EXIT.ok, err);
    const { workloads } = JSON.parse(said);
    const names = workloads.map(({ workload }: { workload: string }) => workload);
    assert.deepEqual(names, ['recorded', 'idle']);
    const [frs] = workloads[0].results;
    assert.deepEqual([frs.strategy, frs.runs, frs.successRate], ['frs', 6, 1]);
    const runs = readFileSync(join(out, 'runs.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const ofFrs = runs.filter(({ key }) => /^link=64Mbit.recorded.frs/.test(key));
    assert.equal(new Set(ofFrs.map(({ totalMigrationTimeMs }) => totalMigrationTimeMs)).size, 3);
    assert.deepEqual(
      [...new Set(runs.map(({ workload, memoryBytes }) => `${workload} ${memoryBytes / MIB}`))].sort(),
      ['idle 16', 'recorded 32'],
    );
    await godwit('trace', 'synthesize', join(folder, 'other.trace'), ...guest, '--duration', '8s');
    renameSync(join(folder, 'other.trace'), join(folder, 'a b.trace'));
    assert.match((await godwit(...args)).err, /SWEEP_RESULTS/, 'another trace is another plan');
    writeFileSync(plan, text.replace(/ranges.*/, ''));
    const lab = await godwit('lab', 'run', plan, '--results', join(folder, 'live.jsonl'));
    assert.match(lab.err, /LAB_PLAN[\s\S]*only the simulator/);
  }));

test('a run that breaks an invariant tells how to repeat it, alone and in a sweep', () =>
  inFolder(async (folder) => {
    const tight = ['--gateway-memory', '5M'];
    const alone = await godwit('simulate', ...SMALL, ...tight, '--strategy', 'frs', '--seed', '9');
    const plan = join(folder, 'plan.yaml');
    writeFileSync(plan, PLAN);
    const swept = await godwit('simulate', 'sweep', plan, ...tight, '--out', join(folder, 'out'));
    for (const { code, err } of [alone, swept]) {
      assert.notEqual(code, EXIT.ok);
      assert.match(err, /SIMULATION_INVARIANT/);
      assert.match(err, /repeat it with: godwit simulate --strategy frs .*--gateway-memory 5M .*--seed \d+/);
    }
    assert.match(alone.err, /--seed 9/);
  }));

test('the command that replays a run leads to that run', () => {
  const asked = [
    ['--strategy', 'frs', '--param', 'theta=2', ...SMALL, '--warm-up', '1500ms', '--no-regret'],
    ['--strategy', 'checkpoint', '--workload', 'zipf', '--zipf', '0.7', '--memory', '40M', '--rate', 'max'],
    ['--strategy', 'mp', '--trace', "it's a.trace", '--trace-start', '0.25', '--time-limit', '90s'],
  ];
  for (const args of asked) {
    const [task] = tasksOf(new Command(), ['--seed', '11', '--runs', '2', ...args]).slice(1);
    const words = shellWords(replayCommand(task!));
    assert.deepEqual(words.slice(0, 2), ['godwit', 'simulate']);
    const [replayed, ...others] = tasksOf(new Command(), words.slice(2));
    assert.deepEqual(others, []);
    const { key: _, run: __, seedBase: ___, ...run } = replayed!;
    const { key: _k, run: _r, seedBase: _s, ...expected } = task!;
    assert.deepEqual(run, expected);
  }
});

function tasksOf(command: Command, args: readonly string[]): SimulationTask[] {
  declareSimulationOptions(command);
  command.parse([...args], { from: 'user' });
  return readTasks(command.opts());
}

function shellWords(command: string): string[] {
  const printed = execFileSync('sh', ['-c', `printf '%s\\n' ${command}`], { encoding: 'utf8' });
  return printed.trimEnd().split('\n');
}

test('each strategy has its section and its picture, and the command that draws them is one', () => {
  const docs = new URL('../../../docs/', import.meta.url);
  const text = readFileSync(new URL('strategies.md', docs), 'utf8');
  for (const { name } of strategies) {
    assert.match(text, new RegExp(`^### \`${name}\``, 'm'), name);
    assert.ok(text.includes(`](pictures/${name}.svg)`), name);
    const svg = readFileSync(new URL(`pictures/${name}.svg`, docs), 'utf8');
    assert.ok(svg.startsWith('<svg') && svg.includes(`>${name}</text>`) && svg.length < 20_000, name);
  }
  const command = /^godwit simulate (.* --plot docs.pictures)$/m.exec(text)![1]!;
  const drawing = new Command().option('--plot <folder>');
  assert.equal(tasksOf(drawing, command.split(' ')).length, strategies.length);
});

test('the plans that are shipped can be read', async () => {
  for (const name of ['thesis', 'all-strategies', 'regret', 'regret-training']) {
    const text = readFileSync(new URL(`../../../plans/${name}.yaml`, import.meta.url), 'utf8');
    const { parse, stringify } = await import('yaml');
    const { parsePlan } = await import('../../lab/index.ts');
    const { variantsOf } = await import('../../simulator/index.ts');
    for (const { document } of variantsOf(parse(text)).slice(0, 20)) parsePlan(stringify(document));
  }
});

test('trace: synthesize, info, plot and anonymize; nothing is overwritten; a trace replays', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'a.trace');
    const guest = [
      '--workload',
      'sweep',
      '--memory',
      '32M',
      '--hot',
      '8M',
      '--rate',
      '4M',
      '--duration',
      '4s',
    ];
    assert.equal((await godwit('trace', 'synthesize', file, ...guest)).code, EXIT.ok);
    assert.notEqual((await godwit('trace', 'synthesize', file, ...guest)).code, EXIT.ok);
    const about = JSON.parse((await godwit('trace', 'info', file, '--link', '64Mbit', '--json')).out);
    assert.equal(about.whole, true);
    assert.equal(about.sets, 16);
    assert.ok(about.oracle.totalMigrationTimeMs > 0);
    assert.match((await godwit('trace', 'info', file)).out, /written +at least/);
    const picture = join(folder, 'a.svg');
    await godwit('trace', 'plot', file, picture);
    assert.match(readFileSync(picture, 'utf8'), /^<svg/);
    await godwit('trace', 'anonymize', file);
    assert.ok(existsSync(`${file}.anonymous`));
    const replayed = await godwit(
      'simulate',
      '--trace',
      file,
      '--link',
      '64Mbit',
      '--strategy',
      'frs',
      '--json',
    );
    assert.equal(JSON.parse(replayed.out).results[0].successRate, 1);
    assert.match((await godwit('trace', 'info', picture)).err, /TRACE_MAGIC/);
    assert.match((await godwit('trace', 'burn', file)).err, /USAGE_VALUE/);
  }));
