/**
 * One contestant, one fresh pair, one move: a cell without a plan file, for whoever wants to watch a single
 * run. Not responsible for series of runs (run-plan.ts) nor for the run itself (cell.ts).
 */

import { createHash } from 'node:crypto';
import type { GuestOptions } from '../guest/index.ts';
import type { Network } from '../network/network.ts';
import type { RunRecord } from '../report/results.ts';
import type { BaselineProgress } from './baseline.ts';
import { type CellStage, runCell } from './cell.ts';
import type { Migrator } from './contestant.ts';
import { provenanceOf } from './run-plan.ts';

export interface ContestOptions {
  readonly network: Network;
  readonly guest: Partial<GuestOptions> & Pick<GuestOptions, 'workload' | 'seed'>;
  readonly memoryBytes: number;
  readonly disk: 'none' | 'plain';
  /** A name of `BASELINES`, or one that `migrator` understands. */
  readonly strategy: string;
  readonly parameters: Readonly<Record<string, number>>;
  /** Null for plain QEMU. */
  readonly migrator: Migrator | null;
  /** Null: the contestant's own default. */
  readonly downtimeLimitMs: number | null;
  readonly timeLimitMs: number;
  /** The guest works for this long before anything is measured. */
  readonly warmUpMs?: number;
  readonly onStage?: (stage: CellStage) => void;
  readonly onBaselineProgress?: (progress: BaselineProgress) => void;
  readonly signal: AbortSignal;
}

const WARM_UP_MS = 1000;

/**
 * Boots, measures, moves, checks and closes. A move that fails is a record; errors are those of booting and
 * measuring.
 */
export async function runContest(options: ContestOptions): Promise<RunRecord> {
  options.signal.throwIfAborted();
  const { network, guest, memoryBytes, disk, strategy, parameters, downtimeLimitMs, timeLimitMs } = options;
  const about = {
    name: 'contest',
    about: '',
    seed: guest.seed,
    runs: 1,
    linkBytesPerSecond: network.linkBytesPerSecond,
    memoryBytes,
    machine: 'pc',
    accelerator: 'tcg',
    disk,
    furnished: false,
    warmUpMs: options.warmUpMs ?? WARM_UP_MS,
    timeLimitMs,
    calibrationRuns: 1,
    strategies: [
      { id: strategy, name: strategy, parameters, downtimeLimitMs, relaxedFactor: 1, expected: null },
    ],
    workloads: [{ id: guest.workload, guest }],
  } as const;
  const hash = createHash('sha256').update(JSON.stringify(about)).digest('hex').slice(0, 16);
  const key = `${guest.workload}/${strategy}/0`;
  return runCell({
    plan: { ...about, hash },
    cell: { key, workload: about.workloads[0], strategy: about.strategies[0], run: 0, seed: guest.seed },
    kind: 'run',
    network,
    provenance: await provenanceOf(about, network),
    migrator: options.migrator,
    downtimeLimitMs,
    ...(options.onStage === undefined ? {} : { onStage: options.onStage }),
    ...(options.onBaselineProgress === undefined ? {} : { onBaselineProgress: options.onBaselineProgress }),
    signal: options.signal,
  });
}
