/**
 * Everything that may happen besides the parties' own steps: starts, crashes, the network, other clients, the
 * operator.
 */

import { act } from './acts.ts';
import { EFFECTS } from './effects.ts';
import { destinationOf } from './laws.ts';
import {
  type BudgetName,
  budgetAt,
  claimAt,
  durableAt,
  EXCUSE_AT,
  has,
  LINE,
  linesAt,
  MARK,
  MIGRATION_COUNT,
  marksAt,
  OUTGOING,
  outgoingAt,
  PAST,
  pastAt,
  put,
  QEMU_COUNT,
  queueAt,
  ROLE,
  RUN,
  roleAt,
  runAt,
  SLOT_COUNT,
  stateOf,
  strayAt,
  TOLD,
  toldAt,
  type World,
} from './layout.ts';
import { type Event, enter, leave, noteOther, partyEvents, type Setting } from './party.ts';
import { guardianMayStart, runningCount } from './promises.ts';
import { activate, cont, dropQueue, flush, goesOn, isLinkCut, isOurs, stop } from './qemu.ts';

export function events(world: World, setting: Setting, event: Event): void {
  for (let migration = 0; migration < MIGRATION_COUNT; migration++) {
    begin(world, migration, setting, event);
    if (!has(world, linesAt(migration), LINE.begin)) continue;
    for (let slot = 0; slot < SLOT_COUNT; slot++) partyEvents(world, migration, slot, setting, event);
    enders(world, migration, setting, event);
    crashes(world, migration, setting, event);
    network(world, migration, setting, event);
    stray(world, migration, setting, event);
  }
  for (let qemu = 0; qemu < QEMU_COUNT; qemu++) qemuEvents(world, qemu, setting, event);
}

function spend(
  event: Event,
  world: World,
  budget: BudgetName,
  label: string,
  change: (world: World) => void,
): void {
  if (world[budgetAt(budget)] === 0) return;
  event(label, (next) => {
    next[budgetAt(budget)]!--;
    change(next);
    return null;
  });
}

/** `godwit migrate`: the claims are taken, the journal begins, QEMU sends. */
function begin(world: World, migration: number, setting: Setting, event: Event): void {
  const { laws } = setting;
  if (world[linesAt(migration)] !== 0) return;
  const [source, destination] = [laws.sources[migration]!, destinationOf(migration)];
  if (world[runAt(source)] !== RUN.running || world[runAt(destination)] !== RUN.empty) return;
  const free = world[claimAt(source)] === 0 && world[claimAt(destination)] === 0;
  if (!free && laws.claimIsExclusive) return;
  // A second copy that another client has made is that client's to move.
  if (runningCount(world) > 1) return;
  event(`migrate ${'AB'[migration]}`, (next) => {
    for (const qemu of [source, destination]) next[claimAt(qemu)] = migration + 1;
    next[linesAt(migration)] = LINE.begin;
    next[durableAt(migration)] = LINE.begin;
    next[outgoingAt(source)] = OUTGOING.active;
    put(next, marksAt(source), MARK.byOther, false);
    enter(next, migration, 0, ROLE.controller, setting);
    return null;
  });
}

function enders(world: World, migration: number, setting: Setting, event: Event): void {
  const { laws } = setting;
  const roles = [world[roleAt(migration, 0)], world[roleAt(migration, 1)]];
  const held = roles.some((role) => role !== ROLE.none);
  const name = 'AB'[migration];
  if (roles[0] === ROLE.none && (!held || !laws.lockHolds) && guardianMayStart(world, migration, laws)) {
    event(`${name} guardian takes over`, (next) => {
      enter(next, migration, 0, ROLE.guardian, setting);
      return null;
    });
  }
  if (has(world, linesAt(migration), LINE.end) || (held && laws.lockHolds)) return;
  const source = laws.sources[migration]!;
  const isVoid = world[runAt(source)] !== RUN.gone && !isOurs(world, source, migration, laws);
  const slot = roles.indexOf(ROLE.none);
  if (slot !== -1 && !isVoid) {
    spend(event, world, 'resolve', `resolve ${name}`, (next) =>
      enter(next, migration, slot, ROLE.resolve, setting),
    );
  }
  // Somebody takes the claims away by hand, and the journal stays.
  if (held || guardianMayStart(world, migration, laws)) return;
  spend(event, world, 'forget', `the claims of ${name} are taken away`, (next) => {
    for (let qemu = 0; qemu < QEMU_COUNT; qemu++)
      if (next[claimAt(qemu)] === migration + 1) next[claimAt(qemu)] = 0;
    next[toldAt(migration)] = TOLD.inDoubt;
  });
}

function crashes(world: World, migration: number, setting: Setting, event: Event): void {
  if (world[budgetAt('crash')] === 0) return;
  const name = 'AB'[migration];
  const past = world[pastAt(migration)]!;
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const role = world[roleAt(migration, slot)]!;
    if (role === ROLE.none) continue;
    const effect = setting.machines.nodes[stateOf(world, migration, slot)]!.effect;
    const kill = (label: string, change: (next: World) => void) =>
      spend(
        event,
        world,
        'crash',
        `${name} ${['', 'controller', 'guardian', 'resolve'][role]} dies${label}`,
        (next) => {
          change(next);
          if (role === ROLE.controller) put(next, pastAt(migration), PAST.controllerDied);
          if (role === ROLE.guardian) put(next, pastAt(migration), PAST.guardianDied);
          leave(next, migration, slot, setting.laws);
        },
      );
    kill('', () => undefined);
    if (effect.startsWith('record ')) {
      kill(' after its write', (next) => writeLine(next, migration, effect, true));
      kill(' amid its write', (next) => tear(next, migration));
    }
    if (role !== ROLE.controller) continue;
    machineCrash(world, migration, slot, setting, event);
    if ((past & PAST.guardianDied) === 0)
      spend(event, world, 'crash', `${name} guardian dies first`, (next) =>
        put(next, pastAt(migration), PAST.guardianDied),
      );
  }
}

const LINE_OF: Readonly<Record<string, number>> = {
  'record stop': LINE.stop,
  'record prepared': LINE.prepared,
  'record commit': LINE.commit,
  'record running': LINE.running,
  'record continue': LINE.continue,
};

function writeLine(next: World, migration: number, effect: string, synced: boolean): void {
  put(next, linesAt(migration), LINE_OF[effect]!);
  if (synced) put(next, durableAt(migration), LINE_OF[effect]!);
}

function tear(next: World, migration: number): void {
  put(next, linesAt(migration), LINE.torn);
  put(next, durableAt(migration), LINE.torn);
}

/** The controller's machine: both parties, and what was not on the disk yet. */
function machineCrash(world: World, migration: number, slot: number, setting: Setting, event: Event): void {
  const crash = (label: string, change: (next: World) => void) =>
    spend(event, world, 'crash', `${'AB'[migration]} machine crashes${label}`, (next) => {
      next[linesAt(migration)] = next[durableAt(migration)]!;
      change(next);
      put(next, pastAt(migration), PAST.controllerDied | PAST.guardianDied);
      leave(next, migration, slot, setting.laws);
    });
  crash('', () => undefined);
  // A disk that had not kept what it said it had.
  if (world[budgetAt('late')] === 0) return;
  const lines = world[durableAt(migration)]!;
  const last = [LINE.running, LINE.commit, LINE.prepared, LINE.stop].find((line) => (lines & line) !== 0);
  if (last === undefined || (lines & LINE.torn) !== 0) return;
  crash(', its last line damaged', (next) => {
    next[budgetAt('late')]!--;
    put(next, linesAt(migration), last, false);
    put(next, durableAt(migration), last, false);
    tear(next, migration);
  });
}

function network(world: World, migration: number, setting: Setting, event: Event): void {
  const name = 'AB'[migration];
  if (isLinkCut(world, migration)) {
    event(`${name} link heals`, (next) => {
      put(next, pastAt(migration), PAST.linkCut, false);
      return null;
    });
    if (world[queueAt(migration, 0)] !== 0)
      event(`${name} commands under way are lost`, (next) => {
        dropQueue(next, migration);
        return null;
      });
    return;
  }
  const someone = world[roleAt(migration, 0)] !== ROLE.none || world[roleAt(migration, 1)] !== ROLE.none;
  if (someone)
    spend(event, world, 'net', `${name} link is cut`, (next) => put(next, pastAt(migration), PAST.linkCut));
  if (world[queueAt(migration, 0)] !== 0)
    event(`${name} commands under way arrive`, (next) => {
      flush(next, migration, setting.laws);
      return null;
    });
}

function stray(world: World, migration: number, { laws }: Setting, event: Event): void {
  const effect = world[strayAt(migration)]!;
  if (effect === 0) return;
  let first = true;
  act(world, { migration, slot: 0, laws }, EFFECTS[effect]!, (_label, change) => {
    if (!first) return;
    first = false;
    event(`${'AB'[migration]}: ${EFFECTS[effect]} happens after all`, (next) => {
      next[strayAt(migration)] = 0;
      const answer = change(next);
      return typeof answer === 'number' ? null : answer[1];
    });
  });
}

/** Crashes of a QEMU, what it does by itself, and other clients' commands. */
function qemuEvents(world: World, qemu: number, setting: Setting, event: Event): void {
  const state = world[runAt(qemu)]!;
  const claimed = world[claimAt(qemu)] !== 0;
  const name = `QEMU ${qemu}`;
  if (state === RUN.gone) {
    if (qemu !== 0 && claimed)
      spend(event, world, 'forget', `${name}: another one with another VM at its socket`, (next) => {
        next[runAt(qemu)] = RUN.foreign;
        next[claimAt(qemu)] = 0;
      });
    return;
  }
  if (state === RUN.foreign || !claimed) return;
  spend(event, world, 'crash', `${name} dies`, (next) => {
    if (state === RUN.running) next[EXCUSE_AT] = 1;
    next[runAt(qemu)] = RUN.gone;
    next[outgoingAt(qemu)] = OUTGOING.none;
    noteOther(next, qemu, false, setting);
  });
  if (state === RUN.running && world[outgoingAt(qemu)] === OUTGOING.active)
    spend(event, world, 'late', `${name} enters its final stage by itself`, (next) => {
      next[runAt(qemu)] = RUN.final;
    });
  if (state === RUN.whole && !has(world, marksAt(qemu), MARK.locked))
    event(`${name} opens its disks`, (next) => {
      activate(next, qemu);
      return null;
    });
  const waits =
    state === RUN.whole ||
    state === RUN.loaded ||
    state === RUN.stopped ||
    has(world, marksAt(qemu), MARK.locked);
  if (qemu !== 0 && waits)
    spend(event, world, 'lock', `${name}: its disks change hands`, (next) =>
      put(next, marksAt(qemu), MARK.locked, !has(next, marksAt(qemu), MARK.locked)),
    );
  otherClients(world, qemu, setting, event);
}

function otherClients(world: World, qemu: number, setting: Setting, event: Event): void {
  const state = world[runAt(qemu)]!;
  const other = (command: string, change: (next: World) => void) =>
    spend(event, world, 'other', `another client's ${command} at QEMU ${qemu}`, (next) => {
      change(next);
      noteOther(next, qemu, true, setting);
    });
  if (state !== RUN.running && state !== RUN.final)
    other('cont', (next) => {
      cont(next, qemu, true);
      if (next[runAt(qemu)] === RUN.running && next[outgoingAt(qemu)] !== OUTGOING.none) {
        if (next[outgoingAt(qemu)] === OUTGOING.completed) next[outgoingAt(qemu)] = OUTGOING.ended;
        goesOn(next, MARK.spoilt);
      }
    });
  if (state === RUN.running)
    other('stop', (next) => {
      const ourStop = [0, 1].some(
        (migration) => setting.laws.sources[migration] === qemu && has(next, linesAt(migration), LINE.stop),
      );
      stop(next, qemu);
      next[EXCUSE_AT] = 1;
      if (!ourStop) put(next, marksAt(qemu), MARK.stoppedByOther);
    });
  if (state === RUN.loaded) other('system_reset', (next) => put(next, marksAt(qemu), MARK.spoilt));
}
