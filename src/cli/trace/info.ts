import {
  formatBytes,
  formatMs,
  formatPercent,
  formatRate,
  parseDurationMs,
  parseRate,
} from '../../base/index.ts';
import { oracleOfTrace } from '../../simulator/index.ts';
import { describeTrace, readTraceFile } from '../../trace/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import type { CommandContext, CommandOptions } from '../command.ts';
import { EXIT } from '../exit.ts';
import { printable } from '../screen/output.ts';

/** The exit code is 0 also for a trace that is cut, because the cut is part of the answer. */
export function showTrace({ out }: CommandContext, file: string, options: CommandOptions): number {
  const recording = readTraceFile(file);
  const about = describeTrace(recording);
  const link = typeof options['link'] === 'string' ? parseRate(options['link']) : null;
  const limitMs = parseDurationMs(String(options['downtimeLimit']));
  const oracle = link === null ? null : oracleOfTrace(recording, link, limitMs);
  if (options['json'] === true) {
    out.write(`${JSON.stringify({ ...about, oracle })}\n`);
    return EXIT.ok;
  }
  const bytes = (pages: number | null) =>
    pages === null ? 'not known' : formatBytes(pages * PAGE_SIZE_BYTES);
  const lines = [
    `${printable(file)}: ${about.source}${about.about === '' ? '' : `, ${printable(about.about)}`}; ${about.whole ? 'whole' : about.reason}`,
    `guest        ${bytes(about.pageCount)}`,
    `time         ${formatMs(about.durationMs)} in ${about.sets} sets`,
    `written      ${about.dirtyBytesPerSecond === null ? 'not known' : `at least ${formatRate(about.dirtyBytesPerSecond)}`}, ${bytes(about.distinctPages)} of distinct pages`,
    `a set        ${bytes(about.setPagesMedian)} in the median, 95 % below ${bytes(about.setPagesP95)}, at most ${bytes(about.setPagesMax)}`,
    `hot          ${bytes(about.hotPages)} in at least half of all sets; the hottest tenth takes ${about.hottestTenthShare === null ? 'nothing' : formatPercent(about.hottestTenthShare)} of all dirtying`,
  ];
  if (oracle !== null) {
    lines.push(
      `best stop    after ${formatMs(oracle.stopAtMs)}, holding ${bytes(oracle.heldPages)}: ${formatMs(oracle.totalMigrationTimeMs)} in all, ${formatMs(oracle.downtimeMs)} down (knowing the future, whole pages)`,
    );
  }
  out.write(`${lines.join('\n')}\n`);
  return EXIT.ok;
}
