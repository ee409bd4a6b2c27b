/** `godwit trace info|plot|synthesize|anonymize`: dirty-page traces as files. Not responsible for their format (src/trace). */

import { randomInt } from 'node:crypto';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import {
  formatBytes,
  formatMs,
  formatPercent,
  formatRate,
  GodwitError,
  parseDurationMs,
  parseRate,
  parseSize,
} from '../../base/index.ts';
import { oracleOfTrace, tracePlot } from '../../simulator/index.ts';
import {
  anonymize,
  describeTrace,
  makeGuest,
  type Recording,
  readTraceFile,
  synthesize,
  TraceWriter,
} from '../../trace/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import type { CommandContext, CommandDefinition, CommandOptions } from '../command.ts';
import { EXIT } from '../exit.ts';
import { printable } from '../screen/output.ts';
import { count, workloadOf } from '../simulate/options.ts';

export const command: CommandDefinition = {
  configure(command) {
    command
      .argument('<info|plot|synthesize|anonymize>', 'what to do')
      .argument('<file>', 'the trace')
      .argument('[out]', 'plot, anonymize: the file to write')
      .option('--link <rate>', 'info: also the best stop on a link like this')
      .option('--downtime-limit <time>', 'info: the limit for that', '300ms')
      .option('--workload <name>', 'synthesize: as in godwit simulate, with the options below', 'uniform')
      .option('--memory <size>', 'synthesize: memory of the guest', '256M')
      .option('--hot <size>', 'synthesize: what it keeps writing')
      .option('--rate <rate|max>', 'synthesize: how fast')
      .option('--zipf <exponent>', 'synthesize: for zipf', '0.99')
      .option('--busy <time>', 'synthesize: for phased', '2s')
      .option('--quiet <time>', 'synthesize: for phased', '2s')
      .option('--seed <number>', 'synthesize: of the writes', '1')
      .option('--duration <time>', 'synthesize: how long', '30s')
      .option('--interval <time>', 'synthesize: time of a set', '250ms')
      .option('--json', 'info: one JSON object instead of text');
  },
  async run(context, [action = '', file = '', out], options) {
    switch (action) {
      case 'info':
        return info(context, file, options);
      case 'plot':
        return plot(context, file, out);
      case 'synthesize':
        return synthetic(context, file, options);
      case 'anonymize':
        return anonymous(context, file, out);
      default:
        throw new GodwitError('USAGE_VALUE', `godwit trace cannot "${action.slice(0, 64)}"`, {
          hint: 'godwit trace info, plot, synthesize or anonymize, and a file',
          safe: 'nothing was changed',
        });
    }
  },
};

/** Exit code 0 also for a trace that is cut: that is an answer. */
function info({ out }: CommandContext, file: string, options: CommandOptions): number {
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

function plot({ out }: CommandContext, file: string, target: string | undefined): number {
  const path = target ?? `${file}.svg`;
  writeFileSync(path, tracePlot(readTraceFile(file)), { flag: 'wx' });
  out.write(`${printable(path)}\n`);
  return EXIT.ok;
}

const MEMORY_PAGES_MAX = 2 ** 28;
const DURATION_MS_MAX = 24 * 3_600_000;

function synthetic({ out }: CommandContext, file: string, options: CommandOptions): number {
  const pageCount = parseSize(String(options['memory'])) / PAGE_SIZE_BYTES;
  const durationMs = parseDurationMs(String(options['duration']));
  if (
    !Number.isInteger(pageCount) ||
    pageCount < 1024 ||
    pageCount > MEMORY_PAGES_MAX ||
    durationMs > DURATION_MS_MAX
  ) {
    throw new GodwitError('USAGE_VALUE', 'such a guest cannot be synthesized', {
      hint: '4 MiB to 1 TiB of memory in whole pages, and at most a day',
      safe: 'nothing was written',
    });
  }
  // A hot set follows from a link of 1 Gb/s where none is given, as in `godwit simulate`.
  const workload = workloadOf(options, parseRate('1Gbit'));
  const seed = count('seed', options['seed'], 0, 0xffff_0000);
  const guest = makeGuest(pageCount, { ...workload, seed });
  const about = `${workload.workload} of ${formatBytes(pageCount * PAGE_SIZE_BYTES)}, seed ${seed}`;
  writeTrace(file, { pageCount, source: 'synthetic', about }, (writer) =>
    synthesize(guest, writer, durationMs, parseDurationMs(String(options['interval']))),
  );
  out.write(`${printable(file)}\n`);
  return EXIT.ok;
}

function anonymous({ out }: CommandContext, file: string, target: string | undefined): number {
  const path = target ?? `${file}.anonymous`;
  const recording: Recording = readTraceFile(file);
  const { pageCount, source } = recording.header;
  // The key is drawn, used and forgotten.
  writeTrace(path, { pageCount, source }, (writer) => anonymize(recording, writer, randomInt(2 ** 32)));
  out.write(`${printable(path)}\n`);
  return EXIT.ok;
}

/** A file that is there already is not overwritten. */
function writeTrace(
  path: string,
  about: { pageCount: number; source: 'recorded' | 'synthetic'; about?: string },
  work: (writer: TraceWriter) => void,
): void {
  const file = openSync(path, 'wx');
  try {
    work(new TraceWriter({ ...about, write: (bytes) => void writeSync(file, bytes) }));
  } finally {
    closeSync(file);
  }
}
