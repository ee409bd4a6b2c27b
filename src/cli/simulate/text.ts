/** What `godwit simulate` says, as lines and one table. Returns text only. */

import { formatBytes, formatMs, formatRate } from '../../base/index.ts';
import { type SimulationTask, SUMMARY_FIGURES, type SummaryRow } from '../../simulator/index.ts';
import { printable } from '../screen/output.ts';
import { formatTable } from '../screen/table.ts';
import { describeTask } from './options.ts';

export const SIMULATION_SCHEMA = 'godwit.simulation/1';

export function simulationText(task: SimulationTask, rows: readonly SummaryRow[]): string[] {
  const first = rows[0]!;
  const head = `${printable(describeTask(task))}; link ${formatRate(task.linkBytesPerSecond)}, round trip ${formatMs(task.roundTripMs)}; limit ${formatMs(task.downtimeLimitMs)}; ${task.arrangement}, profile ${printable(task.profile?.name ?? 'default')}; ${first.runs} ${first.runs === 1 ? 'run' : 'runs'} from seed ${task.seedBase}`;
  const bounds = `bounds: total time ${nullable(first.totalMigrationTimeMsMin, formatMs)}, downtime ${nullable(first.downtimeMsMin, formatMs)}, data ${nullable(first.transferredBytesMin, formatBytes)}`;
  const failed = rows.filter(({ reasons }) => reasons.length > 0);
  return [
    head,
    bounds,
    '',
    ...summaryTable(rows),
    ...(failed.length > 0
      ? ['', ...failed.map(({ strategy, reasons }) => `${strategy}: ${printable(reasons[0]!)}`)]
      : []),
  ];
}

/** Medians of completed runs; shared by the sweep. */
export function summaryTable(rows: readonly SummaryRow[], title = 'strategy'): string[] {
  const columns = [
    { title },
    ...SUMMARY_FIGURES.map((figure) => ({ title: figure.title, align: 'right' }) as const),
  ];
  return formatTable(
    columns,
    rows.map((row) => [row.strategy, ...SUMMARY_FIGURES.map((figure) => figure.of(row))]),
  );
}

function nullable(value: number | null, format: (value: number) => string): string {
  return value === null ? 'not known' : format(value);
}
