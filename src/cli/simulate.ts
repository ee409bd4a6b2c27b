/** `godwit simulate`: strategies against a modelled guest and link. Not responsible for the model (src/simulator). */

import { execFileSync } from 'node:child_process';
import { formatBytes, formatMs, formatPercent, formatRate } from '../base/index.ts';
import {
  checkTask,
  groupBy,
  runTask,
  type SimulationTask,
  type SummaryRow,
  summarize,
  type TaskResult,
} from '../simulator/index.ts';
import { traceLoader } from '../trace/index.ts';
import type { CommandContext, CommandDefinition, CommandOptions } from './command.ts';
import { EXIT } from './exit.ts';
import { printable } from './output.ts';
import { declareSimulationOptions, describeTask, readTasks } from './simulate-options.ts';
import { formatTable } from './table.ts';

export const command: CommandDefinition = {
  configure(command) {
    command
      .argument('[sweep]', '"sweep" runs a plan on all cores')
      .argument('[plan]', 'the plan file (YAML)');
    declareSimulationOptions(command);
    command
      .option('--out <folder>', 'for sweep: where results go (default: ./results/PLAN)')
      .option('--workers <count>', 'for sweep: how many runs at once (default: all cores)');
  },
  async run(context, args, options) {
    if (args.length > 0) return (await import('./simulate-sweep.ts')).runSweep(context, args, options);
    return runSimulate(context, options);
  },
};

export const SIMULATION_SCHEMA = 'godwit.simulation/1';

/** Runs what the options ask for; the exit code. Errors: USAGE_VALUE, STRATEGY_UNKNOWN, PARAMETER_*, SIMULATION_INVARIANT, TRACE_*. */
export async function runSimulate(context: CommandContext, options: CommandOptions): Promise<number> {
  const tasks = readTasks(options);
  const load = traceLoader();
  for (const task of tasks) checkTask(task);
  const results: TaskResult[] = [];
  for (const task of tasks) {
    context.interrupted.throwIfAborted();
    results.push(runTask(task, load));
    // Lets an interrupt in between two runs.
    await new Promise(setImmediate);
  }
  const rows = [...groupBy(results, ({ strategy }) => strategy)].map(([name, group]) =>
    summarize(group, name),
  );
  const task = tasks[0]!;
  if (options['json'] === true) context.out.write(`${JSON.stringify(jsonOf(task, rows, results))}\n`);
  else context.out.write(`${textOf(task, rows).join('\n')}\n`);
  return EXIT.ok;
}

function jsonOf(task: SimulationTask, results: readonly SummaryRow[], runs: readonly TaskResult[]) {
  const { key: _key, run: _run, seed: _seed, seedBase, strategy: _strategy, ...plan } = task;
  return { schema: SIMULATION_SCHEMA, plan, seed: seedBase, commit: commitOf(), results, runs };
}

function textOf(task: SimulationTask, rows: readonly SummaryRow[]): string[] {
  const first = rows[0]!;
  const head = `${printable(describeTask(task))}; link ${formatRate(task.linkBytesPerSecond)}, round trip ${formatMs(task.roundTripMs)}; limit ${formatMs(task.downtimeLimitMs)}; ${task.arrangement}; ${first.runs} ${first.runs === 1 ? 'run' : 'runs'} from seed ${task.seedBase}`;
  const bounds = `bounds: total time ${nullable(first.totalMigrationTimeMsMin, formatMs)}, downtime ${nullable(first.downtimeMsMin, formatMs)}, data ${nullable(first.transferredBytesMin, formatBytes)}`;
  const failed = rows.filter(({ reasons }) => reasons.length > 0);
  return [
    head,
    bounds,
    '',
    ...summaryTable(rows),
    ...(failed.length > 0
      ? ['', ...failed.map(({ strategy, reasons }) => `${strategy}: ${printable(reasons[0]!)}`)]
      : []),
  ];
}

/** Medians of completed runs; shared by the sweep. */
export function summaryTable(rows: readonly SummaryRow[], title = 'strategy'): string[] {
  const columns = [
    { title },
    { title: 'success', align: 'right' },
    { title: 'total time', align: 'right' },
    { title: 'downtime', align: 'right' },
    { title: 'data', align: 'right' },
    { title: 'regret', align: 'right' },
    { title: 'p95', align: 'right' },
  ] as const;
  return formatTable(
    columns,
    rows.map((row) => [
      row.strategy,
      formatPercent(row.successRate),
      known(row.totalMigrationTimeMs, formatMs),
      known(row.downtimeMs, formatMs),
      known(row.transferredBytes, formatBytes),
      known(row.regret, formatPercent),
      known(row.regretP95, formatPercent),
    ]),
  );
}

function known(value: number | null, format: (value: number) => string): string | null {
  return value === null ? null : format(value);
}

function nullable(value: number | null, format: (value: number) => string): string {
  return known(value, format) ?? 'not known';
}

/** null outside of a git checkout. */
export function commitOf(): string | null {
  try {
    const args = ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'];
    const options = { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'ignore'] as const };
    return execFileSync('git', args, { ...options, stdio: [...options.stdio], encoding: 'utf8' }).trim();
  } catch {
    return null;
  }
}
