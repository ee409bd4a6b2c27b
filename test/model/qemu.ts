/**
 * What a QEMU does with a command, and what a look finds there. QEMU's rules are from measurements;
 * docs/format/handover.md cites them.
 */

import type { DestinationSeen, SourceSeen } from '../../src/handover/index.ts';
import { destinationOf, type Laws } from './laws.ts';
import {
  claimAt,
  has,
  MARK,
  marksAt,
  OUTGOING,
  outgoingAt,
  PAST,
  pastAt,
  put,
  QEMU_COUNT,
  QUEUE_MAX,
  queueAt,
  RUN,
  runAt,
  type World,
} from './layout.ts';

export const COMMAND = { none: 0, cont: 1, stop: 2, quit: 3 } as const;

export type Reply = 'ok' | 'refused' | 'dead';

/** Whether this migration may act on the QEMU: its claim is still in it. */
export function isOurs(world: World, qemu: number, migration: number, laws: Laws): boolean {
  return !laws.claimIsChecked || world[claimAt(qemu)] === migration + 1;
}

export function run(world: World, qemu: number, byOther: boolean): void {
  world[runAt(qemu)] = RUN.running;
  put(world, marksAt(qemu), MARK.byOther, byOther);
  put(world, marksAt(qemu), MARK.autostart | MARK.autostartByOther | MARK.stoppedByOther, false);
  if (!byOther) put(world, marksAt(qemu), MARK.ranByUs);
}

/** `cont` at a destination. One that still loads notes it, answers "ok", and runs later or never. */
export function cont(world: World, qemu: number, byOther: boolean): Reply {
  switch (world[runAt(qemu)]) {
    case RUN.gone:
    case RUN.foreign:
      return 'dead';
    case RUN.empty:
    case RUN.whole:
      put(world, marksAt(qemu), byOther ? MARK.autostartByOther : MARK.autostart);
      return 'ok';
    case RUN.loaded:
    case RUN.stopped:
      if (has(world, marksAt(qemu), MARK.locked)) return 'refused';
      run(world, qemu, byOther);
      return 'ok';
    default:
      return 'ok';
  }
}

/** libvirt's Finish3: starts the domain, or ends it. Called again it finds no migration of its own. */
export function finish3(world: World, qemu: number): Reply {
  if (world[runAt(qemu)] !== RUN.loaded) return 'dead';
  if (has(world, marksAt(qemu), MARK.locked)) {
    world[runAt(qemu)] = RUN.gone;
    return 'refused';
  }
  run(world, qemu, false);
  return 'ok';
}

export function stop(world: World, qemu: number): Reply {
  const at = runAt(qemu);
  if (world[at] === RUN.gone || world[at] === RUN.foreign) return 'dead';
  put(world, marksAt(qemu), MARK.autostart | MARK.autostartByOther, false);
  if (world[at] === RUN.running) {
    world[at] = RUN.stopped;
    put(world, marksAt(qemu), MARK.byOther, false);
  }
  return 'ok';
}

/** It has opened its disks: loaded, or running where that was asked for before. */
export function activate(world: World, qemu: number): void {
  const marks = world[marksAt(qemu)]!;
  if (world[runAt(qemu)] !== RUN.whole || (marks & MARK.locked) !== 0) return;
  if ((marks & MARK.autostart) !== 0) run(world, qemu, false);
  else if ((marks & MARK.autostartByOther) !== 0) run(world, qemu, true);
  else world[runAt(qemu)] = RUN.loaded;
}

/** The stream's processes are gone: a source that stopped by itself and has not completed runs on. */
export function streamDies(world: World, qemu: number): void {
  if (world[outgoingAt(qemu)] !== OUTGOING.active) return;
  world[outgoingAt(qemu)] = OUTGOING.ended;
  if (world[runAt(qemu)] === RUN.final) {
    world[runAt(qemu)] = RUN.running;
    goesOn(world, MARK.wentOn);
  }
}

/** The VM runs on: every whole copy of it that waits at a destination is an old one. */
export function goesOn(world: World, mark: number): void {
  for (let qemu = 1; qemu < QEMU_COUNT; qemu++) {
    const state = world[runAt(qemu)];
    if (state === RUN.whole || state === RUN.loaded) put(world, marksAt(qemu), mark);
  }
}

export function enqueue(world: World, migration: number, command: number): void {
  for (let index = 0; index < QUEUE_MAX; index++) {
    if (world[queueAt(migration, index)] !== COMMAND.none) continue;
    world[queueAt(migration, index)] = command;
    return;
  }
}

export function dropQueue(world: World, migration: number): void {
  for (let index = 0; index < QUEUE_MAX; index++) world[queueAt(migration, index)] = COMMAND.none;
}

/** One monitor serves one connection after the other: what was sent before arrives before, or never. */
export function flush(world: World, migration: number, laws: Laws): void {
  const qemu = destinationOf(migration);
  for (let index = 0; index < QUEUE_MAX; index++) {
    const command = world[queueAt(migration, index)]!;
    world[queueAt(migration, index)] = COMMAND.none;
    if (command === COMMAND.none || !isOurs(world, qemu, migration, laws)) continue;
    if (command === COMMAND.stop) stop(world, qemu);
    else if (command === COMMAND.quit) quit(world, qemu);
    else if (laws.commitBy === 'libvirt') finish3(world, qemu);
    else cont(world, qemu, false);
  }
}

export function quit(world: World, qemu: number): void {
  world[runAt(qemu)] = RUN.gone;
  world[claimAt(qemu)] = 0;
}

export function isLinkCut(world: World, migration: number): boolean {
  return has(world, pastAt(migration), PAST.linkCut);
}

export function sourceSeen(world: World, migration: number, laws: Laws): SourceSeen {
  const qemu = laws.sources[migration]!;
  const state = world[runAt(qemu)];
  if (state === RUN.gone || state === RUN.foreign) return 'gone';
  if (!isOurs(world, qemu, migration, laws)) return 'silent';
  if (state === RUN.running) return 'running';
  const released = world[outgoingAt(qemu)] === OUTGOING.completed || !laws.sourceIsReleased;
  return released ? 'released' : 'stopped';
}

/** The look is answered after all that was sent before it, and waits while the QEMU opens its disks. */
export function destinationSeen(world: World, migration: number, laws: Laws): DestinationSeen {
  const qemu = destinationOf(migration);
  if (isLinkCut(world, migration)) return laws.silenceIsSilence ? 'silent' : 'gone';
  flush(world, migration, laws);
  activate(world, qemu);
  if (!isOurs(world, qemu, migration, laws)) return 'gone';
  switch (world[runAt(qemu)]) {
    case RUN.gone:
      return 'gone';
    case RUN.empty:
    case RUN.whole:
      return 'empty';
    case RUN.running:
      return 'running';
    default:
      return 'loaded';
  }
}
