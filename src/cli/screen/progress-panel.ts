/**
 * A migration as lines of text, from one value: what the gateway reports, or what QEMU says of its own
 * pre-copy. Pure. Not responsible for drawing (live.ts) nor for deciding when (demo/screen.ts).
 */

import { formatBytes, formatMs, formatRate, MIB } from '../../base/index.ts';
import type { ProgressView } from '../../controller/index.ts';
import type { BaselineProgress } from '../../lab/index.ts';
import { type IterationStats, PAGE_SIZE_BYTES, type Snapshot } from '../../vm/index.ts';
import type { Paint } from './output.ts';
import { displayWidth, pad } from './table.ts';

export interface Canvas {
  readonly columns: number;
  readonly paint: Paint;
}

const LABEL_COLUMNS = 10;
const COLUMNS_MAX = 110;
const UNKNOWN = '–';

function label(name: string, { paint }: Canvas): string {
  return `  ${paint('dim', name.padEnd(LABEL_COLUMNS - 2))}`;
}

function barColumns(canvas: Canvas): number {
  return Math.max(10, Math.min(COLUMNS_MAX, canvas.columns) - LABEL_COLUMNS - 2);
}

function pagesAsBytes(pages: number): number {
  return pages * PAGE_SIZE_BYTES;
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}

const SPARKS = '▁▂▃▄▅▆▇█';

/**
 * One column a value, the newest last, scaled to the largest shown; values that are not known leave a gap.
 */
export function sparkline(values: readonly (number | null)[], columns: number): string {
  const shown = columns > 0 ? values.slice(-columns) : [];
  const largest = Math.max(0, ...shown.map((value) => value ?? 0));
  return shown
    .map((value) => {
      if (value === null) return ' ';
      const level = largest === 0 ? 0 : Math.round((value / largest) * (SPARKS.length - 1));
      return SPARKS[level]!;
    })
    .join('');
}

export interface BarPart {
  readonly size: number;
  readonly mark: string;
}

/** Parts of a whole, side by side; what rounding leaves over goes to the last part that is there. */
export function stackedBar(parts: readonly BarPart[], total: number, columns: number): string {
  if (!(total > 0)) return '';
  let drawn = 0;
  let upTo = 0;
  let bar = '';
  for (const { size, mark } of parts) {
    upTo += Math.max(0, size);
    const end = Math.min(columns, Math.round((upTo / total) * columns));
    bar += mark.repeat(Math.max(0, end - drawn));
    drawn = Math.max(drawn, end);
  }
  return bar;
}

/** Words on lines of at most `columns`; a word that is longer stands alone. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && displayWidth(line) + 1 + displayWidth(word) > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return line === '' ? lines : [...lines, line];
}

const PHASES: Readonly<Record<ProgressView['phase'], string>> = {
  'first-pass': 'first pass',
  iterating: 'iterating',
  'stop-and-copy': 'stop-and-copy',
};

export interface PanelContext {
  readonly title: string;
  readonly memoryBytes: number;
}

/** The redrawn block. Its first line is complete by itself, because it is the only one without a terminal. */
export function migrationPanel(view: ProgressView, context: PanelContext, canvas: Canvas): string[] {
  const { snapshot, iterations } = view;
  const { queuedPages, heldPages } = snapshot.backlog;
  const seenPages = iterations[0]?.dirtyPages ?? seenInFirstPass(snapshot);
  const rate = snapshot.bandwidthBytesPerSecond;
  const head = [
    canvas.paint('bold', `${context.title}  ${PHASES[view.phase]}`),
    formatMs(view.nowMs),
    `sent ${formatBytes(snapshot.sentBytes)}${rate === null ? '' : ` at ${formatRate(rate)}`}`,
    ...(view.phase === 'stop-and-copy' ? [] : [downText(view.downtimePredictedMs)]),
    `held ${formatBytes(pagesAsBytes(heldPages))}`,
  ].join('  ');
  return [
    head,
    ...memoryLines({ seenPages, queuedPages, heldPages }, context, canvas),
    ...dirtyLines(view, canvas),
    ...ruleLines(view, canvas),
  ];
}

/** Every page that QEMU sent has arrived or waits. Pages that it sent twice make this an upper bound. */
function seenInFirstPass({ sentPages, resentPages, backlog }: Snapshot): number {
  return sentPages - resentPages + backlog.queuedPages + backlog.heldPages;
}

function downText(predictedMs: number | null): string {
  return predictedMs === null ? 'downtime not known yet' : `stopped now: ${formatMs(predictedMs)} down`;
}

interface MemoryShares {
  readonly seenPages: number;
  readonly queuedPages: number;
  readonly heldPages: number;
}

function memoryLines(shares: MemoryShares, context: PanelContext, canvas: Canvas): string[] {
  const { paint } = canvas;
  const seen = pagesAsBytes(shares.seenPages);
  const queued = pagesAsBytes(shares.queuedPages);
  const held = pagesAsBytes(shares.heldPages);
  const current = Math.max(0, seen - queued - held);
  // The stream carries more RAM than the guest's, because firmware blocks move too.
  const total = Math.max(context.memoryBytes, seen);
  const parts = [
    { size: current, mark: '█', name: 'there' },
    { size: queued, mark: '▒', name: 'queued' },
    { size: held, mark: '▓', name: 'held' },
    { size: total - seen, mark: '·', name: 'unread' },
  ];
  const legend = parts
    .filter(({ size }, index) => index === 0 || size > 0)
    .map(({ mark, name, size }) => `${mark} ${name} ${formatBytes(size)}`)
    .join('   ');
  return [
    `${label('memory', canvas)}${paint('cyan', stackedBar(parts, total, barColumns(canvas)))}`,
    `${label('', canvas)}${paint('dim', legend)}`,
  ];
}

function dirtyLines(view: ProgressView, canvas: Canvas): string[] {
  const measured = view.iterations.slice(1);
  if (measured.length === 0) return [];
  const last = measured.at(-1)!;
  const line = sparkline(
    measured.map((stats) => stats.dirtyPages),
    20,
  );
  const now = formatBytes(pagesAsBytes(view.snapshot.dirtyPages));
  const text = `${formatBytes(pagesAsBytes(last.dirtyPages))} in iteration ${last.index}, ${now} since`;
  return [`${label('dirty', canvas)}${canvas.paint('yellow', line)} ${text}`];
}

const RULE_LINES_MAX = 3;

function ruleLines(view: ProgressView, canvas: Canvas): string[] {
  if (view.decision === null) return [];
  const { rule, text } = view.decision;
  const lines = wrap(`${rule}: ${text}`, barColumns(canvas)).slice(0, RULE_LINES_MAX);
  return lines.map((line, index) => `${label(index === 0 ? 'rule' : '', canvas)}${line}`);
}

const ITERATION_COLUMNS = ['took', 'dirty', 'sent', 'again', 'MiB/s', 'held', 'queued'] as const;
const INDEX_COLUMNS = 5;
const CELL_COLUMNS = 8;

/** Above the rows: what the columns mean, and their names. */
export function iterationHeader({ paint, columns }: Canvas): string[] {
  const legend = wrap(LEGEND, columns - INDENT.length).map((line) => `${INDENT}${line}`);
  return [...legend, rowOf('iter', ITERATION_COLUMNS, 'down if stopped')].map((line) => paint('dim', line));
}

const INDENT = '  ';
const LEGEND =
  'Each iteration, in MiB: what the guest changed (dirty), what was sent, how much of that not for the first time (again), the rate of sending, what is held back because it changes too often, and what waits in the queue. Last, the downtime if the VM were stopped then.';

/** One finished iteration, with the downtime that a stop at its end would have cost. */
export function iterationRow(stats: IterationStats, downtimePredictedMs: number | null): string {
  const { index, durationMs, dirtyPages, sentBytes, resentPages, backlog } = stats;
  const pages = (count: number) => mib(pagesAsBytes(count));
  const cells = [
    formatMs(durationMs),
    // Iteration 0 is the first pass, which sends every page whether it is dirty or not.
    index === 0 ? UNKNOWN : pages(dirtyPages),
    mib(sentBytes),
    pages(resentPages),
    durationMs > 0 ? mib((sentBytes * 1000) / durationMs) : UNKNOWN,
    pages(backlog.heldPages),
    pages(backlog.queuedPages),
  ];
  return rowOf(String(index), cells, downtimePredictedMs === null ? UNKNOWN : formatMs(downtimePredictedMs));
}

function rowOf(index: string, cells: readonly string[], down: string): string {
  const padded = cells.map((cell) => pad(cell, CELL_COLUMNS, 'right')).join('');
  return `  ${pad(index, INDEX_COLUMNS)}${padded}  ${pad(down, 'down if stopped'.length, 'right')}`;
}

export interface BaselineContext {
  readonly title: string;
  readonly timeLimitMs: number;
  readonly downtimeLimitMs: number;
  readonly linkBytesPerSecond: number;
  /** What was left to send, one value a second. */
  readonly leftBytes: readonly (number | null)[];
}

export function baselinePanel(
  progress: BaselineProgress,
  context: BaselineContext,
  canvas: Canvas,
): string[] {
  const { paint } = canvas;
  const { elapsedMs, remainingBytes, dirtyBytesPerSecond, sentBytesPerSecond, iteration } = progress;
  const { timeLimitMs, downtimeLimitMs, linkBytesPerSecond } = context;
  const left = remainingBytes === null ? UNKNOWN : formatBytes(remainingBytes);
  const head = [
    paint('bold', context.title),
    `${formatMs(elapsedMs)} of ${formatMs(timeLimitMs)}`,
    `pass ${iteration}`,
    `${left} left`,
    `${formatBytes(fitting(downtimeLimitMs, linkBytesPerSecond))} allowed`,
  ].join('  ');
  const columns = barColumns(canvas);
  const time = stackedBar(
    [
      { size: elapsedMs, mark: '█' },
      { size: timeLimitMs - elapsedMs, mark: '░' },
    ],
    timeLimitMs,
    columns,
  );
  const rate = (bytesPerSecond: number | null) => (bytesPerSecond ? formatRate(bytesPerSecond) : UNKNOWN);
  return [
    head,
    `${label('time', canvas)}${time}`,
    `${label('left', canvas)}${paint('yellow', sparkline(context.leftBytes, columns))}`,
    `${label('rates', canvas)}dirtied ${rate(dirtyBytesPerSecond)}   sent ${rate(sentBytesPerSecond)}`,
  ];
}

/** What the link carries within the downtime limit: QEMU stops the VM when no more than this is left. */
export function fitting(downtimeLimitMs: number, linkBytesPerSecond: number): number {
  return (downtimeLimitMs * linkBytesPerSecond) / 1000;
}
