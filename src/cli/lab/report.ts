/** `godwit lab report`: tables and plots from results. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { formatMs, GodwitError, systemClock } from '../../base/index.ts';
import { buildReport, type LabReport, readResults, reportHtml, resultsCsv } from '../../lab/index.ts';
import type { CommandContext, CommandOptions } from '../command.ts';
import { EXIT } from '../exit.ts';
import { textOf } from './options.ts';
import { reportTable } from './view.ts';

/** Errors: LAB_RESULTS. */
export function writeReport(
  resultsPath: string,
  options: CommandOptions,
  { out, err }: CommandContext,
): number {
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
