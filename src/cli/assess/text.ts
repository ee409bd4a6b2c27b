/** What `godwit assess` says, in plain words and one table. Returns text only. */

import { formatBytes, formatMs, formatPercent, formatRate } from '../../base/index.ts';
import type { Assessment } from '../../controller/index.ts';
import type { Advice, Confidence, GuestFacts, PredictedMove } from '../../simulator/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { formatTable } from '../screen/table.ts';

export function guestLines(guest: GuestFacts): string[] {
  const { dirtyBytesPerSecond: rate, packedBytes, deltaBytes } = guest;
  const content = `${formatBytes(guest.contentBytes)} of it not zero`;
  const hot =
    guest.hottestTenthShare === null
      ? ''
      : `; a tenth of that takes ${formatPercent(guest.hottestTenthShare)} of the writes`;
  const lines = [
    `memory    ${formatBytes(guest.memoryBytes)}, ${content}`,
    `dirtying  ${formatRate(rate.median)} (${formatRate(rate.p10)} to ${formatRate(rate.p90)}) over ${formatBytes(guest.workingSetBytes)}${hot}`,
  ];
  if (packedBytes !== null) {
    const delta =
      deltaBytes === null
        ? ''
        : `; a rewritten page as a delta is ${formatPercent(deltaBytes / PAGE_SIZE_BYTES)} of one`;
    lines.push(`contents  pages pack to ${formatPercent(packedBytes / PAGE_SIZE_BYTES)}${delta}`);
  }
  lines.push(`observed  ${guest.sets} dirty syncs in ${formatMs(guest.observedMs)}`);
  return lines;
}

export function predictionTable(predictions: readonly PredictedMove[]): string[] {
  const columns = [
    { title: 'link' },
    { title: 'strategy' },
    { title: 'total time', align: 'right' },
    { title: 'downtime', align: 'right' },
    { title: 'data', align: 'right' },
    { title: 'note' },
  ] as const;
  let link = 0;
  return formatTable(
    columns,
    predictions.map((row) => {
      const first = row.linkBytesPerSecond !== link;
      link = row.linkBytesPerSecond;
      return [
        first ? linkText(link) : '',
        row.strategy,
        withRange(row.totalMigrationTimeMs, row.totalMigrationTimeMsRange),
        withRange(row.downtimeMs, row.downtimeMsRange),
        row.transferredBytes === null ? null : formatBytes(row.transferredBytes),
        row.successRate === 1 ? '' : (row.reasons[0] ?? 'it does not end'),
      ];
    }),
  );
}

/** The spread is shown only where it is wide. */
const SPREAD_TOLD = 0.1;

function withRange(value: number | null, range: readonly [number, number] | null): string | null {
  if (value === null) return null;
  if (range === null || range[1] - range[0] <= SPREAD_TOLD * value) return formatMs(value);
  return `${formatMs(value)} (${formatMs(range[0])} to ${formatMs(range[1])})`;
}

/** "1 Gbit/s": links are bought in bits. */
export function linkText(bytesPerSecond: number): string {
  const bits = bytesPerSecond * 8;
  const [value, unit] = bits >= 1e9 ? [bits / 1e9, 'Gbit/s'] : [bits / 1e6, 'Mbit/s'];
  return `${Number(value.toFixed(1))} ${unit}`;
}

export function adviceLines(advice: readonly Advice[], guest: GuestFacts, downtimeLimitMs: number): string[] {
  return advice.map(
    (one) => `${linkText(one.linkBytesPerSecond)}: ${adviceText(one, guest, downtimeLimitMs)}`,
  );
}

function adviceText(one: Advice, guest: GuestFacts, downtimeLimitMs: number): string {
  const limit = formatMs(downtimeLimitMs);
  if (one.strategy === null)
    return 'none of these strategies ends; move it over a faster link, or while it writes less';
  const figures = `${known(one.totalMigrationTimeMs)}, ${known(one.downtimeMs)} down, ${formatBytes(one.transferredBytes ?? 0)}`;
  if (one.strategy === 'precopy' && one.keepsLimit) return `plain pre-copy does it: ${figures}`;
  const why = one.strategy === 'precopy' ? '' : precopyText(one, guest);
  if (one.keepsLimit) return `use ${one.strategy}: ${figures}${why}`;
  const postcopy =
    one.postcopyDowntimeMs === null
      ? ''
      : `. Only post-copy is quicker to switch (${formatMs(one.postcopyDowntimeMs)} down), and a failure in its second phase loses the VM`;
  return `no strategy keeps ${limit} of downtime; ${one.strategy === 'precopy' ? 'plain pre-copy' : one.strategy} comes closest: ${figures}${why}${postcopy}`;
}

/** Why not plain pre-copy; empty where it was not asked. */
function precopyText(one: Advice, { dirtyBytesPerSecond }: GuestFacts): string {
  switch (one.plainPrecopy) {
    case null:
      return '';
    case 'keeps':
      return '; plain pre-copy ends too, but takes longer';
    case 'exceeds':
      return `; plain pre-copy ends with ${known(one.plainPrecopyDowntimeMs)} down`;
    case 'never': {
      const rate = dirtyBytesPerSecond.median;
      const compare = rate > one.linkBytesPerSecond ? 'more than the link carries' : 'too much for its limit';
      return `; plain pre-copy does not end: the guest dirties ${formatRate(rate)}, ${compare}`;
    }
  }
}

function known(durationMs: number | null): string {
  return durationMs === null ? 'unknown' : formatMs(durationMs);
}

export function confidenceLine({
  level,
  samples,
  observedMs,
  rateSpread,
  predictionSpread,
  stretch,
}: Confidence): string {
  const parts = [
    `${samples} samples of the dirty rate in ${formatMs(observedMs)}`,
    rateSpread > 0.6 ? 'the guest does not write steadily' : 'the guest writes steadily',
  ];
  if (predictionSpread !== null)
    parts.push(`predictions differ by ${formatPercent(predictionSpread)} with the moment of the start`);
  if (stretch !== null && stretch > 1) {
    parts.push(`the longest looks ${stretch.toFixed(1)} times as far ahead as was observed`);
  }
  return `confidence ${level}: ${parts.join('; ')}`;
}

/** What became of the VM, and why less was seen than asked for. */
export function sessionLines({
  endedBy,
  pausedMs,
  durationMs,
}: Pick<Assessment, 'endedBy' | 'pausedMs' | 'durationMs'>): string[] {
  const early: Readonly<Record<Assessment['endedBy'], string | null>> = {
    duration: null,
    'trace-full': 'the trace filled the memory kept for it',
    quiet: 'the guest fell quiet, and without the ack QEMU would have stopped it',
    pause: 'the guest fell quiet, and without the ack QEMU stopped it',
  };
  const why = early[endedBy];
  const told = why === null ? [] : [`the measurement ended after ${formatMs(durationMs)}: ${why}`];
  const stopped =
    pausedMs > 0
      ? `QEMU stopped the VM for ${formatMs(pausedMs)}; it runs, and its settings are as they were`
      : 'the VM was not stopped, and its settings are as they were';
  return [...told, stopped];
}
