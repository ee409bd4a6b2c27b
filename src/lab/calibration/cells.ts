/** What is calibrated: guests, strategies and limits, and the simulation of each. Pure. */

import { createHash } from 'node:crypto';
import { GodwitError, MIB } from '../../base/index.ts';
import type { SimulationTask } from '../../simulator/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { GUEST_DEFAULTS, type GuestOptions } from '../guest/index.ts';
import type { Baseline } from '../run/baseline.ts';
import { isBaseline } from '../run/contestant.ts';

/**
 * The first pass of this guest takes six seconds, and most of the workloads write more than the link carries.
 */
export const CALIBRATION = {
  memoryBytes: 256 * MIB,
  linkBytesPerSecond: 25e6,
  downtimeLimitMs: 300,
  timeLimitMs: 60_000,
  seed: 3,
  guest: { fillBytes: 144 * MIB, hotBytes: 40 * MIB, rateBytesPerSecond: 40 * MIB },
} as const;

export interface CalibrationWorkload {
  readonly id: string;
  readonly guest: Partial<GuestOptions> & Pick<GuestOptions, 'workload'>;
}

const busy = (workload: GuestOptions['workload']): CalibrationWorkload => ({
  id: workload,
  guest: { ...CALIBRATION.guest, workload },
});

const CALIBRATION_WORKLOADS: readonly CalibrationWorkload[] = [
  { id: 'idle', guest: { fillBytes: CALIBRATION.guest.fillBytes, workload: 'idle' } },
  busy('stress'),
  busy('uniform'),
  busy('zipf'),
  busy('sweep'),
  busy('phased'),
  busy('mixed'),
  // It writes less than the link carries, so plain pre-copy ends too.
  { id: 'calm', guest: { ...CALIBRATION.guest, workload: 'uniform', rateBytesPerSecond: 12 * MIB } },
];

const GATEWAY_STRATEGIES = ['frs', 'mp', 'adaptive'] as const;
/** Plain pre-copy does not end on the others. */
const PRECOPY_WORKLOADS = ['idle', 'calm'];

export interface CalibrationCell {
  readonly key: string;
  readonly workload: CalibrationWorkload;
  /** The strategy's name in the simulator. */
  readonly strategy: string;
  /** The lab's name of a plain QEMU migration; null where the VM moves through the gateway. */
  readonly baseline: Baseline | null;
}

/** Errors: USAGE_VALUE when `only` leaves nothing. */
export function calibrationCells(only: readonly string[]): readonly CalibrationCell[] {
  const cells = CALIBRATION_WORKLOADS.flatMap((workload) => [
    ...GATEWAY_STRATEGIES.map((strategy) => cell(workload, strategy)),
    ...(PRECOPY_WORKLOADS.includes(workload.id) ? [cell(workload, 'precopy')] : []),
  ]);
  if (only.length === 0) return cells;
  const wanted = cells.filter(({ key, workload, strategy }) =>
    only.some((name) => [key, workload.id, strategy].includes(name)),
  );
  if (wanted.length > 0) return wanted;
  throw new GodwitError('USAGE_VALUE', `--only ${only.join(' ').slice(0, 64)} leaves nothing to run`, {
    hint: `workloads: ${CALIBRATION_WORKLOADS.map(({ id }) => id).join(', ')}; strategies: ${GATEWAY_STRATEGIES.join(', ')}, precopy`,
    safe: 'nothing was started',
  });
}

function cell(workload: CalibrationWorkload, strategy: string): CalibrationCell {
  const plain = `qemu-${strategy}`;
  const baseline = strategy === 'precopy' && isBaseline(plain) ? plain : null;
  return { key: `${workload.id}/${strategy}`, workload, strategy, baseline };
}

/** The same guest, strategy and link, simulated; `traceFile`: the guest as recorded during the live run. */
export function simulationOf(
  { key, workload, strategy }: CalibrationCell,
  seed: number,
  guestMs: number,
  traceFile: string | null,
): SimulationTask {
  const { body, fillBytes, hotBytes, rateBytesPerSecond, zipfExponent, busyMs, quietMs } = {
    ...GUEST_DEFAULTS,
    ...workload.guest,
  };
  return {
    key,
    run: 0,
    seed,
    seedBase: seed,
    strategy: { id: strategy, name: strategy, parameters: {}, relaxedFactor: 1 },
    workload: {
      id: workload.id,
      options: {
        workload: workload.guest.workload,
        ...{ body, fillBytes, hotBytes, rateBytesPerSecond, zipfExponent, busyMs, quietMs },
        // The trace begins at the moment at which the migration began.
        startMs: traceFile === null ? guestMs : 0,
      },
    },
    trace: traceFile === null ? null : { file: traceFile, startShare: 0 },
    memoryBytes: Math.floor(CALIBRATION.memoryBytes / PAGE_SIZE_BYTES) * PAGE_SIZE_BYTES,
    linkBytesPerSecond: CALIBRATION.linkBytesPerSecond,
    roundTripMs: 0.2,
    downtimeLimitMs: CALIBRATION.downtimeLimitMs,
    timeLimitMs: CALIBRATION.timeLimitMs,
    gatewayMemoryBytesMax: 2048 * MIB,
    arrangement: 'single',
    regret: false,
  };
}

/** A hash over every setting of a cell's live run. */
export function hashOf({ key, workload, baseline }: CalibrationCell): string {
  const made = JSON.stringify([CALIBRATION, key, workload.guest, baseline]);
  return createHash('sha256').update(made).digest('hex').slice(0, 16);
}
