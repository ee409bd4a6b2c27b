/**
 * The frozen account of one migration: what `--json` prints and the lab collects. Unknown figures
 * are null, never 0.
 */

import { GodwitError } from '../base/index.ts';
import type { LinkFacts, OutputFacts } from '../gateway/index.ts';
import type { Outcome as End } from '../handover/index.ts';
import type { Arrangement, Decision } from '../vm/index.ts';
import type { DriveEnd } from './drive.ts';
import type { HandoverTimes } from './handover/handover.ts';
import { farGateway, type MigrateOptions } from './options.ts';
import type { Preflight } from './preflight/preflight.ts';
import type { IterationReport, ReportLog } from './report-log.ts';

export const REPORT_SCHEMA = 'godwit.report/1';

export interface MigrationReport {
  readonly schema: typeof REPORT_SCHEMA;
  readonly migrationId: string;
  readonly success: boolean;
  /** A code of docs/errors.md when it did not succeed. */
  readonly failure: { readonly code: string; readonly text: string } | null;
  readonly outcome: 'completed' | 'aborted' | 'in-doubt';
  readonly arrangement: Arrangement;
  readonly strategy: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly workload: string | null;
  readonly seed: number | null;
  readonly qemuVersion: string;
  readonly accelerator: string | null;
  /** RAM blocks as QEMU lists them; null where it does not. */
  readonly guestMemoryBytes: number | null;
  /** Measured before the migration, unthrottled; null where nobody measured it. */
  readonly dirtyBytesPerSecond: number | null;
  /** As shaped or configured; else as measured while the link was busy. */
  readonly linkBytesPerSecond: number | null;
  /**
   * From the command (its process's start) to QMP `migrate`: checks, far side, guardian; null if it never
   * came.
   */
  readonly setupMs: number | null;
  /** From `migrate` to the destination running. */
  readonly totalMigrationTimeMs: number | null;
  /** From the source's STOP to the destination's RESUME; null for a guest that was paused. */
  readonly downtimeMs: number | null;
  readonly downtimePredictedMs: number | null;
  readonly downtimeLimitMs: number | null;
  readonly transferredBytes: number;
  /** null in the single arrangement. */
  readonly link: LinkFacts | null;
  /** Iteration 0 is QEMU's first pass; then the newest. */
  readonly iterations: readonly IterationReport[];
  readonly decision: Pick<Decision, 'action' | 'rule' | 'text'> | null;
  readonly verification: {
    readonly pages: number;
    readonly badPages: number;
    readonly heartbeatsLost: number;
  } | null;
  /** Milliseconds since the source stopped, step by step; for finding where downtime goes. */
  readonly stopAndCopy: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

/** How a migration ended, before it is told. */
export interface Outcome {
  readonly recovery: End;
  readonly ending: DriveEnd | null;
  /** null when it did not complete by itself: then nobody measured. */
  readonly times: HandoverTimes | null;
  readonly error: GodwitError | null;
}

export interface ReportFacts extends Outcome {
  readonly migrationId: string;
  readonly options: Pick<
    MigrateOptions,
    'far' | 'strategy' | 'parameters' | 'limits' | 'linkBytesPerSecond' | 'askedAtMs'
  >;
  readonly preflight: {
    readonly features: Pick<Preflight['features'], 'version'>;
    readonly source: { readonly accelerator: Preflight['source']['accelerator'] | null };
    readonly memory: Pick<Preflight['memory'], 'guestBytes'>;
  };
  readonly output: OutputFacts | null;
  /** QMP `migrate`; null where it was not sent. */
  readonly startMs: number | null;
  readonly log: ReportLog;
}

export function composeReport(facts: ReportFacts): MigrationReport {
  const { recovery, ending, times, options, output } = facts;
  const { features, source, memory } = facts.preflight;
  const { major, minor, micro } = features.version;
  const success = recovery.outcome === 'completed';
  const promised = options.strategy.promisesDowntimeLimit || options.limits.downtimeMsBound === 'limit';
  const why = facts.error ?? new GodwitError('ABORTED', recovery.text);
  return Object.freeze({
    schema: REPORT_SCHEMA,
    migrationId: facts.migrationId,
    success,
    failure: success ? null : { code: why.code, text: failureText(why, recovery) },
    outcome: recovery.outcome,
    arrangement: farGateway(options.far) === null ? 'single' : 'paired',
    strategy: options.strategy.name,
    parameters: options.parameters,
    workload: null,
    seed: null,
    qemuVersion: `${major}.${minor}.${micro}`,
    accelerator: source.accelerator,
    guestMemoryBytes: memory.guestBytes,
    dirtyBytesPerSecond: null,
    linkBytesPerSecond: options.linkBytesPerSecond ?? output?.bandwidthBytesPerSecond ?? null,
    setupMs: facts.startMs === null ? null : Math.round(facts.startMs - (options.askedAtMs ?? facts.startMs)),
    totalMigrationTimeMs: times && facts.startMs !== null ? times.endMs - facts.startMs : null,
    downtimeMs: times?.downtimeMs ?? null,
    downtimePredictedMs: ending?.kind === 'stop-and-copy' ? ending.downtimePredictedMs : null,
    downtimeLimitMs: promised ? options.limits.downtimeMsMax : null,
    transferredBytes: output?.sentBytes ?? 0,
    link: output?.link ?? null,
    iterations: facts.log.iterations,
    decision: ending?.decision ?? null,
    verification: null,
    stopAndCopy: times?.steps ?? {},
    notes: facts.log.notes,
  });
}

/**
 * What went wrong, then what became of the VM. The end's text may already begin with the first, but without
 * QEMU's own reasons.
 */
function failureText(why: GodwitError, { text }: End): string {
  const first = why.cause instanceof GodwitError ? why.cause.message : why.message;
  return `${why.message}${text.startsWith(first) ? text.slice(first.length) : `; ${text}`}`;
}
