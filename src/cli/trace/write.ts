/** The files that `godwit trace` writes: a picture, a synthesized trace, an anonymized one. */

import { randomInt } from 'node:crypto';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { formatBytes, GodwitError, parseDurationMs, parseRate, parseSize } from '../../base/index.ts';
import { tracePlot } from '../../simulator/index.ts';
import {
  anonymize,
  makeGuest,
  type Recording,
  readTraceFile,
  synthesize,
  TraceWriter,
} from '../../trace/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import type { CommandContext, CommandOptions } from '../command.ts';
import { EXIT } from '../exit.ts';
import { printable } from '../screen/output.ts';
import { count, workloadOf } from '../simulate/options.ts';

export function plotTrace({ out }: CommandContext, file: string, target: string | undefined): number {
  const path = target ?? `${file}.svg`;
  writeFileSync(path, tracePlot(readTraceFile(file)), { flag: 'wx' });
  out.write(`${printable(path)}\n`);
  return EXIT.ok;
}

const MEMORY_PAGES_MAX = 2 ** 28;
const DURATION_MS_MAX = 24 * 3_600_000;

export function synthesizeTrace({ out }: CommandContext, file: string, options: CommandOptions): number {
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

export function anonymizeTrace({ out }: CommandContext, file: string, target: string | undefined): number {
  const path = target ?? `${file}.anonymous`;
  const recording: Recording = readTraceFile(file);
  const { pageCount, source } = recording.header;
  // The key is used once and not stored.
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
