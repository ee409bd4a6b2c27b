/** How `status`, `set`, `switch` and `cancel` show a running migration. Pure. */

import { formatBytes, formatMs, formatRate } from '../../base/index.ts';
import type { MigrationStatus } from '../../controller/index.ts';
import { type Paint, printable } from '../screen/output.ts';

export const STATUS_SCHEMA = 'godwit.status/1';

export function statusLines(status: MigrationStatus, paint: Paint): string[] {
  const { migrationId, phase, strategy, source, destination, why, rule } = status;
  const facts: readonly (readonly [string, string])[] = [
    ['from', source],
    ['to', `${destination} (${status.arrangement})`],
    ['time', `${orUnknown(status.elapsedMs, formatMs)}, iteration ${status.iteration ?? 'not begun'}`],
    ['link', linkText(status)],
    ['waits', waitsText(status)],
    ['downtime', downtimeText(status)],
    ['why', why === null ? 'nothing decided yet' : `${why} [${rule}]`],
  ];
  return [
    `${paint('bold', printable(migrationId))}  ${phase}  ${printable(strategy)}  process ${status.processId}`,
    ...facts.map(([name, text]) => `  ${paint('dim', name.padEnd(10))}${printable(text)}`),
  ];
}

function linkText({ sentBytes, linkBytesPerSecond, bandwidthBytesPerSecondMax }: MigrationStatus): string {
  const cap =
    bandwidthBytesPerSecondMax === null ? 'not limited' : `at most ${formatRate(bandwidthBytesPerSecondMax)}`;
  return `${orUnknown(sentBytes, formatBytes)} sent, carries ${orUnknown(linkBytesPerSecond, formatRate)}, ${cap}`;
}

function waitsText({ queuedBytes, heldBytes, dirtyBytesPerSecond }: MigrationStatus): string {
  const dirty = orUnknown(dirtyBytesPerSecond, formatRate);
  return `${orUnknown(queuedBytes, formatBytes)} queued, ${orUnknown(heldBytes, formatBytes)} held back; the guest writes ${dirty}`;
}

function downtimeText({ downtimePredictedMs, downtimeMsMax }: MigrationStatus): string {
  return `${orUnknown(downtimePredictedMs, formatMs)} if stopped now, limit ${formatMs(downtimeMsMax)}`;
}

function orUnknown(value: number | null, format: (value: number) => string): string {
  return value === null ? 'unknown' : format(value);
}
