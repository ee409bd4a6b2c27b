/**
 * What must hold after a run, as objects: each captures evidence from the pair, judges it purely, and can
 * show it. Not responsible for the second oracle (oracle.ts), which needs both VMs stopped.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage, sleep } from '../../base/index.ts';
import { keepsPrediction } from '../../engine/index.ts';
import { cont, queryStatus, stop } from '../../qmp/index.ts';
import {
  checkDiskLog,
  type DiskLogCheck,
  type GuestVerification,
  isSound,
  parseGuestLine,
} from '../guest/index.ts';
import { type LabPair, verifyGuest } from '../machine/pair.ts';
import { runCommand } from '../machine/processes.ts';
import { joinSerial } from '../machine/serial.ts';
import type { Vm } from '../machine/vm.ts';
import type { Pair } from '../run/move.ts';
import { continuityOf, type HeartbeatContinuity, heartbeatsOf, lastHeartbeat } from './heartbeats.ts';

/** What a run was allowed and what it did; null where nothing was promised or measured. */
export interface LimitFigures {
  readonly timeLimitMs: number;
  readonly totalMigrationTimeMs: number | null;
  readonly downtimeMs: number | null;
  /** Only of strategies that promise `--downtime-limit`. */
  readonly downtimeLimitMs: number | null;
  /** Only of strategies that promise their own prediction. */
  readonly downtimePredictedMs: number | null;
  /** The operator's limit, or the default: a downtime within it breaks no promise. */
  readonly downtimeAgreedMs?: number;
}

/** `moved`: the VM should run at the destination. `stayed`: it should run at the source, as before. */
export type Place = 'moved' | 'stayed';

export interface Scene<Ends extends Pair = Pair> {
  readonly pair: Ends;
  readonly place: Place;
  readonly limits: LimitFigures;
}

/** `Ends`: what it needs of a pair; the bare guest's own checks need the bare guest. */
export interface Check<Evidence, Ends extends Pair = Pair> {
  readonly id: string;
  readonly when: readonly Place[];
  capture(scene: Scene<Ends>): Promise<Evidence>;
  /** What is wrong; empty where the check holds. */
  assert(evidence: Evidence, place: Place): readonly string[];
  /** The evidence on one line. */
  dump(evidence: Evidence): string;
}

export interface CheckResult {
  readonly id: string;
  readonly holds: boolean;
  readonly complaints: readonly string[];
  readonly evidence: string;
}

export interface Checked {
  readonly results: readonly CheckResult[];
  readonly holds: boolean;
  /** Null where they could not be read. */
  readonly heartbeats: HeartbeatContinuity | null;
  readonly verification: GuestVerification | null;
}

// Continuity is judged after this many beats, which prove that the VM still works after the move.
const BEATS_AFTER = 5;
const BEATS_TIMEOUT_MS = 10_000;

export function runningEnd(scene: Scene): Vm {
  return scene.place === 'moved' ? scene.pair.destination : scene.pair.source;
}

export const heartbeatCheck: Check<HeartbeatContinuity> = {
  id: 'heartbeat',
  when: ['moved', 'stayed'],
  async capture(scene) {
    const { source, destination } = scene.pair;
    const end = runningEnd(scene);
    const seen = lastHeartbeat(end.serial.lines)?.counter ?? 0;
    const enough = (text: string) => {
      const line = parseGuestLine(text);
      return line.kind === 'heartbeat' && line.counter >= seen + BEATS_AFTER;
    };
    await end.serial.waitFor(enough, { timeoutMs: BEATS_TIMEOUT_MS, what: 'further heartbeats' });
    const lines =
      scene.place === 'moved' ? joinSerial(source.serial, destination.serial).lines : source.serial.lines;
    return continuityOf(heartbeatsOf(lines).map((beat) => beat.counter));
  },
  assert: ({ lost, repeated, firstFault }) =>
    lost + repeated === 0 ? [] : [`${lost} heartbeats lost, ${repeated} repeated (${firstFault})`],
  dump: ({ beats, lost, repeated }) => `${beats} beats, ${lost} lost, ${repeated} repeated`,
};

export const memoryCheck: Check<GuestVerification, LabPair> = {
  id: 'memory',
  when: ['moved', 'stayed'],
  capture: (scene) => verifyGuest(runningEnd(scene)),
  assert: (verification) =>
    isSound(verification)
      ? []
      : [
          `${verification.badPages} bad pages (first ${verification.firstBadPage}), ${verification.badRows} bad counters, ` +
            `counters ${verification.countersAddUp ? 'add up' : 'do not add up'}`,
        ],
  dump: ({ pages, badPages, checksum }) => `${pages} pages, ${badPages} bad, checksum ${checksum}`,
};

export interface RunningEvidence {
  /** QEMU's run state; null where the process is gone. */
  readonly source: string | null;
  readonly destination: string | null;
}

export const oneRunningCheck: Check<RunningEvidence> = {
  id: 'one-running',
  when: ['moved', 'stayed'],
  capture: async ({ pair }) => ({
    source: await runState(pair.source),
    destination: await runState(pair.destination),
  }),
  assert({ source, destination }, place) {
    const complaints: string[] = [];
    const [end, name, other, otherName] =
      place === 'moved'
        ? [destination, 'destination', source, 'source']
        : [source, 'source', destination, 'destination'];
    if (end !== 'running') complaints.push(`the ${name} is ${end ?? 'gone'}`);
    if (other === 'running') complaints.push(`the ${otherName} runs too`);
    return complaints;
  },
  dump: ({ source, destination }) => `source ${source ?? 'gone'}, destination ${destination ?? 'gone'}`,
};

const ENDING_MS_MAX = 2000;

async function runState(vm: Vm): Promise<string | null> {
  if (vm.process.ending() !== null) return null;
  try {
    return (await queryStatus(vm.qmp)).status;
  } catch (error) {
    // A QEMU that ends closes its monitors some time before its process is gone.
    const ended = vm.process.exited.then(() => true);
    if (await Promise.race([ended, sleep(ENDING_MS_MAX).then(() => false)])) return null;
    throw error;
  }
}

export interface DiskEvidence {
  /** Null where the pair has no disk. */
  readonly log: DiskLogCheck | null;
  /** What `qemu-img check` said; empty: clean. */
  readonly imageErrors: string;
}

/** Stops the VM for a moment, so that its image on the host is whole. */
export const diskCheck: Check<DiskEvidence, LabPair> = {
  id: 'disk-log',
  when: ['moved', 'stayed'],
  async capture(scene) {
    const { image, folder, guest } = scene.pair;
    if (image === null) return { log: null, imageErrors: '' };
    const end = runningEnd(scene);
    await stop(end.qmp);
    const completedSequence = lastHeartbeat(end.serial.lines)?.diskSequence ?? null;
    const raw = join(folder, 'disk.raw');
    const imageErrors = await runCommand(['qemu-img', 'check', '-q', '-U', '-f', 'qcow2', image]).then(
      () => '',
      errorMessage,
    );
    await runCommand(['qemu-img', 'convert', '-U', '-f', 'qcow2', '-O', 'raw', image, raw]);
    const bytes = await readFile(raw);
    await cont(end.qmp);
    const { seed, diskLogBytes } = guest;
    return { log: checkDiskLog(bytes, { seed, diskLogBytes, completedSequence }), imageErrors };
  },
  assert({ log, imageErrors }) {
    if (log === null) return [];
    const complaints = imageErrors === '' ? [] : [imageErrors];
    if (!log.sound) {
      complaints.push(`${log.gapCount} gaps, ${log.duplicates} duplicates, ${log.damaged} damaged records`);
    }
    if (log.lastSequence === null) complaints.push('the disk log is empty');
    return complaints;
  },
  dump: ({ log }) => (log === null ? 'no disk' : `${log.records} records, last ${log.lastSequence}`),
};

export const limitsCheck: Check<LimitFigures> = {
  id: 'limits',
  when: ['moved'],
  capture: async (scene) => scene.limits,
  assert(figures) {
    const { timeLimitMs, totalMigrationTimeMs, downtimeMs, downtimeLimitMs, downtimePredictedMs } = figures;
    const { downtimeAgreedMs = 0 } = figures;
    const complaints: string[] = [];
    if (totalMigrationTimeMs === null) complaints.push('no total migration time');
    else if (totalMigrationTimeMs > timeLimitMs) {
      complaints.push(`${totalMigrationTimeMs.toFixed(0)} ms exceed the time limit of ${timeLimitMs} ms`);
    }
    if (downtimeMs === null) complaints.push('no downtime');
    else {
      if (downtimeLimitMs !== null && downtimeMs > downtimeLimitMs) {
        complaints.push(`${downtimeMs.toFixed(0)} ms down exceed the limit of ${downtimeLimitMs} ms`);
      }
      if (
        downtimePredictedMs !== null &&
        !keepsPrediction(downtimeMs, downtimePredictedMs, downtimeAgreedMs)
      ) {
        complaints.push(`measured / predicted downtime is ${(downtimeMs / downtimePredictedMs).toFixed(2)}`);
      }
    }
    return complaints;
  },
  dump: (figures) => JSON.stringify(figures),
};

/** Runs checks on one scene and keeps their results. */
export class CheckSeries<Ends extends Pair> {
  readonly results: CheckResult[] = [];
  readonly #scene: Scene<Ends>;

  constructor(scene: Scene<Ends>) {
    this.#scene = scene;
  }

  get holds(): boolean {
    return this.results.every((result) => result.holds);
  }

  /** Null where the check does not apply, or its evidence could not be had: then it does not hold. */
  async run<Evidence>(check: Check<Evidence, Ends>): Promise<Evidence | null> {
    if (!check.when.includes(this.#scene.place)) return null;
    try {
      const evidence = await check.capture(this.#scene);
      const complaints = check.assert(evidence, this.#scene.place);
      this.results.push({
        id: check.id,
        holds: complaints.length === 0,
        complaints,
        evidence: check.dump(evidence),
      });
      return evidence;
    } catch (error) {
      this.results.push({ id: check.id, holds: false, complaints: [errorMessage(error)], evidence: 'none' });
      return null;
    }
  }
}

/**
 * The order matters: the guest's verification ends its workload, and the disk check stops the VM for a
 * moment.
 */
export async function runChecks(scene: Scene<LabPair>): Promise<Checked> {
  const series = new CheckSeries(scene);
  await series.run(oneRunningCheck);
  const heartbeats = await series.run(heartbeatCheck);
  const verification = await series.run(memoryCheck);
  await series.run(diskCheck);
  await series.run(limitsCheck);
  return { results: series.results, holds: series.holds, heartbeats, verification };
}
