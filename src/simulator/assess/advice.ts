/** Which strategy to take on each link, and why not plain pre-copy. Pure. */

import { strategyByName } from '../../strategy/index.ts';
import { groupBy } from '../summary.ts';
import type { PredictedMove } from './predicted-moves.ts';

export interface Advice {
  readonly linkBytesPerSecond: number;
  /** null: none of them ends. */
  readonly strategy: string | null;
  readonly keepsLimit: boolean;
  readonly totalMigrationTimeMs: number | null;
  readonly downtimeMs: number | null;
  readonly transferredBytes: number | null;
  /** What plain pre-copy does: ends within the limit, ends beyond it, or never; null: not asked. */
  readonly plainPrecopy: 'keeps' | 'exceeds' | 'never' | null;
  readonly plainPrecopyDowntimeMs: number | null;
  /** Only with a phase in which a failure loses the VM; null where it is not needed or was not asked. */
  readonly postcopyDowntimeMs: number | null;
}

/** Of two that keep the limit, a plainer one that takes this much longer is still the better choice. */
const PLAIN_IS_WORTH = 1.05;

/** The best choice for each link: within the limit the least time, else the least downtime. */
export function adviceOf(predictions: readonly PredictedMove[], downtimeLimitMs: number): readonly Advice[] {
  const byLink = groupBy(predictions, ({ linkBytesPerSecond }) => String(linkBytesPerSecond));
  return [...byLink.values()].map((rows) => adviceForLink(rows, downtimeLimitMs));
}

function plainPrecopyOf(
  rows: readonly PredictedMove[],
  keeps: boolean,
): Pick<Advice, 'plainPrecopy' | 'plainPrecopyDowntimeMs'> {
  const row = rows.find(({ strategy }) => strategy === 'precopy');
  if (row === undefined) return { plainPrecopy: null, plainPrecopyDowntimeMs: null };
  const ends = row.successRate === 1;
  const plainPrecopy = keeps ? 'keeps' : ends ? 'exceeds' : 'never';
  return { plainPrecopy, plainPrecopyDowntimeMs: ends ? row.downtimeMs : null };
}

/**
 * Only strategies that move a real VM, do not slow it down, and have no phase in which a failure loses it.
 * The others are shown.
 */
function mayBeAdvised(name: string): boolean {
  const { mechanism, simulatorOnly } = strategyByName(name);
  return simulatorOnly === null && (mechanism === 'gateway' || mechanism === 'qemu-precopy');
}

function adviceForLink(rows: readonly PredictedMove[], downtimeLimitMs: number): Advice {
  const { linkBytesPerSecond } = rows[0]!;
  const usable = rows.filter(
    ({ strategy, successRate, downtimeMs, totalMigrationTimeMs }) =>
      mayBeAdvised(strategy) && successRate === 1 && downtimeMs !== null && totalMigrationTimeMs !== null,
  );
  const keeping = usable.filter(({ downtimeMs }) => downtimeMs! <= downtimeLimitMs);
  const plain = keeping.find(({ strategy }) => strategy === 'precopy');
  const byTime = [...keeping].sort((one, other) => one.totalMigrationTimeMs! - other.totalMigrationTimeMs!);
  const byDowntime = [...usable].sort((one, other) => one.downtimeMs! - other.downtimeMs!);
  const fastest = byTime[0] ?? byDowntime[0];
  const plainDoes =
    plain !== undefined && plain.totalMigrationTimeMs! <= PLAIN_IS_WORTH * fastest!.totalMigrationTimeMs!;
  const chosen = plainDoes ? plain : fastest;
  const postcopy = rows.find(({ strategy, successRate }) => strategy === 'postcopy' && successRate === 1);
  return {
    linkBytesPerSecond,
    strategy: chosen?.strategy ?? null,
    keepsLimit: keeping.length > 0,
    totalMigrationTimeMs: chosen?.totalMigrationTimeMs ?? null,
    downtimeMs: chosen?.downtimeMs ?? null,
    transferredBytes: chosen?.transferredBytes ?? null,
    ...plainPrecopyOf(rows, plain !== undefined),
    postcopyDowntimeMs: keeping.length > 0 ? null : (postcopy?.downtimeMs ?? null),
  };
}
