/**
 * How fast the simulator works through pages, on one core and with every invariant checked. A page event is a page written by the guest, taken
 * out of QEMU or sent. Not responsible for how well rules do: godwit simulate sweep shows that.
 */

import { performance } from 'node:perf_hooks';
import { GIB, MIB, median } from '../src/base/index.ts';
import { SIMULATION_DEFAULTS, type SimulationResult, simulate } from '../src/simulator/index.ts';
import { readParameters, strategyByName } from '../src/strategy/index.ts';
import { makeGuest, type WorkloadOptions } from '../src/trace/index.ts';
import { PAGE_SIZE_BYTES } from '../src/vm/index.ts';
import type { Bench, BenchOptions } from './registry.ts';

interface Timed {
  readonly result: SimulationResult;
  readonly seconds: number;
  /** Of all threads: what "a core" means on a machine that others use too. */
  readonly coreSeconds: number;
}

function timed(
  strategy: string,
  memoryBytes: number,
  linkBytesPerSecond: number,
  guest: Partial<WorkloadOptions>,
  gatewayMemoryBytesMax: number,
): Timed {
  const rule = strategyByName(strategy);
  const startMs = performance.now();
  const startCpu = process.cpuUsage();
  const result = simulate({
    ...SIMULATION_DEFAULTS,
    strategy: rule,
    parameters: readParameters(rule, []),
    guest: makeGuest(memoryBytes / PAGE_SIZE_BYTES, guest),
    linkBytesPerSecond,
    gatewayMemoryBytesMax,
    regret: false,
  });
  const { user, system } = process.cpuUsage(startCpu);
  return { result, seconds: (performance.now() - startMs) / 1000, coreSeconds: (user + system) / 1e6 };
}

/** A guest of 8 GiB with a hot set of 1 GiB that outruns its link, under frs. */
async function events({ quick, log }: BenchOptions): Promise<Record<string, unknown>> {
  const rates: number[] = [];
  let last: Timed | null = null;
  for (let round = 0; round < (quick ? 1 : 3); round++) {
    const guest = {
      workload: 'uniform',
      hotBytes: GIB,
      rateBytesPerSecond: 1024 * MIB,
      seed: round,
    } as const;
    last = timed('frs', (quick ? 2 : 8) * GIB, 625e6, guest, 16 * GIB);
    rates.push(last.result.pageEvents / last.coreSeconds);
    log(`${(last.result.pageEvents / 1e6).toFixed(1)} M page events in ${last.seconds.toFixed(2)} s`);
  }
  return {
    pageEventsPerSecond: Math.round(median(rates)!),
    pageEvents: last!.result.pageEvents,
    simulatedMs: Math.round(last!.result.totalMigrationTimeMs ?? 0),
    outcome: last!.result.outcome,
  };
}

/** 1 TiB in pages of 4 KiB, none modelled away, on 10 Gb/s; 8 GiB are written faster than that. Quick: 64 GiB. */
async function terabyte({ quick }: BenchOptions): Promise<Record<string, unknown>> {
  const memoryBytes = (quick ? 64 : 1024) * GIB;
  const guest = { workload: 'uniform', hotBytes: 8 * GIB, rateBytesPerSecond: 1.5 * GIB } as const;
  const { result, seconds, coreSeconds } = timed('mp', memoryBytes, 1.25e9, guest, 64 * GIB);
  return {
    guestBytes: memoryBytes,
    seconds: Math.round(seconds * 100) / 100,
    coreSeconds: Math.round(coreSeconds * 100) / 100,
    pageEventsPerSecond: Math.round(result.pageEvents / coreSeconds),
    pageEvents: result.pageEvents,
    simulatedMs: Math.round(result.totalMigrationTimeMs ?? 0),
    outcome: result.outcome,
  };
}

export const benches: readonly Bench[] = [
  { name: 'simulator', needsQemu: false, run: events },
  { name: 'simulator-1tib', needsQemu: false, run: terabyte },
];
