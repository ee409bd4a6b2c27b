/**
 * Runs to rows: success rates and medians by strategy, or by strategy and whatever else tells cells apart.
 * Pure.
 */

import { formatBytes, formatMs, formatPercent, median, quantile } from '../base/index.ts';
import type { TaskResult } from './task.ts';

/** Medians over the runs that completed; null where none did. */
export interface SummaryRow {
  readonly strategy: string;
  readonly runs: number;
  readonly successRate: number;
  readonly totalMigrationTimeMs: number | null;
  readonly downtimeMs: number | null;
  readonly transferredBytes: number | null;
  readonly regret: number | null;
  readonly regretP95: number | null;
  /** Least and greatest. */
  readonly totalMigrationTimeMsRange: readonly [number, number] | null;
  readonly downtimeMsRange: readonly [number, number] | null;
  readonly totalMigrationTimeMsMin: number | null;
  readonly downtimeMsMin: number | null;
  readonly transferredBytesMin: number | null;
  /** Why runs failed, the most frequent reason first. */
  readonly reasons: readonly string[];
}

/** What a table of rows shows beside the strategy. null: not known. */
export const SUMMARY_FIGURES: readonly {
  readonly title: string;
  readonly of: (row: SummaryRow) => string | null;
}[] = [
  { title: 'success', of: (row) => formatPercent(row.successRate) },
  { title: 'total time', of: (row) => known(row.totalMigrationTimeMs, formatMs) },
  { title: 'downtime', of: (row) => known(row.downtimeMs, formatMs) },
  { title: 'data', of: (row) => known(row.transferredBytes, formatBytes) },
  { title: 'regret', of: (row) => known(row.regret, formatPercent) },
  { title: 'p95', of: (row) => known(row.regretP95, formatPercent) },
];

function known(value: number | null, format: (value: number) => string): string | null {
  return value === null ? null : format(value);
}

export function summarize(results: readonly TaskResult[], strategy: string): SummaryRow {
  const completed = results.filter(({ outcome }) => outcome === 'completed');
  const of = (pick: (result: TaskResult) => number | null) =>
    completed.map(pick).filter((value) => value !== null);
  const total = of((result) => result.totalMigrationTimeMs);
  const downtime = of((result) => result.downtimeMs);
  const regret = of((result) => result.regret);
  return {
    strategy,
    runs: results.length,
    successRate: results.length === 0 ? 0 : results.filter(({ success }) => success).length / results.length,
    totalMigrationTimeMs: median(total),
    downtimeMs: median(downtime),
    transferredBytes: median(of((result) => result.transferredBytes)),
    regret: median(regret),
    regretP95: quantile(regret, 0.95),
    totalMigrationTimeMsRange: rangeOf(total),
    downtimeMsRange: rangeOf(downtime),
    totalMigrationTimeMsMin: median(results.map(({ bounds }) => bounds.totalMigrationTimeMsMin)),
    downtimeMsMin: median(results.flatMap(({ bounds }) => bounds.downtimeMsMin ?? [])),
    transferredBytesMin: median(results.map(({ bounds }) => bounds.transferredBytesMin)),
    reasons: reasonsOf(results),
  };
}

function rangeOf(values: readonly number[]): readonly [number, number] | null {
  return values.length === 0 ? null : [Math.min(...values), Math.max(...values)];
}

function reasonsOf(results: readonly TaskResult[]): string[] {
  const counts = new Map<string, number>();
  for (const { reason } of results) if (reason !== null) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].sort((left, right) => right[1] - left[1]).map(([reason]) => reason);
}

/** Rows in the order in which `keyOf` first names them. */
export function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
