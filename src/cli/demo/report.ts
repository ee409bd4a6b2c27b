/**
 * The result of `godwit demo`: the report for `--json`, the comparison table, the checks and the closing
 * sentence. Pure. Not responsible for measuring (src/lab).
 */

import { formatBytes, formatMs } from '../../base/index.ts';
import { type IterationReport, type MigrationReport, REPORT_SCHEMA } from '../../controller/index.ts';
import type { BaselineProgress, CheckResult, RunRecord } from '../../lab/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { printable } from '../screen/output.ts';
import { fitting } from '../screen/progress-panel.ts';
import { type Cell, formatTable } from '../screen/table.ts';
import type { BaselineTime, DemoOptions } from './options.ts';

/** Plain pre-copy, run before the contestant on a fresh pair with the same seed. */
export interface BaselineRun {
  readonly title: string;
  readonly record: RunRecord;
  readonly lastProgress: BaselineProgress | null;
  readonly time: BaselineTime;
  readonly downtimeLimitMs: number;
}

export interface ContestantRun {
  readonly title: string;
  readonly record: RunRecord;
  /** Null where QEMU moved the VM by itself. */
  readonly report: MigrationReport | null;
}

export interface DemoOutcome {
  readonly options: DemoOptions;
  readonly contestant: ContestantRun;
  readonly baseline: BaselineRun | null;
}

/**
 * The fields of `godwit migrate --json`, and those that only a lab can know: outside figures, checks,
 * comparison.
 */
export function demoReport({ options, contestant, baseline }: DemoOutcome) {
  const { record, report } = contestant;
  return {
    schema: REPORT_SCHEMA,
    migrationId: report?.migrationId ?? null,
    success: record.success,
    failure: failureOf(contestant),
    outcome: record.outcome,
    arrangement: report?.arrangement ?? null,
    strategy: options.contestant.strategy.name,
    parameters: options.contestant.parameters,
    workload: record.workload,
    seed: record.seed,
    qemuVersion: record.qemuVersion,
    accelerator: record.accelerator,
    guestMemoryBytes: record.memoryBytes,
    guestHotBytes: options.hotBytes,
    guestCommandLine: record.guestCommandLine,
    /**
     * Distinct bytes dirtied within a second before the migration: the guest at its own speed, throttled by
     * nothing.
     */
    dirtyBytesPerSecond: record.dirtyBytesPerSecond,
    writtenBytesPerSecond: record.writtenBytesPerSecond,
    memoryIntensive: record.memoryIntensive,
    linkBytesPerSecond: record.linkBytesPerSecond,
    /** What the gateway found the link to carry; null where none was there. */
    linkMeasuredBytesPerSecond: report?.linkBytesPerSecond ?? null,
    link: record.link,
    linkNote: record.linkNote,
    timeLimitMs: record.timeLimitMs,
    totalMigrationTimeMs: record.totalMigrationTimeMs,
    downtimeMs: record.downtimeMs,
    downtimeByEventsMs: record.downtimeByEventsMs,
    downtimeByHeartbeatMs: record.downtimeByHeartbeatMs,
    downtimePredictedMs: record.downtimePredictedMs,
    downtimeLimitMs: report === null ? options.contestant.downtimeLimitMs : report.downtimeLimitMs,
    transferredBytes: record.transferredBytes,
    guestSpeedShare: record.guestSpeedShare,
    /** What no strategy that sends whole pages can beat for this guest on this link. */
    bounds: record.bounds,
    iterations: iterationsOf(contestant),
    decision: record.decision ?? qemuDecision(options, record),
    verification: record.verification,
    checks: record.checks,
    stopAndCopy: report?.stopAndCopy ?? null,
    baseline: baseline && baselineReport(baseline),
    notes: record.notes,
  };
}

function failureOf({ record, report }: ContestantRun): MigrationReport['failure'] {
  if (record.success) return null;
  if (report?.failure) return report.failure;
  const broken = record.checks.filter((check) => !check.holds);
  if (record.outcome === 'completed') {
    return {
      code: 'CHECK_FAILED',
      text: broken.map(({ id, complaints }) => `${id}: ${complaints.join(', ')}`).join('; '),
    };
  }
  return { code: 'NOT_MIGRATED', text: record.reason ?? record.outcome };
}

function iterationsOf({
  record,
  report,
}: ContestantRun): readonly (IterationReport | RunRecord['iterations'][number])[] {
  return report?.iterations ?? record.iterations;
}

/** QEMU gives no reason; this one follows from its rule. */
function qemuDecision({ contestant, linkBytesPerSecond }: DemoOptions, record: RunRecord) {
  if (record.outcome !== 'completed') {
    return { action: 'abort', rule: 'time-limit', text: record.reason ?? record.outcome } as const;
  }
  const { downtimeLimitMs, baseline } = contestant;
  const fits = formatBytes(fitting(downtimeLimitMs, linkBytesPerSecond));
  const text = `QEMU saw what was left fit ${formatMs(downtimeLimitMs)} (about ${fits})`;
  return { action: 'stop-and-copy', rule: baseline ?? 'qemu', text } as const;
}

function baselineReport({ record, lastProgress, time, downtimeLimitMs }: BaselineRun) {
  return {
    strategy: record.strategy,
    success: record.success,
    outcome: record.outcome,
    reason: record.reason,
    downtimeLimitMs,
    timeLimitMs: time.timeLimitMs,
    /** What the lab's rule would have allowed; more than `timeLimitMs` where the demo was cut short. */
    cellTimeLimitMs: time.cellTimeLimitMs,
    totalMigrationTimeMs: record.totalMigrationTimeMs,
    downtimeMs: record.downtimeMs,
    transferredBytes: record.transferredBytes,
    passes: lastProgress?.iteration ?? null,
    /**
     * What the last dirty sync found. It shrinks within a pass; QEMU compares it with its limit at the end of
     * the pass.
     */
    lastPassDirtyBytes: lastPassDirtyBytes(record),
    dirtyBytesPerSecond: record.dirtyBytesPerSecond,
    guestSpeedShare: record.guestSpeedShare,
    iterations: record.iterations,
    verification: record.verification,
  };
}

/** Null before any pass has begun. */
export function lastPassDirtyBytes({ iterations }: RunRecord): number | null {
  const pages = iterations.at(-1)?.dirtyPages ?? null;
  return pages === null ? null : pages * PAGE_SIZE_BYTES;
}

export interface CheckLine {
  readonly holds: boolean;
  readonly text: string;
}

const CHECK_NAMES: Readonly<Record<string, string>> = {
  'one-running': 'one VM runs',
  memory: 'memory',
  heartbeat: 'heartbeat',
  'disk-log': 'disk log',
  limits: 'limits',
};

/** In words, broken checks with what is wrong. */
export function checkLines(record: RunRecord): CheckLine[] {
  return record.checks.map((check) => {
    const name = CHECK_NAMES[check.id] ?? check.id;
    const found = check.id === 'limits' ? limitsText(record) : inWords(check);
    const text = check.holds
      ? found
      : `${check.complaints.join(', ')}${found === 'none' ? '' : ` (${found})`}`;
    return { holds: check.holds, text: printable(`${name}: ${text}`) };
  });
}

/**
 * A check's evidence in words. QEMU has several run states for a VM that stands still; they become one word.
 */
function inWords({ id, evidence }: CheckResult): string {
  if (id !== 'one-running') return evidence;
  const stateOf = (_: string, side: string, state: string) =>
    ['running', 'gone'].includes(state)
      ? `${side} ${state}`
      : `${side} ${state === 'inmigrate' ? 'waiting' : 'stopped'} (${state})`;
  return evidence.replace(/(source|destination) ([a-z-]+)/g, stateOf);
}

function limitsText(record: RunRecord): string {
  const { downtimeMs, downtimePredictedMs, totalMigrationTimeMs, timeLimitMs } = record;
  const parts: string[] = [];
  if (totalMigrationTimeMs !== null)
    parts.push(`${formatMs(totalMigrationTimeMs)} of the ${formatMs(timeLimitMs)} allowed`);
  if (downtimeMs !== null && downtimePredictedMs !== null) {
    const ratio = (downtimeMs / downtimePredictedMs).toFixed(2);
    parts.push(
      `${formatMs(downtimeMs)} of downtime, ${ratio} times the ${formatMs(downtimePredictedMs)} that were predicted`,
    );
  }
  return parts.join(', ');
}

/** The four metrics, one contestant a row. */
export function comparison({ contestant, baseline }: DemoOutcome): string[] {
  const rows: Cell[][] = [];
  if (baseline !== null) rows.push(row(baseline.title, baseline.record));
  const bound = boundRow(contestant.record);
  rows.push(row(contestant.title, contestant.record), ...bound);
  const table = formatTable(
    [
      { title: 'migration' },
      { title: 'total time', align: 'right' },
      { title: 'downtime', align: 'right' },
      { title: 'predicted', align: 'right' },
      { title: 'data', align: 'right' },
      { title: 'success' },
    ],
    rows,
  );
  return bound.length === 0 ? table : [...table, BOUND_TEXT];
}

const BOUND_TEXT = 'bound: nobody who sends whole pages over this link can need less';

/** What nobody can beat with whole pages on this link; no row where the bound is not known. */
function boundRow({ bounds }: RunRecord): Cell[][] {
  const { totalMigrationTimeMs, downtimeMs, transferredBytes } = bounds;
  if (totalMigrationTimeMs === null || transferredBytes === null) return [];
  const down = downtimeMs === null ? null : formatMs(downtimeMs);
  return [['bound', formatMs(totalMigrationTimeMs), down, null, formatBytes(transferredBytes), '']];
}

const OUTCOMES: Readonly<Record<RunRecord['outcome'], string>> = {
  completed: 'moved',
  failed: 'failed',
  'timed-out': 'given up',
  cancelled: 'cancelled',
};

function row(title: string, record: RunRecord): Cell[] {
  const { totalMigrationTimeMs, downtimeMs, downtimePredictedMs, transferredBytes, success, outcome } =
    record;
  const givenUp = outcome === 'timed-out' ? `> ${formatMs(record.timeLimitMs)}` : null;
  return [
    title,
    totalMigrationTimeMs === null ? givenUp : formatMs(totalMigrationTimeMs),
    downtimeMs === null ? null : formatMs(downtimeMs),
    downtimePredictedMs === null ? null : formatMs(downtimePredictedMs),
    formatBytes(transferredBytes),
    success ? 'yes' : `no: ${outcome === 'completed' ? brokenIds(record.checks) : OUTCOMES[outcome]}`,
  ];
}

function brokenIds(checks: readonly CheckResult[]): string {
  return checks
    .filter((check) => !check.holds)
    .map((check) => check.id)
    .join(', ');
}

/** The outcome in a sentence or two, for a reader who reads nothing else. */
export function closingSentence(outcome: DemoOutcome): string {
  const { baseline, contestant } = outcome;
  const moved = movedText(contestant);
  return baseline === null ? `${upperFirst(moved)}.` : `${upperFirst(baselineText(baseline))}; ${moved}.`;
}

function baselineText({ title, record, time }: BaselineRun): string {
  const ratio = (record.dirtyBytesPerSecond / record.linkBytesPerSecond).toFixed(1);
  if (record.outcome === 'completed') {
    const down = record.downtimeMs === null ? '' : ` with ${formatMs(record.downtimeMs)} of downtime`;
    return `${title} got there too${down}, since this guest changes only ${ratio} times as much memory as the link carries`;
  }
  if (record.outcome !== 'timed-out') return `${title} ended: ${OUTCOMES[record.outcome]}`;
  const short =
    time.timeLimitMs < time.cellTimeLimitMs
      ? ` (cut short: the lab allows ${formatMs(time.cellTimeLimitMs)})`
      : '';
  return `${title} did not end within ${formatMs(time.timeLimitMs)}${short}, because the guest changes ${ratio} times as much memory as the link carries`;
}

function movedText({ title, record }: ContestantRun): string {
  const { totalMigrationTimeMs, downtimeMs, downtimePredictedMs, verification } = record;
  if (record.outcome !== 'completed') {
    const source = record.checks.find((check) => check.id === 'one-running');
    const where = source?.holds
      ? 'the guest still runs at the source'
      : 'look at the checks above for where it runs';
    return `${title} did not move the VM (${printable(record.reason ?? record.outcome)}): ${where}`;
  }
  const time = totalMigrationTimeMs === null ? '' : ` in ${formatMs(totalMigrationTimeMs)}`;
  const down = downtimeMs === null ? '' : ` with ${formatMs(downtimeMs)} of downtime`;
  const predicted = downtimePredictedMs === null ? '' : ` (${formatMs(downtimePredictedMs)} predicted)`;
  const right = verification?.badPages === 0 ? ', and every page of it is right' : '';
  const but = record.success ? right : `, but not as it should: ${brokenIds(record.checks)}`;
  return `${title} moved the VM${time}${down}${predicted}${but}`;
}

/** Capitalizes a sentence, but keeps the program's name as it is. */
function upperFirst(text: string): string {
  if (text.startsWith('godwit')) return text;
  return text.charAt(0).toUpperCase() + text.slice(1);
}
