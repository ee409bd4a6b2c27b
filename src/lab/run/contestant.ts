/**
 * Who migrates the VM in a cell of a plan: plain QEMU, or a migrator handed in by whoever runs the plan.
 * Not responsible for measuring (move.ts) or judging (checks.ts): both are the same for all.
 */

import type { Arrangement } from '../../vm/index.ts';
import type { Endpoint } from '../network/endpoint.ts';
import { BASELINES, type Baseline, type Outcome } from './baseline.ts';

/** All that a migrator is told. The monitors are free; the VMs run; nothing has been set on either QEMU. */
export interface MigratorRequest {
  readonly strategy: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly sourceQmpPath: string;
  readonly destinationQmpPath: string;
  /** Where the destination QEMU is to listen, and where that is reached through the shaped link. */
  readonly destination: { readonly listen: Endpoint; readonly connect: Endpoint };
  readonly linkBytesPerSecond: number;
  /** Null: the strategy's own default. */
  readonly downtimeLimitMs: number | null;
  readonly timeLimitMs: number;
  /** Private, for sockets and journals. */
  readonly folder: string;
  /** Default `single`. */
  readonly arrangement?: Arrangement;
  /** What runs a command on the destination host; for the far gateway of a pair. */
  readonly destinationCommand?: readonly string[];
  /** For a dirty-page trace of the migration, where the contestant can write one. */
  readonly recordPath?: string;
  /** To be called right before the destination is started, both VMs standing still; it takes its time. */
  readonly onCommit?: () => void;
}

export interface MigratorIteration {
  readonly index: number;
  /** Since `migrate`. */
  readonly startMs: number;
  readonly dirtyPages: number | null;
  readonly sentPages: number;
  /** Bytes tell more than pages, because zero pages and repeats cost little. Null where not known. */
  readonly sentBytes: number | null;
  readonly heldPages: number;
}

/** What only the migrator knows; times and bytes are measured from outside. */
export interface MigratorReport {
  readonly outcome: Outcome;
  /** Why it did not complete. */
  readonly reason: string | null;
  /** Null without gateways. */
  readonly arrangement: Arrangement | null;
  /** Null where the strategy predicts nothing. */
  readonly downtimePredictedMs: number | null;
  /** The limit that the strategy promised to keep; null where it promises its prediction, or nothing. */
  readonly downtimeLimitMs: number | null;
  readonly iterations: readonly MigratorIteration[];
  readonly decision: { readonly action: string; readonly rule: string; readonly text: string } | null;
  readonly notes: readonly string[];
  /** From being asked to QMP `migrate`; null where nobody says. */
  readonly setupMs: number | null;
  /** Milliseconds since the source stopped, step by step; empty where nobody says. */
  readonly stopAndCopy: Readonly<Record<string, number>>;
}

/**
 * Moves the VM, or leaves it where it was and says why. A throw counts as a failed run. `signal` aborts when
 * the cell's time is over.
 */
export type Migrator = (request: MigratorRequest, signal: AbortSignal) => Promise<MigratorReport>;

export function isBaseline(strategy: string): strategy is Baseline {
  return (BASELINES as readonly string[]).includes(strategy);
}
