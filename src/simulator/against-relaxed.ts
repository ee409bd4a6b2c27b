/**
 * A sweep against relaxed pre-copy, cell by cell: what each strategy takes of its time, data and
 * downtime, and
 * which cells miss what is wanted. As Markdown. Pure.
 */

import { median } from '../base/index.ts';
import { groupBy } from './summary.ts';
import type { TaskResult } from './task.ts';

const BASELINE = 'precopy-relaxed';
/** Beyond the bound, by how long that is: a share, or for short ones a second. */
const BOUND_SHARES = [
  { fromMs: 30_000, share: 1.05 },
  { fromMs: 5000, share: 1.15 },
] as const;
const BOUND_MS_SHORT = 1000;
const DOWNTIME_MS_MORE = 20;
const RATIO_MIN = 0.67;
const RATIO_MAX = 1.5;
/** A run's rounding, a thousandth: no more time than relaxed pre-copy takes. */
const AS_MUCH = 1.001;

interface CellRow {
  readonly cell: string;
  readonly scale: string;
  readonly strategy: string;
  readonly success: number;
  readonly timeRatio: number;
  readonly dataRatio: number;
  readonly downtimeRatio: number;
  readonly boundRatio: number;
  readonly predicted: readonly [number, number];
  readonly limit: string;
  readonly missed: readonly string[];
}

/** null: the sweep has no relaxed pre-copy to compare with. */
export function againstRelaxed(results: readonly TaskResult[]): string | null {
  const rows = rowsOf(results);
  if (rows.length === 0) return null;
  const byScale = [...groupBy(rows, ({ scale, strategy }) => `${scale}|${strategy}`).values()];
  const missing = rows.filter(({ missed }) => missed.length > 0);
  const lines = byScale.map((group) => scaleLine(group));
  const counts = [...groupBy(rows, ({ strategy }) => strategy)].map(([strategy, group]) => {
    const bad = group.filter(({ missed }) => missed.length > 0).length;
    const downtime = median(group.map(({ downtimeRatio }) => downtimeRatio)) ?? Number.NaN;
    return `- \`${strategy}\`: all of it in ${group.length - bad} of ${group.length} cells; downtime ${downtime.toFixed(2)} x in the median`;
  });
  const byReason = [...groupBy(missing, ({ missed, limit }) => `${missed.join(', ')} | ${limit}`)];
  const misses = byReason
    .sort(([, one], [, other]) => other.length - one.length)
    .map(([reason, group]) => `| ${reason} | ${group.length} | ${group.map(nameOf).join(', ')} |`);
  return [
    '| memory, link | strategy | success | time | data | downtime | time / bound | measured / predicted | limited by | cells that miss |',
    '|---|---|---|---|---|---|---|---|---|---|',
    ...lines,
    '',
    ...counts,
    '',
    '| missed | limited by | cells | which |',
    '|---|---|---|---|',
    ...misses,
    '',
  ].join('\n');
}

function nameOf({ cell, strategy }: CellRow): string {
  return `${cell} ${strategy}`;
}

function rowsOf(results: readonly TaskResult[]): CellRow[] {
  const cells = groupBy(results, ({ key, strategy }) => key.split(`/${strategy}/`)[0]!);
  return [...cells].flatMap(([cell, runs]) => {
    const byStrategy = groupBy(runs, ({ strategy }) => strategy);
    const base = byStrategy.get(BASELINE);
    if (base === undefined) return [];
    return [...byStrategy]
      .filter(([strategy]) => strategy !== BASELINE)
      .map(([strategy, own]) => rowOf(cell, strategy, own, base));
  });
}

function middle(runs: readonly TaskResult[], pick: (run: TaskResult) => number | null): number {
  return median(runs.flatMap((run) => pick(run) ?? [])) ?? Number.NaN;
}

function rowOf(
  cell: string,
  strategy: string,
  own: readonly TaskResult[],
  base: readonly TaskResult[],
): CellRow {
  const time = (runs: readonly TaskResult[]) => middle(runs, (run) => run.totalMigrationTimeMs);
  const data = (runs: readonly TaskResult[]) => middle(runs, (run) => run.transferredBytes);
  const downtime = (runs: readonly TaskResult[]) => middle(runs, (run) => run.downtimeMs);
  const boundMs = middle(own, ({ bounds }) => bounds.totalMigrationTimeMsMin);
  const ratios = own.flatMap(({ downtimeMs, downtimePredictedMs }) =>
    downtimeMs === null || downtimePredictedMs === null ? [] : [downtimeMs / downtimePredictedMs],
  );
  const success = own.filter((run) => run.success).length / own.length;
  const ok = {
    success: success === 1,
    time: time(own) <= AS_MUCH * time(base),
    data: data(own) <= AS_MUCH * data(base),
    downtime: downtime(own) <= downtime(base) + DOWNTIME_MS_MORE,
    bound: time(own) <= allowedMs(boundMs),
    prediction: ratios.every((ratio) => ratio >= RATIO_MIN && ratio <= RATIO_MAX),
  };
  return {
    cell: cell.replace(/(memory|link)=/g, ''),
    scale: scaleOf(cell),
    strategy,
    success,
    timeRatio: time(own) / time(base),
    dataRatio: data(own) / data(base),
    downtimeRatio: downtime(own) / downtime(base),
    boundRatio: time(own) / boundMs,
    predicted: [Math.min(...ratios), Math.max(...ratios)],
    limit: own[0]!.pipelineLimit,
    missed: Object.entries(ok).flatMap(([name, kept]) => (kept ? [] : [name])),
  };
}

/** `memory=64G/link=10Gbit/stress`: all but the workload. */
function scaleOf(cell: string): string {
  return cell
    .split('/')
    .slice(0, -1)
    .map((part) => part.slice(part.indexOf('=') + 1))
    .join(', ');
}

function allowedMs(boundMs: number): number {
  const found = BOUND_SHARES.find(({ fromMs }) => boundMs >= fromMs);
  return found === undefined ? boundMs + BOUND_MS_SHORT : boundMs * found.share;
}

function scaleLine(group: readonly CellRow[]): string {
  const [first] = group;
  const span = (pick: (row: CellRow) => number) => {
    const values = group.map(pick);
    return `${Math.min(...values).toFixed(2)}–${Math.max(...values).toFixed(2)}`;
  };
  const success = group.every((row) => row.success === 1) ? '100 %' : span((row) => row.success);
  const least = Math.min(...group.map(({ predicted }) => predicted[0])).toFixed(2);
  const most = Math.max(...group.map(({ predicted }) => predicted[1])).toFixed(2);
  const missing = group.filter(({ missed }) => missed.length > 0).length;
  const cells = [
    first!.scale,
    `\`${first!.strategy}\``,
    success,
    span((row) => row.timeRatio),
    span((row) => row.dataRatio),
    span((row) => row.downtimeRatio),
    span((row) => row.boundRatio),
    `${least}–${most}`,
    first!.limit,
    missing === 0 ? '' : `${missing} of ${group.length}`,
  ];
  return `| ${cells.join(' | ')} |`;
}
