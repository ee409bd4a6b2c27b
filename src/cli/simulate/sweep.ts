/**
 * `godwit simulate sweep PLAN`: a plan's runs, simulated on all cores; continues where it stopped. Not
 * responsible for a run (src/simulator).
 */

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parse as parseYaml, stringify } from 'yaml';
import { errorMessage, formatPercent, GodwitError } from '../../base/index.ts';
import { type Cell, cellsOf, type Plan, parsePlan } from '../../lab/index.ts';
import {
  againstRelaxed,
  appendRecord,
  checkTask,
  groupBy,
  recordsCsv,
  resumeRecords,
  type SimulationTask,
  type SummaryRow,
  summarize,
  sweep,
  sweepPage,
  type TaskResult,
  variantsOf,
} from '../../simulator/index.ts';
import { WORKLOAD_DEFAULTS } from '../../trace/index.ts';
import type { CommandContext, CommandOptions } from '../command.ts';
import { commitOf } from '../commit.ts';
import { EXIT } from '../exit.ts';
import { count, grainOption, simulationOptionsOf, traceAt } from './options.ts';
import { SIMULATION_SCHEMA, summaryTable } from './text.ts';

const PLAN_BYTES_MAX = 256 * 1024;
const TASKS_MAX = 1_000_000;

/** The lab calls plain QEMU by names of its own; here its rule is a strategy. */
const SIMULATED_AS: Readonly<Record<string, string>> = {
  'qemu-precopy': 'precopy',
  'qemu-precopy-relaxed': 'precopy-relaxed',
  'qemu-auto-converge': 'auto-converge',
  'qemu-postcopy': 'postcopy',
};

export async function runSweep(
  context: CommandContext,
  args: readonly string[],
  options: CommandOptions,
): Promise<number> {
  const [action = '', path] = args;
  if (action !== 'sweep' || path === undefined) {
    const wrong =
      action === 'sweep'
        ? 'godwit simulate sweep needs a plan'
        : `godwit simulate cannot "${action.slice(0, 64)}"`;
    throw new GodwitError('USAGE_VALUE', wrong, {
      hint: 'godwit simulate, or godwit simulate sweep PLAN',
      safe: 'nothing was started',
    });
  }
  const { name, seed, tasks } = readSweep(readFileSync(path, 'utf8'), dirname(path), options);
  for (const task of tasks) checkTask(task);
  const folder = typeof options['out'] === 'string' ? options['out'] : join('results', `simulated-${name}`);
  mkdirSync(folder, { recursive: true });
  const stamp = { plan: name, hash: hashOf(tasks), commit: commitOf() };
  const file = join(folder, 'runs.jsonl');
  const results: TaskResult[] = resumeRecords(file, stamp.hash);
  const known = new Set(results.map(({ key }) => key));
  const left = tasks.filter(({ key }) => !known.has(key));
  if (known.size > 0) context.err.write(`${known.size} of ${tasks.length} runs are there already\n`);
  const progress = progressOn(context, left.length);
  await sweep({
    tasks: left,
    workers:
      options['workers'] === undefined
        ? availableParallelism()
        : count('workers', options['workers'], 1, 256),
    signal: context.interrupted,
    onResult: (result, done) => {
      appendRecord(file, stamp, result);
      results.push(result);
      progress(done);
    },
  });
  const order = new Map(tasks.map(({ key }, index) => [key, index]));
  results.sort((one, other) => order.get(one.key)! - order.get(other.key)!);
  writeFileSync(join(folder, 'runs.csv'), recordsCsv(results));
  writeFileSync(join(folder, 'index.html'), sweepPage({ plan: name, seed, commit: stamp.commit, results }));
  const compared = againstRelaxed(results);
  if (compared !== null) writeFileSync(join(folder, 'against-relaxed.md'), compared);
  report(context, { name, seed, commit: stamp.commit, folder, results, json: options['json'] === true });
  return EXIT.ok;
}

interface Sweep {
  readonly name: string;
  readonly seed: number;
  readonly tasks: readonly SimulationTask[];
}

/** Errors: LAB_PLAN, SWEEP_RANGES. */
function readSweep(text: string, folder: string, options: CommandOptions): Sweep {
  if (text.length > PLAN_BYTES_MAX)
    throw new GodwitError('SWEEP_RANGES', `a plan has at most ${PLAN_BYTES_MAX} bytes`);
  let document: unknown;
  try {
    document = parseYaml(text);
  } catch (cause) {
    throw new GodwitError('SWEEP_RANGES', `the plan is no YAML: ${errorMessage(cause)}`, { cause });
  }
  const variants = variantsOf(document).map(({ label, document: variant }) => {
    const plan = parsePlan(stringify(variant));
    // A recorded guest has a size of its own, so its limits are known only when it is read.
    return { label, plan, timeLimitGiven: 'timeLimit' in variant };
  });
  const tasks = variants.flatMap((variant) =>
    cellsOf(variant.plan).map((cell) => taskOf(cell, variant, folder, options)),
  );
  if (tasks.length > TASKS_MAX) {
    throw new GodwitError('SWEEP_RANGES', `the plan makes ${tasks.length} runs, at most ${TASKS_MAX}`);
  }
  const { name, seed } = variants[0]!.plan;
  return { name, seed, tasks };
}

const DOWNTIME_LIMIT_MS = 300;

function taskOf(
  cell: Cell,
  { label, plan, timeLimitGiven }: { label: string; plan: Plan; timeLimitGiven: boolean },
  folder: string,
  options: CommandOptions,
): SimulationTask {
  const { strategy, workload } = cell;
  if (workload.linux !== undefined) {
    throw new GodwitError('LAB_PLAN', `${workload.id} is a Linux guest: only the lab can run it`, {
      hint: 'godwit lab run PLAN',
    });
  }
  const trace =
    workload.trace === undefined ? null : traceAt(resolve(folder, workload.trace), cell.run / plan.runs);
  return {
    key: `${label}${cell.key}`,
    run: cell.run,
    seed: cell.seed,
    seedBase: plan.seed,
    strategy: {
      id: strategy.id,
      name: SIMULATED_AS[strategy.name] ?? strategy.name,
      parameters: strategy.parameters,
      relaxedFactor: strategy.relaxedFactor,
    },
    workload: { id: workload.id, options: { ...WORKLOAD_DEFAULTS, ...workload.guest } },
    trace,
    ...simulationOptionsOf(options),
    ...(trace === null ? grainOption(options, plan.memoryBytes, plan.linkBytesPerSecond) : {}),
    memoryBytes: plan.memoryBytes,
    linkBytesPerSecond: plan.linkBytesPerSecond,
    downtimeLimitMs: strategy.downtimeLimitMs ?? DOWNTIME_LIMIT_MS,
    timeLimitMs: trace !== null && !timeLimitGiven ? null : plan.timeLimitMs,
  };
}

/** A trace is identified by its contents. Errors: the file system's. */
function hashOf(tasks: readonly SimulationTask[]): string {
  const hash = createHash('sha256');
  for (const task of tasks) hash.update(JSON.stringify(task));
  const traces = new Set(tasks.flatMap(({ trace }) => (trace === null ? [] : [trace.file])));
  for (const file of traces) hash.update(createHash('sha256').update(readFileSync(file)).digest());
  return hash.digest('hex').slice(0, 16);
}

function progressOn(context: CommandContext, total: number): (done: number) => void {
  let shown = -1;
  return (done) => {
    const percent = Math.floor((100 * done) / Math.max(1, total));
    if (context.err.isTTY) context.err.write(`\r${done} of ${total} runs${done === total ? '\n' : ''}`);
    else if (percent >= shown + 10) {
      shown = percent;
      context.err.write(`${done} of ${total} runs (${formatPercent(done / total)})\n`);
    }
  };
}

function report(
  context: CommandContext,
  about: {
    readonly name: string;
    readonly seed: number;
    readonly commit: string | null;
    readonly folder: string;
    readonly results: readonly TaskResult[];
    readonly json: boolean;
  },
): void {
  const { name, seed, commit, folder, results, json } = about;
  const rowsOf = (group: readonly TaskResult[]): SummaryRow[] =>
    [...groupBy(group, ({ strategy }) => strategy)].map(([strategy, runs]) => summarize(runs, strategy));
  const workloads = [...groupBy(results, ({ workload }) => workload)].map(([workload, group]) => ({
    workload,
    results: rowsOf(group),
  }));
  if (json) {
    const all = { schema: SIMULATION_SCHEMA, plan: name, seed, commit, results: rowsOf(results), workloads };
    context.out.write(`${JSON.stringify(all)}\n`);
    return;
  }
  const lines = workloads.flatMap(({ workload, results: rows }) => [...summaryTable(rows, workload), '']);
  context.out.write(`${lines.join('\n')}\n${folder}: runs.jsonl, runs.csv, index.html\n`);
}
