/**
 * `godwit lab run PLAN` and `godwit lab report RESULTS`: measurements on real VMs by a plan, and their tables and plots;
 * `godwit lab calibrate`: the same guests simulated.
 * Not responsible for a single run (src/lab) nor for what the screen shows meanwhile (lab-view.ts).
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { formatMs, GodwitError, systemClock } from '../../base/index.ts';
import {
  buildReport,
  findQemu,
  gatewayMigratorFor,
  type LabReport,
  type Plan,
  parsePlan,
  planCostMsMax,
  type RunRecord,
  readResults,
  reportHtml,
  resultsCsv,
  runPlan,
} from '../../lab/index.ts';
import type { CommandContext, CommandDefinition, CommandOptions } from '../command.ts';
import { EXIT } from '../exit.ts';
import { LabView, reportTable, unmetExpectations } from '../lab/view.ts';

export const command: CommandDefinition = {
  handlesInterrupts: true,
  configure(command) {
    command
      .argument(
        '<run|report|calibrate>',
        'run: measure by a plan; report: tables and plots from results; calibrate: live runs beside simulated ones',
      )
      .argument('[file]', 'the plan (plans/*.yaml), or the results (JSON lines)')
      .option(
        '--results <file>',
        'run, calibrate: where results are added; default results/NAME-OF-THE-PLAN.jsonl, results/calibration.jsonl',
      )
      .option(
        '--only <name>',
        'run, calibrate: only this workload, strategy, or workload/strategy; repeatable',
        collect,
        [],
      )
      .option(
        '--lock <file>',
        'run, calibrate: wait for this lock before each run: one measurement at a time on a machine',
      )
      .option('--out <folder>', 'report: where the files go; default beside the results')
      .option('--json', 'the report as JSON on standard output')
      .addHelpText(
        'after',
        '\nA run that was interrupted goes on where it stopped: give the same command again.',
      );
  },
  async run(context, [action = '', file = ''], options) {
    if (action === 'calibrate') return (await import('../lab/calibrate.ts')).runCalibration(context, options);
    if (file === '' && ['run', 'report'].includes(action)) {
      throw new GodwitError('USAGE_VALUE', `godwit lab ${action} needs a file`, {
        hint: 'run takes a plan, report takes results',
        safe: 'nothing was started',
      });
    }
    if (action === 'run') return runLab(file, options, context);
    if (action === 'report') return writeReport(file, options, context);
    throw new GodwitError('USAGE_VALUE', `godwit lab cannot "${action.slice(0, 64)}"`, {
      hint: 'godwit lab run PLAN, godwit lab report RESULTS, or godwit lab calibrate',
      safe: 'nothing was started',
    });
  },
};

function collect(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}

function textOf(options: CommandOptions, name: string): string | null {
  const value = options[name];
  return typeof value === 'string' ? value : null;
}

/** Exit code 0 if every strategy did what the plan expects of it. Errors: LAB_PLAN, LAB_RESULTS, LAB_TOOL_MISSING, LAB_VM_FAILED. */
async function runLab(planPath: string, options: CommandOptions, context: CommandContext): Promise<number> {
  const plan = parsePlan(readFileSync(planPath, 'utf8'));
  const resultsPath = textOf(options, 'results') ?? join('results', `${plan.name}.jsonl`);
  findQemu();
  const view = new LabView(context.err, systemClock);
  view.introduce(plan, planCostMsMax(plan), resultsPath);
  const only = options['only'] as readonly string[];
  let records: readonly RunRecord[];
  try {
    records = await runPlan({
      plan,
      resultsPath,
      migratorOf: (strategy) => gatewayMigratorFor(strategy),
      ...(only.length === 0 ? {} : { only }),
      lockPath: textOf(options, 'lock'),
      onEvent: (event) => view.show(event),
      signal: context.interrupted,
    });
  } finally {
    view.close();
  }
  return conclude(plan, records, resultsPath, options, context);
}

function conclude(
  plan: Plan,
  records: readonly RunRecord[],
  resultsPath: string,
  options: CommandOptions,
  { out, err }: CommandContext,
): number {
  const report = buildReport(records);
  if (report === null) return EXIT.ok;
  const unmet = unmetExpectations(report);
  if (options['json'] === true) out.write(`${JSON.stringify(report)}\n`);
  else out.write(`${reportTable(report).join('\n')}\n`);
  for (const line of unmet) err.write(`not as ${plan.name} expects: ${line}\n`);
  err.write(`tables and plots: godwit lab report ${resultsPath}\n`);
  return unmet.length === 0 ? EXIT.ok : EXIT.failed;
}

/** Errors: LAB_RESULTS. */
function writeReport(resultsPath: string, options: CommandOptions, { out, err }: CommandContext): number {
  const startMs = systemClock.nowMs();
  const records = readResults(resultsPath);
  const report: LabReport | null = buildReport(records);
  if (report === null) {
    throw new GodwitError('LAB_RESULTS', `there are no results in ${resultsPath}`, {
      hint: 'godwit lab run PLAN --results FILE writes them',
    });
  }
  const folder = textOf(options, 'out') ?? besideResults(resultsPath);
  mkdirSync(folder, { recursive: true });
  const files = {
    'report.json': `${JSON.stringify(report, null, 2)}\n`,
    'report.csv': resultsCsv(records),
    'report.html': reportHtml(report, records),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  if (options['json'] === true) out.write(`${JSON.stringify(report)}\n`);
  else out.write(`${reportTable(report).join('\n')}\n`);
  const names = Object.keys(files).join(', ');
  err.write(`${names} in ${folder} (${formatMs(systemClock.nowMs() - startMs)})\n`);
  return EXIT.ok;
}

function besideResults(resultsPath: string): string {
  return join(dirname(resultsPath), `${basename(resultsPath, extname(resultsPath))}-report`);
}
