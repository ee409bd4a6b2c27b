/**
 * `godwit inspect FILE|-`: what a captured QEMU migration stream holds, and whether it is whole. Reads incrementally, keeps
 * no page. Not responsible for the format (src/stream).
 */

import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import {
  errorCode,
  errorMessage,
  formatBytes,
  formatPercent,
  type GodwitError,
  MIB,
} from '../../base/index.ts';
import { StreamDecoder, type StreamEnd } from '../../stream/index.ts';
import type { CommandDefinition, Output } from '../command.ts';
import { EXIT } from '../exit.ts';
import { InspectCollector } from '../inspect/collector.ts';
import { type Paint, painter, printable, wantsColour } from '../screen/output.ts';
import { formatTable } from '../screen/table.ts';

const READ_BYTES = MIB;

export const command: CommandDefinition = {
  configure(command) {
    command
      .argument('<file>', 'a stream captured with `migrate "exec:cat > FILE"`; - reads standard input')
      .option('--json', 'one JSON object instead of text');
  },
  run({ out }, [file], options) {
    return runInspect(file!, { json: options['json'] === true }, out);
  },
};

/**
 * Shows the stream and resolves with the exit code: a stream that is cut short is an answer (0), a damaged one a failure (1).
 * Errors: STREAM_MAGIC and STREAM_VERSION when the input is no stream at all.
 */
export async function runInspect(file: string, options: { json: boolean }, out: Output): Promise<number> {
  const collector = new InspectCollector();
  const decoder = new StreamDecoder({ capabilities: 'unknown' }, collector);
  let damage: GodwitError | null = null;
  try {
    for await (const chunk of file === '-' ? process.stdin : chunksOf(file))
      decoder.write(chunk as Uint8Array);
  } catch (error) {
    const code = errorCode(error);
    if (!code.startsWith('STREAM_') || code === 'STREAM_MAGIC' || code === 'STREAM_VERSION') throw error;
    damage = error as GodwitError;
  }
  const end = damage
    ? {
        complete: false,
        reason: `${errorMessage(damage)} (${damage.code} at byte ${damage.fields['streamOffset']})`,
      }
    : decoder.end();
  const report = describe(collector, decoder.facts.bytesWritten, end, damage?.code ?? null);
  if (options.json) out.write(`${JSON.stringify(report)}\n`);
  else out.write(`${render(file, report, painter(wantsColour(out))).join('\n')}\n`);
  return damage ? EXIT.failed : EXIT.ok;
}

/** One buffer for the whole file: the decoder keeps nothing of it. */
async function* chunksOf(file: string): AsyncGenerator<Uint8Array> {
  const handle = await open(file);
  try {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, READ_BYTES);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

export type InspectReport = ReturnType<typeof describe>;

function describe(collector: InspectCollector, sizeBytes: number, end: StreamEnd, errorCode: string | null) {
  const { configuration, setup, tail, passThrough } = collector;
  const blocks = (setup?.layout.blocks ?? []).map(({ id, sizeBytes: blockBytes }, index) => ({
    id,
    sizeBytes: blockBytes,
    ...collector.blocks[index]!,
  }));
  const tailBytes = tail ? tail.devices.length + tail.end.length : 0;
  return {
    machine: configuration?.machine ?? null,
    /** What the machine type proves: such a machine exists since this version. */
    qemuVersionAtLeast: /^pc-(?:i440fx|q35)-(\d+\.\d+)/.exec(configuration?.machine ?? '')?.[1] ?? null,
    capabilities: configuration?.capabilities ?? null,
    complete: end.complete,
    reason: end.reason,
    error: errorCode,
    passThrough: passThrough && { ...passThrough, sizeBytes: collector.passedBytes },
    sizeBytes,
    ramBytes: tail ? sizeBytes - tailBytes - collector.setupBytes : null,
    deviceBytes: tail?.devices.length ?? null,
    descriptionBytes: tail?.end.length ?? null,
    ramSizeBytes: setup?.layout.sizeBytes ?? null,
    ramPages: setup?.layout.pageCount ?? null,
    /** Records: a page sent three times counts three times. */
    pages: sum(blocks.map(({ pages }) => pages)),
    zeroPages: sum(blocks.map(({ zeroPages }) => zeroPages)),
    duplicates: duplicatesOf(collector),
    footers: setup?.footers ?? null,
    blocks,
    commandCount: collector.commandCount,
    commands: collector.commands,
    ramSections: collector.ramSections,
    earlySections: collector.earlySections,
    sections: tail?.sections ?? null,
  };
}

function duplicatesOf(collector: InspectCollector) {
  const histogram = collector.sendHistogram();
  if (histogram === null) return null;
  const between = (from: number, to: number) => sum(histogram.slice(from, to + 1));
  const distinctPages = between(1, 255);
  const records = sum(collector.blocks.map(({ pages, zeroPages }) => pages + zeroPages));
  return {
    distinctPages,
    resentPages: distinctPages - histogram[1]!,
    /** Records that a later one of the same page made needless. */
    supersededRecords: records - distinctPages,
    pagesBySends: [
      { sends: '1', pages: histogram[1]! },
      { sends: '2', pages: histogram[2]! },
      { sends: '3-4', pages: between(3, 4) },
      { sends: '5-8', pages: between(5, 8) },
      { sends: '9-16', pages: between(9, 16) },
      { sends: '17+', pages: between(17, 255) },
    ],
  };
}

function render(file: string, report: InspectReport, paint: Paint): string[] {
  const lines = [paint('bold', file === '-' ? 'standard input' : printable(basename(file)))];
  const say = (name: string, text: string | null) => {
    if (text !== null) lines.push(`  ${paint('dim', name.padEnd(12))}${text}`);
  };
  const since = report.qemuVersionAtLeast;
  say(
    'machine',
    `${printable(report.machine ?? 'not named')}${since ? paint('dim', `  QEMU ${since} or newer`) : ''}`,
  );
  say('whole', verdict(report, paint));
  say('size', sizes(report));
  say('shared', report.capabilities && `capabilities ${report.capabilities.map(printable).join(', ')}`);
  say('commands', commands(report));
  if (report.ramPages !== null) {
    say(
      'RAM',
      `${formatBytes(report.ramSizeBytes!)} in ${report.blocks.length} blocks, ${count(report.ramPages, 'page')}`,
    );
    const { start, part, end } = report.ramSections;
    say(
      'sent',
      `${count(report.pages, 'page')} and ${count(report.zeroPages, 'zero page')} in ${start + part + end} sections`,
    );
    say('again', resends(report));
    lines.push('', ...blockTable(report).map((line) => `  ${line}`));
  }
  if (report.sections) lines.push('', ...sectionTable(report).map((line) => `  ${line}`));
  return lines;
}

function verdict(report: InspectReport, paint: Paint): string {
  if (report.complete) return paint('green', 'yes');
  const word = report.complete === null ? paint('yellow', 'cannot tell') : paint('red', 'no');
  const through = report.passThrough;
  const why = through ? `${through.detail} at byte ${through.streamOffset}, ${report.reason}` : report.reason;
  return `${word}: ${printable(why ?? '')}`;
}

function commands(report: InspectReport): string | null {
  const more = report.commandCount - report.commands.length;
  const names = report.commands.map(({ name }) => name).join(', ');
  return names === '' ? null : `${names}${more > 0 ? ` and ${more} more` : ''}`;
}

function sizes(report: InspectReport): string {
  const parts: [string, number | null][] = [
    ['RAM', report.ramBytes],
    ['devices', report.deviceBytes],
    ['description', report.descriptionBytes],
  ];
  const known = parts
    .filter(([, bytes]) => bytes !== null)
    .map(([name, bytes]) => `${name} ${formatBytes(bytes!)}`);
  return `${formatBytes(report.sizeBytes)}${known.length > 0 ? `: ${known.join(', ')}` : ''}`;
}

function resends(report: InspectReport): string | null {
  const duplicates = report.duplicates;
  if (duplicates === null || duplicates.supersededRecords === 0) return null;
  const records = report.pages + report.zeroPages;
  const classes = duplicates.pagesBySends.filter(({ pages, sends }) => pages > 0 && sends !== '1');
  const detail = classes.map(({ sends, pages }) => `${pages} × ${sends}`).join(', ');
  return `${formatPercent(duplicates.supersededRecords / records)} of all records superseded; pages × sends: ${detail}`;
}

function blockTable(report: InspectReport): string[] {
  return formatTable(
    [
      { title: 'block' },
      { title: 'size', align: 'right' },
      { title: 'pages', align: 'right' },
      { title: 'zero', align: 'right' },
    ],
    report.blocks.map(({ id, sizeBytes, pages, zeroPages }) => [
      printable(id),
      formatBytes(sizeBytes),
      pages,
      zeroPages,
    ]),
  );
}

function sectionTable(report: InspectReport): string[] {
  const sections = [...report.earlySections, ...(report.sections ?? [])];
  return formatTable(
    [
      { title: 'device' },
      { title: 'instance', align: 'right' },
      { title: 'version', align: 'right' },
      { title: 'size', align: 'right' },
    ],
    sections.map(({ name, instance, version, sizeBytes }) => [
      printable(name),
      instance,
      version,
      formatBytes(sizeBytes),
    ]),
  );
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
