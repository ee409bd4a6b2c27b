/** The runs that the options of `godwit simulate` ask for, their table and their pictures. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  axesOf,
  checkTask,
  groupBy,
  type Picture,
  picture,
  runTask,
  type Sample,
  type SimulationTask,
  type SummaryRow,
  summarize,
  type TaskResult,
} from '../../simulator/index.ts';
import { traceLoader } from '../../trace/index.ts';
import type { CommandContext, CommandOptions } from '../command.ts';
import { commitOf } from '../commit.ts';
import { EXIT } from '../exit.ts';
import { readTasks } from './options.ts';
import { SIMULATION_SCHEMA, simulationText } from './text.ts';

/**
 * Runs what the options ask for; the exit code. Errors: USAGE_VALUE, STRATEGY_UNKNOWN, PARAMETER_*,
 * SIMULATION_INVARIANT, TRACE_*.
 */
export async function runSimulate(context: CommandContext, options: CommandOptions): Promise<number> {
  const tasks = readTasks(options);
  const load = traceLoader();
  for (const task of tasks) checkTask(task);
  const results: TaskResult[] = [];
  const plotFolder = typeof options['plot'] === 'string' ? options['plot'] : null;
  const pictures: Picture[] = [];
  for (const task of tasks) {
    context.interrupted.throwIfAborted();
    const samples: Sample[] = [];
    const plotted = plotFolder !== null && task.run === 0;
    const result = runTask(task, load, plotted ? (sample) => samples.push(sample) : undefined);
    results.push(result);
    if (plotted) pictures.push({ ...result, title: task.strategy.name, samples });
    // An interrupt is noticed between two runs.
    await new Promise(setImmediate);
  }
  if (plotFolder !== null) writePictures(plotFolder, pictures);
  const rows = [...groupBy(results, ({ strategy }) => strategy)].map(([name, group]) =>
    summarize(group, name),
  );
  const task = tasks[0]!;
  if (options['json'] === true) context.out.write(`${JSON.stringify(jsonOf(task, rows, results))}\n`);
  else context.out.write(`${simulationText(task, rows).join('\n')}\n`);
  return EXIT.ok;
}

/** Replaces the pictures of an earlier run. */
function writePictures(folder: string, pictures: readonly Picture[]): void {
  const axes = axesOf(pictures);
  mkdirSync(folder, { recursive: true });
  for (const one of pictures) writeFileSync(join(folder, `${one.title}.svg`), picture(one, axes));
}

function jsonOf(task: SimulationTask, results: readonly SummaryRow[], runs: readonly TaskResult[]) {
  const { key: _key, run: _run, seed: _seed, seedBase, strategy: _strategy, ...plan } = task;
  // A recorded guest keeps the memory size of its recording.
  const { memoryBytes } = runs[0]!;
  return {
    schema: SIMULATION_SCHEMA,
    plan: { ...plan, memoryBytes },
    seed: seedBase,
    commit: commitOf(),
    results,
    runs,
  };
}
