/**
 * Tables from raw results: medians with their spread, success rates, ratios within a run. Pure.
 * Not responsible for obtaining results, nor for plots.
 */

import { formatBytes, median } from '../../base/index.ts';
import type { Expectation } from '../run/plan.ts';
import type { RunRecord } from './results.ts';

export const LAB_REPORT_SCHEMA = 'godwit.lab-report/1';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** How many runs the figure comes from. */
  readonly runs: number;
}

export const METRICS = ['totalMigrationTimeMs', 'downtimeMs', 'transferredBytes'] as const;
export type Metric = (typeof METRICS)[number];

export interface ReportRow {
  readonly workload: string;
  readonly strategy: string;
  readonly runs: number;
  readonly successes: number;
  /** What the plan expects of each run; null: nothing. */
  readonly expected: Expectation | null;
  /** Every run went as the plan expects; true where it expects nothing. */
  readonly asExpected: boolean;
  /** Why the others did not succeed, most frequent first. */
  readonly failures: readonly { readonly reason: string; readonly runs: number }[];
  /** Over the runs that succeeded; null where none did. A failed run counts in `successes` only. */
  readonly metrics: Readonly<Record<Metric, Spread | null>>;
  /** What no strategy can beat for this guest; null where that is not known. */
  readonly bounds: Readonly<Record<Metric, Spread | null>>;
  /** Measured / bound, run by run; null also where the bound is 0. */
  readonly overBounds: Readonly<Record<Metric, Spread | null>>;
  /** Measured / predicted downtime, also of runs that did not succeed: a broken prediction is a failure. */
  readonly downtimeOverPredicted: Spread | null;
  readonly guestSpeedShare: Spread | null;
  readonly dirtyOverLink: Spread | null;
  /** From the contestant being asked to QMP `migrate`; null for plain QEMU. */
  readonly setupMs: Spread | null;
  /** The longest time in which no client got an answer; null where there are none. */
  readonly clientGapMs: Spread | null;
  /** Answers a second during the move over those before it. */
  readonly clientThroughputRatio: Spread | null;
  readonly badPages: number;
  readonly heartbeatsLost: number;
  /**
   * This strategy / that one, run by run, where both succeeded; one entry for each other strategy of the
   * table.
   */
  readonly ratios: readonly {
    readonly against: string;
    readonly metrics: Readonly<Record<Metric, Spread | null>>;
  }[];
}

export interface LabReport {
  readonly schema: typeof LAB_REPORT_SCHEMA;
  readonly plan: string;
  readonly planHash: string;
  readonly commits: readonly string[];
  readonly qemuVersions: readonly string[];
  readonly accelerators: readonly string[];
  readonly links: readonly string[];
  readonly linkBytesPerSecond: number;
  readonly memoryBytes: number;
  readonly timeLimitMs: number;
  readonly rows: readonly ReportRow[];
  /** What a reader must know before comparing with other people's figures. */
  readonly deviations: readonly string[];
}

export function spreadOf(sample: readonly (number | null)[]): Spread | null {
  const known = sample.filter((value) => value !== null);
  const middle = median(known);
  if (middle === null) return null;
  return { median: middle, min: Math.min(...known), max: Math.max(...known), runs: known.length };
}

/**
 * Null where there are no results. Calibration runs are left out; results of several plans are refused by
 * whoever reads them.
 */
export function buildReport(records: readonly RunRecord[]): LabReport | null {
  const runs = records.filter((record) => record.kind === 'run');
  const first = runs[0];
  if (first === undefined) return null;
  const groups = Map.groupBy(runs, ({ workload, strategy }) => JSON.stringify([workload, strategy]));
  const unique = (read: (record: RunRecord) => string | null) => [
    ...new Set(runs.map(read).filter((value) => value !== null)),
  ];
  return {
    schema: LAB_REPORT_SCHEMA,
    plan: first.plan,
    planHash: first.planHash,
    commits: unique(({ commit, modified }) => commit && (modified ? `${commit} + changes` : commit)),
    qemuVersions: unique((record) => record.qemuVersion),
    accelerators: unique((record) => record.accelerator),
    links: unique((record) => record.linkNote ?? record.link),
    linkBytesPerSecond: first.linkBytesPerSecond,
    memoryBytes: first.memoryBytes,
    timeLimitMs: first.timeLimitMs,
    rows: [...groups.values()].map((group) => rowOf(group, runs)),
    deviations: deviationsOf(runs),
  };
}

function rowOf(group: readonly RunRecord[], all: readonly RunRecord[]): ReportRow {
  const { workload, strategy, expected } = group[0]!;
  const good = group.filter((record) => record.success);
  const spread = (read: (record: RunRecord) => number | null) => spreadOf(good.map(read));
  const others = [
    ...new Set(all.filter((record) => record.workload === workload).map(({ strategy: id }) => id)),
  ];
  return {
    workload,
    strategy,
    runs: group.length,
    successes: good.length,
    expected,
    asExpected: expected === null || group.every((record) => record.success === (expected === 'success')),
    failures: failuresOf(group),
    metrics: metricsOf((metric) => spread((record) => record[metric])),
    bounds: metricsOf((metric) => spreadOf(group.map((record) => record.bounds[metric]))),
    overBounds: metricsOf((metric) => spread((record) => quotient(record[metric], record.bounds[metric]))),
    downtimeOverPredicted: spreadOf(
      group.map((record) => quotient(record.downtimeMs, record.downtimePredictedMs)),
    ),
    guestSpeedShare: spread((record) => record.guestSpeedShare),
    dirtyOverLink: spreadOf(group.map((record) => record.dirtyBytesPerSecond / record.linkBytesPerSecond)),
    setupMs: spread((record) => record.setupMs ?? null),
    clientGapMs: spread((record) => record.clients?.gapMs ?? null),
    clientThroughputRatio: spread(throughputRatio),
    badPages: group.reduce((sum, record) => sum + (record.verification?.badPages ?? 0), 0),
    heartbeatsLost: group.reduce((sum, record) => sum + (record.verification?.heartbeatsLost ?? 0), 0),
    ratios: others
      .filter((other) => other !== strategy)
      .map((against) => ({
        against,
        metrics: metricsOf((metric) => ratioOf(good, peersOf(all, workload, against), metric)),
      })),
  };
}

function throughputRatio({ clients }: RunRecord): number | null {
  return quotient(clients?.during?.answersPerSecond ?? null, clients?.before?.answersPerSecond ?? null);
}

function quotient(value: number | null, divisor: number | null): number | null {
  return value === null || !divisor ? null : value / divisor;
}

function metricsOf(read: (metric: Metric) => Spread | null): Record<Metric, Spread | null> {
  return {
    totalMigrationTimeMs: read('totalMigrationTimeMs'),
    downtimeMs: read('downtimeMs'),
    transferredBytes: read('transferredBytes'),
  };
}

function peersOf(all: readonly RunRecord[], workload: string, strategy: string): Map<number, RunRecord> {
  const peers = all.filter(
    (record) => record.workload === workload && record.strategy === strategy && record.success,
  );
  return new Map(peers.map((record) => [record.run, record]));
}

function ratioOf(mine: readonly RunRecord[], peers: Map<number, RunRecord>, metric: Metric): Spread | null {
  return spreadOf(
    mine.map((record) => {
      return quotient(record[metric], peers.get(record.run)?.[metric] ?? null);
    }),
  );
}

function failuresOf(group: readonly RunRecord[]): ReportRow['failures'] {
  const reasons = group
    .filter((record) => !record.success)
    .map(({ outcome, reason, checks }) => {
      if (outcome !== 'completed') return reason ?? outcome;
      return checks
        .filter((check) => !check.holds)
        .map((check) => `${check.id}: ${check.complaints.join('; ')}`)
        .join(', ');
    });
  return [...Map.groupBy(reasons, (reason) => reason)]
    .map(([reason, same]) => ({ reason, runs: same.length }))
    .sort((one, other) => other.runs - one.runs);
}

function deviationsOf(runs: readonly RunRecord[]): string[] {
  const { memoryBytes, linkBytesPerSecond } = runs[0]!;
  const said = [
    'the guest is a small program of our own whose writes are known, not Linux with an application',
    `the guests have ${formatBytes(memoryBytes)} and the link carries ${(linkBytesPerSecond * 8) / 1e6} Mbit/s: less than servers have; compare ratios, not seconds`,
  ];
  if (runs.some((record) => record.arrangement === 'single')) {
    said.push('godwit runs at the source only (single arrangement): it sends deltas, but compresses nothing');
  }
  if (runs.some((record) => record.accelerator === 'tcg')) {
    said.push('the guests are emulated (TCG): rates are relative to this machine, never absolute');
  }
  if (runs.some((record) => record.link === 'relay')) {
    said.push('the link is shaped by a relay in one process, not by the kernel');
  }
  if (runs.some((record) => record.cores <= 2)) {
    said.push('two cores carry both hosts: the vCPU has one, everything else shares the other');
  }
  if (runs.some((record) => !record.memoryIntensive)) {
    const names = [
      ...new Set(runs.filter((record) => !record.memoryIntensive).map(({ workload }) => workload)),
    ];
    said.push(`not memory-intensive (dirty rate under 1.2 x link) in at least one run: ${names.join(', ')}`);
  }
  return said;
}

const CSV_COLUMNS = [
  ...['workload', 'strategy', 'run', 'seed', 'success', 'outcome', 'reason'],
  ...['totalMigrationTimeMs', 'downtimeMs', 'downtimePredictedMs', 'downtimeLimitMs', 'transferredBytes'],
  ...['dirtyBytesPerSecond', 'linkBytesPerSecond', 'guestSpeedShare', 'hostLoad', 'othersCores', 'setupMs'],
  ...[
    'memoryBytes',
    'timeLimitMs',
    'qemuVersion',
    'accelerator',
    'link',
    'commit',
    'plan',
    'planHash',
    'startedAt',
  ],
] as const satisfies readonly (keyof RunRecord)[];

/** One line a run (RFC 4180). Unknown is empty, never 0. */
export function resultsCsv(records: readonly RunRecord[]): string {
  const lines = records
    .filter((record) => record.kind === 'run')
    .map((record) => CSV_COLUMNS.map((column) => csvField(record[column])).join(','));
  return `${[CSV_COLUMNS.join(','), ...lines].join('\r\n')}\r\n`;
}

function csvField(value: string | number | boolean | null | undefined): string {
  const text = String(value ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
