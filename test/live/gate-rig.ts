/**
 * One gate run: a small pair over a shaped link, moved with or without the switchover-ack, and who
 * stopped the VM. Whether QEMU did it by itself is told from outside: the source's STOP before the
 * controller sent its own.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { MIB, sleep } from '../../src/base/index.ts';
import { MIGRATE_DEFAULTS, migrate } from '../../src/controller/index.ts';
import {
  type Checked,
  type GuestOptions,
  type LabPair,
  type Network,
  observeMove,
  openNetwork,
  openPair,
  pinSelf,
  runChecks,
} from '../../src/lab/index.ts';
import { readParameters, strategyByName } from '../../src/strategy/index.ts';
import { endsOf } from './small-pair.ts';

export const GATE_WORKLOADS = ['idle', 'uniform', 'stress', 'phased'] as const;
export type GateWorkload = (typeof GATE_WORKLOADS)[number];
export type GateKind = 'ack' | 'off';

export interface GateRun {
  readonly workload: GateWorkload;
  readonly gate: GateKind;
  readonly strategy: string;
  /** Where in its phases the guest is caught follows from it. */
  readonly seed: number;
}

export interface GateResult extends GateRun {
  readonly ok: boolean;
  readonly complaints: readonly string[];
  readonly success: boolean;
  readonly failure: string | null;
  readonly rule: string | null;
  /** QEMU stopped the VM by itself. */
  readonly uninvited: boolean;
  /**
   * From outside, by events and by heartbeat, the larger one; for a move that was given up: until
   * the source ran again.
   */
  readonly downtimeMs: number | null;
  readonly downtimeLimitMs: number;
  readonly downtimePredictedMs: number | null;
  readonly totalMigrationTimeMs: number | null;
  /** Milliseconds since the stop, step by step. */
  readonly stopAndCopy: Readonly<Record<string, number>>;
  readonly iterations: number;
  readonly transferredBytes: number;
  readonly linkBytesPerSecond: number;
  readonly badPages: number | null;
  readonly heartbeatsLost: number | null;
  readonly qemuVersion: string;
  /** The longest time for which this process did not come to its events: how crowded the machine was. */
  readonly loopBlockedMsMax: number;
}

const LINK_BYTES_PER_SECOND = 50e6;
const TIMEOUT_MS = 30_000;
/**
 * Both rates are 1.2 times the link and more while the guest is busy; the hot set takes
 * longer than the limit.
 */
const GUESTS: Readonly<Record<GateWorkload, Partial<GuestOptions>>> = {
  idle: {},
  uniform: { rateBytesPerSecond: 80 * MIB },
  stress: { rateBytesPerSecond: 80 * MIB },
  phased: { rateBytesPerSecond: 80 * MIB, busyMs: 700, quietMs: 700 },
};

export async function runGate(run: GateRun): Promise<GateResult> {
  const network = await openNetwork({ linkBytesPerSecond: LINK_BYTES_PER_SECOND });
  await pinSelf();
  let pair: LabPair | null = null;
  try {
    pair = await openPair({
      network,
      memoryBytes: 64 * MIB,
      guest: {
        workload: run.workload,
        hotBytes: 20 * MIB,
        fillBytes: 44 * MIB,
        seed: run.seed,
        ...GUESTS[run.workload],
      },
    });
    await sleep(300 + ((run.seed * 137) % 1400));
    return await move(run, pair, network);
  } finally {
    await pair?.close();
    await network.close();
  }
}

async function move(run: GateRun, pair: LabPair, network: Network): Promise<GateResult> {
  const stateDirectory = mkdtempSync(join(tmpdir(), 'godwit-gate-'));
  const observer = observeMove(pair);
  const stops = observeStops(pair);
  const strategy = strategyByName(run.strategy);
  const ends = await endsOf(pair, network);
  const downtimeLimitMs = MIGRATE_DEFAULTS.downtimeMsMax;
  const loop = monitorEventLoopDelay();
  loop.enable();
  try {
    await observer.start();
    const report = await migrate(
      {
        ...ends,
        strategy,
        parameters: readParameters(strategy, []),
        limits: { downtimeMsMax: downtimeLimitMs, timeoutMs: TIMEOUT_MS, onTimeout: 'switch' },
        bandwidthBytesPerSecondMax: null,
        linkBytesPerSecond: null,
        gatewayMemoryBytesMax: 512 * MIB,
        sourceAfter: 'keep',
        ackGate: run.gate === 'off' ? 'off' : 'auto',
        stateDirectory,
      },
      {
        onProgress: () => undefined,
        onIteration: () => undefined,
        onNote: () => undefined,
        onStep: (step) => {
          if (step === 'stopping') stops.asked();
        },
      },
      new AbortController().signal,
    );
    loop.disable();
    const measured = await observer.finish();
    const checked = await runChecks({
      pair,
      place: report.success ? 'moved' : 'stayed',
      limits: {
        timeLimitMs: TIMEOUT_MS,
        totalMigrationTimeMs: measured.totalMigrationTimeMs,
        downtimeMs: measured.downtimeMs,
        downtimeLimitMs: null,
        downtimePredictedMs: null,
      },
    });
    const uninvited = stops.uninvited() || report.decision?.rule === 'uninvited';
    const downtimeMs = report.success ? measured.downtimeMs : stops.longestPauseMs();
    const complaints = complaintsOf(run, checked, { uninvited, downtimeMs, downtimeLimitMs });
    return {
      ...run,
      ok: complaints.length === 0,
      complaints,
      success: report.success,
      failure: report.failure?.code ?? null,
      rule: report.decision?.rule ?? null,
      uninvited,
      downtimeMs,
      downtimeLimitMs,
      downtimePredictedMs: report.downtimePredictedMs,
      totalMigrationTimeMs: measured.totalMigrationTimeMs,
      stopAndCopy: report.stopAndCopy,
      iterations: report.iterations.length,
      transferredBytes: measured.transferredBytes,
      linkBytesPerSecond: network.linkBytesPerSecond,
      badPages: checked.verification?.badPages ?? null,
      heartbeatsLost: checked.heartbeats?.lost ?? null,
      qemuVersion: report.qemuVersion,
      loopBlockedMsMax: Math.round(loop.max / 1e6),
    };
  } finally {
    rmSync(stateDirectory, { recursive: true, force: true });
  }
}

interface StopFigures {
  readonly uninvited: boolean;
  readonly downtimeMs: number | null;
  readonly downtimeLimitMs: number;
}

function complaintsOf(run: GateRun, checked: Checked, stop: StopFigures): string[] {
  const complaints = checked.results.flatMap((result) => result.complaints);
  if (!stop.uninvited) return complaints;
  if (run.gate === 'ack') complaints.push('QEMU stopped the VM uninvited although it owed the ack');
  const { downtimeMs, downtimeLimitMs } = stop;
  if (downtimeMs === null || downtimeMs > downtimeLimitMs) {
    complaints.push(`uninvited, ${downtimeMs?.toFixed(0) ?? 'unknown'} ms down, limit ${downtimeLimitMs} ms`);
  }
  return complaints;
}

/** The source's STOP and RESUME, beside the moment at which the controller was about to send its `stop`. */
function observeStops(pair: LabPair) {
  let askedEpochMs = Number.POSITIVE_INFINITY;
  let uninvited = false;
  let stoppedEpochMs: number | null = null;
  let longestPauseMs: number | null = null;
  pair.source.qmp.on(({ name, timestampMs }) => {
    if (timestampMs === null) return;
    if (name === 'STOP') {
      stoppedEpochMs = timestampMs;
      uninvited ||= timestampMs < askedEpochMs;
    } else if (name === 'RESUME' && stoppedEpochMs !== null) {
      longestPauseMs = Math.max(longestPauseMs ?? 0, timestampMs - stoppedEpochMs);
    }
  });
  return {
    asked: () => {
      askedEpochMs = Date.now();
    },
    uninvited: () => uninvited,
    longestPauseMs: () => longestPauseMs,
  };
}
