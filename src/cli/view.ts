/**
 * The live view of one migration: what each iteration did, what waits, and what the rule thinks and why not yet.
 * Returns lines of text; not responsible for drawing them (live.ts) or for the end's summary (summary.ts).
 */

import { formatBytes, formatMs, formatRate } from '../base/index.ts';
import type { ProgressView } from '../controller/index.ts';
import { type IterationStats, PAGE_SIZE_BYTES } from '../vm/index.ts';
import type { Paint } from './output.ts';
import { type Cell, type Column, formatTable } from './table.ts';

const ITERATIONS_SHOWN = 8;

const PHASE_TEXT: Readonly<Record<ProgressView['phase'], string>> = {
  'first-pass': 'first pass',
  iterating: 'iterating',
  'stop-and-copy': 'stop-and-copy',
};

/** The block to draw; its first line alone says how far the migration is. */
export function progressLines(view: ProgressView, strategy: string, paint: Paint): string[] {
  const { snapshot } = view;
  const { backlog } = snapshot;
  const down = view.downtimePredictedMs;
  const link = snapshot.bandwidthBytesPerSecond;
  return [
    [
      paint('bold', `${strategy}  ${PHASE_TEXT[view.phase]}`),
      formatMs(view.nowMs),
      `sent ${formatBytes(snapshot.sentBytes)}`,
      `queued ${pagesText(backlog.queuedPages)}`,
      `held ${pagesText(backlog.heldPages)}`,
      `down now ${down === null ? 'unknown' : formatMs(down)}`,
    ].join('  '),
    [
      `link ${link === null ? 'not measured yet' : formatRate(link)}`,
      `pass ${snapshot.passes}`,
      `dirty ${pagesText(snapshot.dirtyPages)} (${pagesText(snapshot.dirtyOutsideHoldPages)} outside the hold)`,
      `gateway ${formatBytes(snapshot.memoryBytes)} of ${formatBytes(snapshot.memoryBytesMax)}`,
    ].join('  '),
    view.decision === null
      ? paint('dim', 'rule  waits for the first pass')
      : `rule  ${paint('cyan', view.decision.rule)}: ${view.decision.text}`,
    ...iterationTable(view.iterations.slice(-ITERATIONS_SHOWN)),
  ];
}

const COLUMNS: readonly Column[] = [
  { title: 'iteration', align: 'right' },
  { title: 'time', align: 'right' },
  { title: 'dirty', align: 'right' },
  { title: 'outside', align: 'right' },
  { title: 'sent', align: 'right' },
  { title: 'again', align: 'right' },
  { title: 'held', align: 'right' },
  { title: 'queued', align: 'right' },
  { title: 'link', align: 'right' },
];

function iterationTable(iterations: readonly IterationStats[]): string[] {
  return iterations.length === 0 ? [] : formatTable(COLUMNS, iterations.map(iterationCells));
}

function iterationCells(stats: IterationStats): Cell[] {
  return [
    stats.index,
    formatMs(stats.durationMs),
    stats.dirtyPages,
    stats.dirtyOutsideHoldPages,
    stats.sentPages,
    stats.resentPages,
    stats.backlog.heldPages,
    stats.backlog.queuedPages,
    stats.bandwidthBytesPerSecond === null ? null : formatRate(stats.bandwidthBytesPerSecond),
  ];
}

/** One finished iteration as a line for a log. */
export function iterationLine(stats: IterationStats): string {
  return [
    `iteration ${stats.index}`,
    formatMs(stats.durationMs),
    `dirty ${pagesText(stats.dirtyPages)} (${pagesText(stats.dirtyOutsideHoldPages)} outside the hold)`,
    `sent ${pagesText(stats.sentPages)} (${pagesText(stats.resentPages)} again)`,
    `held ${pagesText(stats.backlog.heldPages)}`,
    `queued ${pagesText(stats.backlog.queuedPages)}`,
  ].join('  ');
}

/** Pages as the memory they are: the unit of everything else on the screen. */
function pagesText(pages: number): string {
  return formatBytes(pages * PAGE_SIZE_BYTES);
}
