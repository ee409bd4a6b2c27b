/**
 * What `godwit migrate` says: the preflight, and the end of a migration. Pure. Not responsible for the live
 * view (screen/progress-panel.ts) nor for the JSON report (src/controller).
 */

import { formatBytes, formatMs, formatRate } from '../../base/index.ts';
import type {
  MigrateOptions,
  MigrationReport,
  Preflight,
  PreflightFinding,
  SettingChange,
} from '../../controller/index.ts';
import type { LaunchPlan } from '../../launch/index.ts';
import { listenerName, shellQuote } from '../../remote/index.ts';
import { downtimeMsBoundOf } from '../../vm/index.ts';
import { type Paint, printable } from '../screen/output.ts';

export const PREFLIGHT_SCHEMA = 'godwit.preflight/1';

/** A finding as `--json` shows it; `code` is also an error's where an end could not be asked. */
export type ShownFinding = Omit<PreflightFinding, 'code'> & { readonly code: string };

const MARKS = { refuse: ['red', '✗'], warn: ['yellow', '!'], info: ['dim', '·'] } as const;

export function findingLines(findings: readonly ShownFinding[], paint: Paint): string[] {
  return findings.flatMap(({ severity, code, text, source, destination, forced }) => {
    const [style, mark] = MARKS[severity];
    const head = `${paint(style, mark)} ${printable(text)} ${paint('dim', `[${code}]`)}${forced ? ' (forced)' : ''}`;
    const ends = [
      ...(source === null ? [] : [`    source       ${printable(source)}`]),
      ...(destination === null ? [] : [`    destination  ${printable(destination)}`]),
    ];
    return [`  ${head}`, ...ends];
  });
}

/** What a migration would do, for a person. */
export function planLines(preflight: Preflight, options: MigrateOptions, paint: Paint): string[] {
  const { gate, memory, settings } = preflight;
  const { strategy, parameters, limits } = options;
  const values = Object.entries(parameters).map(([name, value]) => `${name}=${value}`);
  const guest =
    memory.guestBytes === null
      ? 'the guest (size not known)'
      : `${formatBytes(memory.guestBytes)} of guest memory`;
  const facts: readonly (readonly [string, string])[] = [
    ['machine', machineText(preflight)],
    ['strategy', `${strategy.name}: ${strategy.idea}`],
    ['parameters', values.join(' ') || 'none'],
    ['limits', limitsText(options)],
    ['gate', gate.kind === 'ack' ? `switchover-ack: ${gate.why}` : `what waits fits the limit: ${gate.why}`],
    [
      'gateway',
      `${guest}; at least ${memory.neededBytes === null ? 'an unknown amount' : formatBytes(memory.neededBytes)}, at most ${formatBytes(memory.allowedBytes)} of gateway memory`,
    ],
    ['stream', streamText(options)],
    ...settings.map((change): readonly [string, string] => ['sets', settingText(change)]),
    [
      'then',
      options.sourceAfter === 'quit'
        ? 'the source QEMU is ended once the VM runs at the destination'
        : 'the source QEMU is kept, paused; it must never be continued',
    ],
    ...(limits.timeoutMs === null
      ? []
      : [['timeout', `${formatMs(limits.timeoutMs)}, then ${limits.onTimeout}`] as const]),
  ];
  return facts.map(([name, text]) => `  ${paint('dim', name.padEnd(11))}${printable(text)}`);
}

/** The destination QEMU that `--start` starts, so that a shell could. */
export function launchLines({ program, words, workingFolder }: LaunchPlan, paint: Paint): string[] {
  const command = [program, ...words].map(shellQuote).join(' ');
  const facts = [
    ['starts', command],
    ['in', workingFolder],
  ] as const;
  return facts.map(([name, text]) => `  ${paint('dim', name.padEnd(11))}${printable(text)}`);
}

function streamText({ destinationAddress, far, insecure }: MigrateOptions): string {
  const how = insecure === true ? 'plain TCP, in clear,' : 'TLS 1.3';
  if (destinationAddress !== null) return `${how} to the QEMU at ${destinationAddress.connect}`;
  if (far == null) return 'unix sockets in a private folder';
  const { connections, dataAddress, reach, remoteCommand } = far;
  if (far.withoutGateway === true) return `${how} to the QEMU on ${reach.host}; nothing of godwit runs there`;
  if (reach.listener != null) {
    const how = reach.listener.tls === null ? 'plain TCP connections, in clear,' : 'TLS 1.3 connections';
    return `${connections} ${how} to ${listenerName(reach.listener)}`;
  }
  const where = dataAddress ?? 'its address as ssh resolves it';
  return `${connections} TLS 1.3 connections to ${where}; ssh starts "${remoteCommand.join(' ')}" on ${reach.host}`;
}

function machineText({ source }: Preflight): string {
  const { major, minor, micro } = source.version;
  const cpu = source.cpu.model === null ? '' : `, ${source.cpu.count} x ${source.cpu.model}`;
  return `${source.machineType}${cpu}, QEMU ${major}.${minor}.${micro} with ${source.accelerator}, ${source.status.status}`;
}

function limitsText({ strategy, limits, bandwidthBytesPerSecondMax }: MigrateOptions): string {
  const down = `downtime ${formatMs(limits.downtimeMsMax)}`;
  const promise = promiseText(strategy, limits);
  const cap = bandwidthBytesPerSecondMax;
  return `${down} (${promise}); link ${cap === null ? 'not limited' : `at most ${formatRate(cap)}`}`;
}

function promiseText(
  { promisesDowntimeLimit }: MigrateOptions['strategy'],
  limits: MigrateOptions['limits'],
): string {
  if (promisesDowntimeLimit) return 'promised';
  if (limits.downtimeMsBound === 'limit') return '--strict: a longer stop is not made';
  const boundMs = downtimeMsBoundOf(limits);
  return boundMs === Number.POSITIVE_INFINITY
    ? 'an aim; the strategy promises its own prediction'
    : `an aim; a stop beyond ${formatMs(boundMs)} is not made`;
}

function settingText({ end, name, now, wanted }: SettingChange): string {
  const back = end === 'source' ? 'put back if the migration does not complete' : 'put back afterwards';
  return `${end} ${name} ${now === null ? 'unset' : String(now)} -> ${String(wanted)} (${back})`;
}

/** How a migration ended, for a person. */
export function summaryLines(report: MigrationReport, sourceAfter: 'keep' | 'quit', paint: Paint): string[] {
  return report.success ? movedLines(report, sourceAfter, paint) : failedLines(report, paint);
}

function movedLines(report: MigrationReport, sourceAfter: 'keep' | 'quit', paint: Paint): string[] {
  const { decision, setupMs, totalMigrationTimeMs, transferredBytes, iterations } = report;
  const facts: readonly (readonly [string, string])[] = [
    ['setup', setupMs === null ? 'not measured' : `${formatMs(setupMs)} from the command to the move`],
    ['total migration time', totalMigrationTimeMs === null ? 'not measured' : formatMs(totalMigrationTimeMs)],
    ['downtime', downtimeText(report)],
    ['data', `${formatBytes(transferredBytes)} for ${sizeText(report)} of guest memory`],
    ['iterations', `${iterations.length}, the first pass included`],
    ['decision', decision === null ? 'none' : `${decision.rule}: ${decision.text}`],
    [
      'source',
      sourceAfter === 'quit'
        ? 'its QEMU was told to quit'
        : paint('yellow', 'paused. Never continue it: it would be a second copy on the same disks; quit it'),
    ],
  ];
  return [
    `${paint('green', '✓')} the VM is at the destination`,
    ...facts.map(([name, text]) => `  ${paint('dim', name.padEnd(22))}${text}`),
  ];
}

function downtimeText({ downtimeMs, downtimePredictedMs, downtimeLimitMs }: MigrationReport): string {
  if (downtimeMs === null) return 'none: the guest was paused, or nobody could measure it';
  const predicted = downtimePredictedMs === null ? '' : `, predicted ${formatMs(downtimePredictedMs)}`;
  const limit = downtimeLimitMs === null ? ', no limit promised' : `, limit ${formatMs(downtimeLimitMs)}`;
  return `${formatMs(downtimeMs)}${predicted}${limit}`;
}

function sizeText({ guestMemoryBytes }: MigrationReport): string {
  return guestMemoryBytes === null ? 'an unknown amount' : formatBytes(guestMemoryBytes);
}

function failedLines(report: MigrationReport, paint: Paint): string[] {
  const { failure, decision, outcome } = report;
  const title =
    outcome === 'in-doubt'
      ? paint('red', 'in doubt: read this before starting either VM')
      : paint('red', 'the VM was not moved');
  return [
    `${paint('red', '✗')} ${title} ${paint('dim', `[${failure?.code ?? 'ABORTED'}]`)}`,
    `  ${printable(failure?.text ?? '')}`,
    ...(decision === null ? [] : [`  ${paint('dim', 'last decision')}  ${decision.rule}: ${decision.text}`]),
    ...(outcome === 'in-doubt' ? [`  then run: godwit resolve ${report.migrationId}`] : []),
  ];
}
