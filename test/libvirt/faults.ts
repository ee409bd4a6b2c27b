/**
 * Faults drawn by a seed, struck on real daemons. Each must end with exactly one running copy, or in doubt
 * with a message that names what to do; what the fault itself ended or suspended stays so.
 */

import path from 'node:path';
import { sleep } from '../../src/base/index.ts';
import type { MigrateStep } from '../../src/controller/index.ts';
import { continuityOf } from '../../src/lab/judge/heartbeats.ts';
import { listJournals } from '../../src/recovery/index.ts';
import {
  beats,
  type Ending,
  godwit,
  openRig,
  type Rig,
  startGuest,
  startMove,
  stateOf,
  untilJournalEnds,
} from '../live/libvirt-scene.ts';
import { FAULT_KINDS, type FaultKind } from './fault-kinds.ts';
import { DaemonProxy } from './proxy.ts';

export interface Fault {
  readonly kind: FaultKind;
  readonly step: MigrateStep;
}

export interface FaultFigures {
  readonly kind: string;
  readonly step: string;
  readonly outcome: string | null;
  readonly text: string | null;
  /** libvirt's states; null: not there. */
  readonly source: string | null;
  readonly destination: string | null;
  readonly heartbeatsLost: number;
  readonly heartbeatsRepeated: number;
  readonly complaints: readonly string[];
}

/** Every kind at every step of its own, in an order of the seed's, as often as it takes. */
export function drawFaults(count: number, random: () => number, only: string | null): Fault[] {
  const all = FAULT_KINDS.filter(({ name }) => only === null || name === only).flatMap((kind) =>
    kind.steps.map((step) => ({ kind, step })),
  );
  const drawn: Fault[] = [];
  while (drawn.length < count) {
    const order = all.map((fault) => ({ fault, at: random() })).sort((one, other) => one.at - other.at);
    drawn.push(...order.map(({ fault }) => fault));
  }
  return drawn.slice(0, count);
}

/** The complaint that must never be. */
export const TWO = 'two copies run';

const HERE_MS = 60_000;
const END_MS = 120_000;
const BEATS_AFTER = 3;
const BEATS_MS = 30_000;

export async function runFault(t: Ending, { kind, step }: Fault): Promise<FaultFigures> {
  const rig = await openRig(t, { workload: 'uniform', rateBytesPerSecond: 4 * 1024 * 1024 });
  await startGuest(rig);
  const proxyPath = path.join(rig.folder, 'proxy.sock');
  const proxy = await DaemonProxy.open(t, proxyPath, path.join(rig.hosts[1].runFolder, 'libvirt-sock'));
  const move = startMove(rig, step, { destinationUri: `qemu+unix:///system?socket=${proxyPath}` });
  t.after(async () => {
    // A fault that failed may have left it standing still.
    if (await Promise.race([move.ended.then(() => false), sleep(10).then(() => true)]))
      process.kill(move.processId, 'SIGKILL');
  });
  const late = sleep(HERE_MS).then(() => Promise.reject(new Error(`the move did not come to ${step}`)));
  late.catch(() => undefined);
  await Promise.race([move.here, late]);
  await kind.strike({ rig, move, proxy });
  move.goOn();
  const end = await untilEnded(rig, move.ended);
  return judge(rig, { kind, step }, end);
}

/** By the controller, the guardian, or an operator with `godwit resolve`, who tries three times. */
async function untilEnded(
  rig: Rig,
  ended: Promise<unknown>,
): Promise<{ outcome: string; text: string } | null> {
  await Promise.race([ended, sleep(END_MS)]);
  let end = await untilJournalEnds(rig, 20_000);
  for (let tries = 0; tries < 3 && (end === null || end.outcome === 'in-doubt'); tries++) {
    const state = path.join(rig.folder, 'state');
    const migrationId = listJournals(state).at(-1)?.migrationId;
    if (migrationId === undefined) return null;
    const { json } = await godwit(['resolve', migrationId], { GODWIT_STATE_DIR: state });
    if (typeof json['outcome'] === 'string') end = json as { outcome: string; text: string };
    if (tries < 2) await sleep(1000);
  }
  return end;
}

/** A daemon that was killed is back after a moment. */
async function stateAt(rig: Rig, index: 0 | 1): Promise<string | null> {
  for (let tries = 0; ; tries++) {
    try {
      const client = await rig.hosts[index].connect();
      const state = await stateOf(client, rig.uuid);
      await client.close();
      return state === null || state.state === 'shut off' ? null : `${state.state} (${state.reason})`;
    } catch (error) {
      if (tries >= 100) throw error;
      await sleep(200);
    }
  }
}

async function judge(
  rig: Rig,
  { kind, step }: Fault,
  end: { outcome: string; text: string } | null,
): Promise<FaultFigures> {
  const [source, destination] = [await stateAt(rig, 0), await stateAt(rig, 1)];
  const runs = (state: string | null) => state?.startsWith('running') === true;
  const running = [source, destination].filter(runs).length;
  const complaints: string[] = [];
  if (running > 1) complaints.push(TWO);
  if (running === 1 && !(await beatsGoOn(rig))) complaints.push('the copy that runs beats no more');
  const { lost, repeated } = continuityOf(beats(rig));
  if (lost + repeated > 0) complaints.push(`${lost} heartbeats lost, ${repeated} repeated`);
  if (end === null) complaints.push('nobody has ended it');
  const isTold = end?.outcome === 'in-doubt' && /virsh/.test(end.text);
  const isAllowed =
    (kind.allowed === 'suspended' && source?.startsWith('paused') === true && destination === null) ||
    (kind.allowed === 'ended' && source === null && destination === null);
  if (running === 0 && !isTold && !isAllowed) complaints.push('no copy runs, and nobody was told what to do');
  if (end?.outcome === 'completed' && !runs(destination)) complaints.push('completed, and not there');
  if (end?.outcome === 'aborted' && runs(destination)) complaints.push('aborted, and over there');
  return {
    ...{ kind: kind.name, step, outcome: end?.outcome ?? null, text: end?.text ?? null },
    ...{ source, destination, heartbeatsLost: lost, heartbeatsRepeated: repeated, complaints },
  };
}

async function beatsGoOn(rig: Rig): Promise<boolean> {
  const before = beats(rig).length;
  for (let waitedMs = 0; waitedMs < BEATS_MS; waitedMs += 50) {
    if (beats(rig).length >= before + BEATS_AFTER) return true;
    await sleep(50);
  }
  return false;
}
