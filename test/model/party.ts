/**
 * One party that runs the machine: a controller, a guardian, or `godwit resolve`. Each steps the product's
 * own `step`.
 */

import type { Known, Phase } from '../../src/handover/index.ts';
import { type Answer, act } from './acts.ts';
import { EFFECTS } from './effects.ts';
import { FACT, lookFact } from './facts.ts';
import { destinationOf, type Laws } from './laws.ts';
import {
  budgetAt,
  claimAt,
  durableAt,
  has,
  LINE,
  linesAt,
  MIGRATION_COUNT,
  PAST,
  pastAt,
  put,
  ROLE,
  RUN,
  roleAt,
  runAt,
  SEES,
  SLOT_COUNT,
  seesAt,
  setState,
  stateOf,
  strayAt,
  TOLD,
  toldAt,
  type World,
} from './layout.ts';
import { type Machines, RAN } from './machines.ts';
import { outcomeViolation } from './promises.ts';
import { isLinkCut, isOurs, streamDies } from './qemu.ts';

export interface Setting {
  readonly laws: Laws;
  readonly machines: Machines;
}

/** `change` works on a copy of the world; what it returns is a promise that was broken, or null. */
export type Event = (label: string, change: (world: World) => string | null) => void;

export function partyEvents(
  world: World,
  migration: number,
  slot: number,
  setting: Setting,
  event: Event,
): void {
  const role = world[roleAt(migration, slot)]!;
  if (role === ROLE.none) return;
  const { laws, machines } = setting;
  const number = stateOf(world, migration, slot);
  const node = machines.nodes[number]!;
  const name = `${'AB'[migration]} ${['', 'controller', 'guardian', 'resolve'][role]}`;
  if (node.told !== 'none') {
    event(`${name} closes`, (next) => close(next, migration, slot, setting));
    return;
  }
  const answer = (label: string, change: (next: World) => Answer) =>
    event(`${name}: ${node.state.phase}, ${node.effect} ${label}`, (next) => {
      const answered = change(next);
      const [fact, violation] = typeof answered === 'number' ? ([answered, null] as const) : answered;
      const after = machines.step(number, fact);
      setState(next, migration, slot, after);
      const { told, state } = machines.nodes[after]!;
      const source = laws.sources[migration]!;
      // A controller that turns back closes the stream before it looks.
      if (role === ROLE.controller && state.phase === 'asking' && isOurs(next, source, migration, laws))
        streamDies(next, source);
      return (
        violation ?? (told === 'none' ? null : outcomeViolation(next, migration, slot, told, state, laws))
      );
    });
  answers(world, migration, slot, setting, answer);
}

type AnswerEvent = (label: string, change: (world: World) => Answer) => void;

/** What the machine may be told next. */
function answers(
  world: World,
  migration: number,
  slot: number,
  { laws, machines }: Setting,
  answer: AnswerEvent,
): void {
  const number = stateOf(world, migration, slot);
  const { state, effect } = machines.nodes[number]!;
  const { phase } = state;
  const isController = world[roleAt(migration, slot)] === ROLE.controller;
  const heeds = phase !== 'ready' && machines.step(number, FACT.lost) !== number;
  if (isController && heeds && !has(world, seesAt(migration, slot), SEES.lostUsed))
    lose(world, migration, slot, laws, answer);
  if (phase === 'ready') answer('begins', () => FACT.begin);
  else if (phase === 'looking' && !laws.lastLookIsTaken)
    answer('skipped', () => lookFact('released', 'loaded', false));
  else if (phase === 'confirming' && !laws.lookAfterIsTaken)
    answer('skipped', () => lookFact('released', 'running', false));
  else if (phase === 'halting' && !laws.haltedIsAwaited)
    answer('not awaited', (next) => {
      next[strayAt(migration)] = EFFECTS.indexOf(effect);
      return FACT.failed;
    });
  else act(world, { migration, slot, laws }, effect, answer);
}

/** A cancel, or what a controller hears of by itself: an end or the link is gone. */
function lose(world: World, migration: number, slot: number, laws: Laws, answer: AnswerEvent): void {
  const ends = [laws.sources[migration]!, destinationOf(migration)];
  const heard = isLinkCut(world, migration) || ends.some((qemu) => world[runAt(qemu)] === RUN.gone);
  if (!heard && world[budgetAt('cancel')] === 0) return;
  answer('lost', (next) => {
    if (!heard) next[budgetAt('cancel')]!--;
    put(next, seesAt(migration, slot), SEES.lostUsed);
    return FACT.lost;
  });
}

/** The end is written down, told, and the claims are taken away where nothing is in doubt. */
function close(next: World, migration: number, slot: number, { laws, machines }: Setting): null {
  const { told } = machines.nodes[stateOf(next, migration, slot)]!;
  const role = next[roleAt(migration, slot)];
  leave(next, migration, slot, laws);
  if (role === ROLE.guardian) put(next, pastAt(migration), PAST.guardianDone);
  next[toldAt(migration)] =
    told === 'completed'
      ? TOLD.completed
      : told === 'runs'
        ? TOLD.aborted
        : told === 'left'
          ? TOLD.leftAsItIs
          : TOLD.inDoubt;
  if (told === 'in-doubt') return null;
  put(next, linesAt(migration), LINE.end);
  put(next, durableAt(migration), LINE.end);
  const ends = [laws.sources[migration]!, ...(told === 'completed' ? [destinationOf(migration)] : [])];
  for (const qemu of ends) if (next[claimAt(qemu)] === migration + 1) next[claimAt(qemu)] = 0;
  return null;
}

/** A party is no longer there; the gateways go with their controller. */
export function leave(next: World, migration: number, slot: number, laws: Laws): void {
  const wasController = next[roleAt(migration, slot)] === ROLE.controller;
  next[roleAt(migration, slot)] = ROLE.none;
  next[seesAt(migration, slot)] = 0;
  setState(next, migration, slot, 0);
  const source = laws.sources[migration]!;
  if (wasController && isOurs(next, source, migration, laws)) streamDies(next, source);
}

export function enter(next: World, migration: number, slot: number, role: number, setting: Setting): void {
  const { machines, laws } = setting;
  next[roleAt(migration, slot)] = role;
  const begin =
    role === ROLE.controller
      ? machines.controller({ ...RAN, sourceAfter: laws.sourceAfter })
      : machines.recovery(knownOf(next, migration, laws));
  setState(next, migration, slot, begin);
}

/** As the journal's fold. */
function knownOf(world: World, migration: number, laws: Laws): Known {
  const lines = world[linesAt(migration)]!;
  const perhaps = (lines & LINE.torn) !== 0 && (lines & LINE.prepared) !== 0 && laws.tornCounts;
  return {
    ...RAN,
    sourceAfter: laws.sourceAfter,
    stopIsOurs: (lines & LINE.stop) !== 0,
    prepared: (lines & LINE.prepared) !== 0,
    commit: (lines & LINE.commit) !== 0 ? 'yes' : perhaps ? 'perhaps' : 'no',
    continued: (lines & LINE.continue) !== 0,
    postCopy: false,
    guestEnded: null,
  };
}

const BEFORE_STOP: ReadonlySet<Phase> = new Set<Phase>(['ready', 'hurrying', 'recording-stop', 'stopping']);
/** Nothing is looked at any more before what comes next. */
const TOO_LATE: ReadonlySet<string> = new Set([
  'record commit',
  'record continue',
  'start-destination',
  'continue-source',
]);

/** Another client has acted on a QEMU: who hears of it, and for whom it came after the last look. */
export function noteOther(next: World, qemu: number, isCommand: boolean, { laws, machines }: Setting): void {
  for (let migration = 0; migration < MIGRATION_COUNT; migration++) {
    const isDestination = qemu === destinationOf(migration);
    if (!isDestination && qemu !== laws.sources[migration]) continue;
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (next[roleAt(migration, slot)] === ROLE.none) continue;
      const { state, effect } = machines.nodes[stateOf(next, migration, slot)]!;
      const sees = seesAt(migration, slot);
      put(next, sees, SEES.actedSinceLook);
      if (TOO_LATE.has(effect)) put(next, sees, SEES.startedTooLate);
      const hears =
        isCommand && !BEFORE_STOP.has(state.phase) && !(isDestination && isLinkCut(next, migration));
      if (hears) put(next, sees, SEES.touched);
    }
  }
}
