/**
 * The pair that a cell moves, whichever guest runs in it: the bare one or Linux. Not responsible for the move
 * (cell.ts).
 */

import { type GuestReady, guestCommandLine } from '../guest/index.ts';
import { type Bounds, boundsOf } from '../judge/bounds.ts';
import { type CheckResult, type LimitFigures, type Place, runChecks } from '../judge/checks.ts';
import type { HeartbeatContinuity } from '../judge/heartbeats.ts';
import { runLinuxChecks } from '../judge/linux-checks.ts';
import type { DirtyRate } from '../judge/measure.ts';
import { type Clients, startClients } from '../linux/clients.ts';
import { openLinuxPair } from '../linux/pair.ts';
import { openPair } from '../machine/pair.ts';
import type { Network } from '../network/network.ts';
import type { LinuxWorkload } from './linux-workload.ts';
import type { Pair } from './move.ts';
import type { Cell, Plan } from './plan.ts';

export interface GuestChecked {
  readonly results: readonly CheckResult[];
  readonly holds: boolean;
  readonly heartbeats: HeartbeatContinuity | null;
  readonly verification: { readonly pages: number; readonly badPages: number } | null;
}

export interface CellGuest {
  readonly pair: Pair & { readonly folder: string };
  /** What the bare guest said of itself; null for Linux. */
  readonly ready: GuestReady | null;
  readonly bootMs: number;
  readonly commandLine: string;
  /** Begins to use the guest's program; null where nobody does. */
  startClients(): Promise<Clients | null>;
  boundsAt(rate: DirtyRate, linkBytesPerSecond: number): Bounds;
  check(place: Place, limits: LimitFigures): Promise<GuestChecked>;
  close(): Promise<void>;
}

export interface CellGuestOptions {
  readonly plan: Plan;
  readonly cell: Cell;
  readonly network: Network;
  /** The destination is started with `-S`. */
  readonly arrivesPaused: boolean;
}

const UNKNOWN: Bounds = { transferredBytes: null, totalMigrationTimeMs: null, downtimeMs: null };

/** Errors: LAB_PACKAGES, LAB_TOOL_MISSING, LAB_VM_FAILED. */
export function openCellGuest(options: CellGuestOptions): Promise<CellGuest> {
  const { linux } = options.cell.workload;
  return linux === undefined ? openBare(options) : openLinux(options, linux);
}

async function openBare({ plan, cell, network, arrivesPaused }: CellGuestOptions): Promise<CellGuest> {
  const pair = await openPair({
    network,
    memoryBytes: plan.memoryBytes,
    guest: { ...cell.workload.guest, seed: cell.seed },
    machine: plan.machine,
    accelerator: plan.accelerator,
    disk: plan.disk,
    furnished: plan.furnished,
    destinationPaused: arrivesPaused,
  });
  return {
    pair,
    ready: pair.ready,
    bootMs: pair.bootMs,
    commandLine: guestCommandLine(pair.guest),
    startClients: async () => null,
    boundsAt: ({ writtenBytesPerSecond }, linkBytesPerSecond) =>
      writtenBytesPerSecond === null
        ? UNKNOWN
        : boundsOf(pair.ready, writtenBytesPerSecond, linkBytesPerSecond),
    check: (place, limits) => runChecks({ pair, place, limits }),
    close: () => pair.close(),
  };
}

/** What a real program writes is not known beforehand, so there are no bounds. */
async function openLinux(
  { plan, network, arrivesPaused }: CellGuestOptions,
  { program, vcpus, guest }: LinuxWorkload,
): Promise<CellGuest> {
  const pair = await openLinuxPair({
    network,
    guest: { ...guest, program },
    memoryBytes: plan.memoryBytes,
    vcpus,
    machine: plan.machine,
    accelerator: plan.accelerator,
    destinationPaused: arrivesPaused,
  });
  return {
    pair,
    ready: null,
    bootMs: pair.bootMs,
    commandLine: pair.commandLine,
    startClients: () => startClients(program, pair.users),
    boundsAt: () => UNKNOWN,
    check: (place, limits) => runLinuxChecks({ pair, place, limits }),
    close: () => pair.close(),
  };
}
