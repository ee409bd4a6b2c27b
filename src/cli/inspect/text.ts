/** An inspected stream in words and tables. Pure. */

import { basename } from 'node:path';
import { formatBytes, formatPercent } from '../../base/index.ts';
import { type Paint, printable } from '../screen/output.ts';
import { formatTable } from '../screen/table.ts';
import type { InspectReport } from './report.ts';

export function render(file: string, report: InspectReport, paint: Paint): string[] {
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
