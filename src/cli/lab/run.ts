/** `godwit lab run`: a plan's measurements, and whether they are what the plan expects. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../base/index.ts';
import {
  buildReport,
  findQemu,
  gatewayMigratorFor,
  type Plan,
  parsePlan,
  planCostMsMax,
  type RunRecord,
  runPlan,
} from '../../lab/index.ts';
import type { CommandContext, CommandOptions } from '../command.ts';
import { EXIT } from '../exit.ts';
import { textOf } from './options.ts';
import { LabView, reportTable, unmetExpectations } from './view.ts';

/**
 * Exit code 0 if every strategy did what the plan expects of it. Errors: LAB_PLAN, LAB_RESULTS,
 * LAB_TOOL_MISSING, LAB_VM_FAILED.
 */
export async function runLab(
  planPath: string,
  options: CommandOptions,
  context: CommandContext,
): Promise<number> {
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
      recordFolder: textOf(options, 'record'),
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
