/** The frozen account of one migration: what `--json` prints and the lab collects. Unknown figures are null, never 0. */

import type { Arrangement, Decision, IterationStats } from '../vm/index.ts';

export const REPORT_SCHEMA = 'godwit.report/1';

export interface IterationReport {
  readonly index: number;
  readonly startMs: number;
  readonly durationMs: number;
  readonly dirtyPages: number;
  readonly sentPages: number;
  readonly resentPages: number;
  readonly heldPages: number;
  readonly queuedPages: number;
  readonly sentBytes: number;
}

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
  readonly guestMemoryBytes: number;
  /** Measured before the migration, unthrottled; null where nobody measured it. */
  readonly dirtyBytesPerSecond: number | null;
  /** As shaped or configured; else as measured while the link was busy. */
  readonly linkBytesPerSecond: number | null;
  /** From `migrate` to the destination running. */
  readonly totalMigrationTimeMs: number | null;
  /** From the source's STOP to the destination's RESUME; null for a guest that was paused. */
  readonly downtimeMs: number | null;
  readonly downtimePredictedMs: number | null;
  readonly downtimeLimitMs: number | null;
  readonly transferredBytes: number;
  /** Iteration 0 is QEMU's first pass. */
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

export function reportIteration(stats: IterationStats): IterationReport {
  return {
    index: stats.index,
    startMs: Math.round(stats.startMs),
    durationMs: Math.round(stats.durationMs),
    dirtyPages: stats.dirtyPages,
    sentPages: stats.sentPages,
    resentPages: stats.resentPages,
    heldPages: stats.backlog.heldPages,
    queuedPages: stats.backlog.queuedPages,
    sentBytes: stats.sentBytes,
  };
}
