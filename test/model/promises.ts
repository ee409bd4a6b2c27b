/**
 * What must never happen, and what must be true where a party says how its migration ended.
 * docs/format/handover.md words them.
 */

import type { HandoverState } from '../../src/handover/index.ts';
import { destinationOf, type Laws } from './laws.ts';
import {
  claimAt,
  EXCUSE_AT,
  has,
  LINE,
  linesAt,
  MARK,
  MIGRATION_COUNT,
  marksAt,
  PAST,
  pastAt,
  QEMU_COUNT,
  queueAt,
  ROLE,
  RUN,
  roleAt,
  runAt,
  SEES,
  SLOT_COUNT,
  seesAt,
  strayAt,
  TOLD,
  toldAt,
  type World,
} from './layout.ts';
import type { Told } from './machines.ts';
import { isLinkCut } from './qemu.ts';

/** Of any state of the world. */
export function worldViolation(world: World, laws: Laws): string | null {
  let ours = 0;
  for (let qemu = 0; qemu < QEMU_COUNT; qemu++) {
    if (world[runAt(qemu)] === RUN.running && !has(world, marksAt(qemu), MARK.byOther)) ours++;
  }
  return ours > 1 ? 'two copies run, both by our commands' : settledViolation(world, laws);
}

export function runningCount(world: World): number {
  let count = 0;
  for (let qemu = 0; qemu < QEMU_COUNT; qemu++) if (world[runAt(qemu)] === RUN.running) count++;
  return count;
}

/** When a party has come to an outcome. What happened after its last look it could not know. */
export function outcomeViolation(
  world: World,
  migration: number,
  slot: number,
  told: Told,
  { leftBehind }: HandoverState,
  laws: Laws,
): string | null {
  if (told === 'in-doubt' || has(world, seesAt(migration, slot), SEES.actedSinceLook)) return null;
  const [source, destination] = [laws.sources[migration]!, destinationOf(migration)];
  const unseen = leftBehind !== null || isLinkCut(world, migration);
  const two = world[runAt(source)] === RUN.running && world[runAt(destination)] === RUN.running;
  if (two && !unseen) return `"${told}" is told while two copies run`;
  if (told === 'completed')
    return world[runAt(destination)] === RUN.running || unseen
      ? null
      : '"completed" is told, and the VM does not run at the destination';
  if (told === 'runs' && world[runAt(source)] !== RUN.running)
    return 'it is told that the source VM runs, and it does not';
  const there = world[runAt(destination)]!;
  const ours = world[claimAt(destination)] === migration + 1 && there !== RUN.gone && there !== RUN.foreign;
  return ours && !unseen ? 'the move was undone and its destination is left, untold' : null;
}

/** Nobody is at work and nothing is on its way: then the operator knows what there is to know. */
function settledViolation(world: World, laws: Laws): string | null {
  let everyoneDefinite = true;
  let begun = false;
  for (let migration = 0; migration < MIGRATION_COUNT; migration++) {
    if (!has(world, linesAt(migration), LINE.begin)) continue;
    begun = true;
    if (isAtWork(world, migration, laws)) return null;
    if (world[toldAt(migration)] === TOLD.nothing) {
      const past = world[pastAt(migration)]!;
      if ((past & PAST.guardianDied) === 0) return 'a run has ended and nobody says how';
      everyoneDefinite = false;
    }
    if (world[toldAt(migration)] === TOLD.inDoubt || world[toldAt(migration)] === TOLD.leftAsItIs)
      everyoneDefinite = false;
  }
  if (!begun || world[EXCUSE_AT] === 1 || !everyoneDefinite) return null;
  return runningCount(world) === 0 ? 'no copy runs, and nobody was told' : null;
}

function isAtWork(world: World, migration: number, laws: Laws): boolean {
  for (let slot = 0; slot < SLOT_COUNT; slot++) if (world[roleAt(migration, slot)] !== ROLE.none) return true;
  return (
    world[strayAt(migration)] !== 0 ||
    world[queueAt(migration, 0)] !== 0 ||
    guardianMayStart(world, migration, laws)
  );
}

export function guardianMayStart(world: World, migration: number, laws: Laws): boolean {
  const past = world[pastAt(migration)]!;
  return (
    laws.guardianStarts &&
    (past & PAST.controllerDied) !== 0 &&
    (past & (PAST.guardianDied | PAST.guardianDone)) === 0 &&
    world[toldAt(migration)] === TOLD.nothing
  );
}
