/**
 * What may come of each effect of the machine: every answer, with what the world is then. Not responsible for
 * who asks (party.ts).
 */

import type { EffectName } from './effects.ts';
import { endedFact, FACT, lookFact } from './facts.ts';
import { destinationOf, type Laws } from './laws.ts';
import {
  budgetAt,
  durableAt,
  has,
  LINE,
  linesAt,
  MARK,
  marksAt,
  OUTGOING,
  outgoingAt,
  put,
  ROLE,
  RUN,
  roleAt,
  runAt,
  SEES,
  seesAt,
  type World,
} from './layout.ts';
import {
  COMMAND,
  cont,
  destinationSeen,
  enqueue,
  finish3,
  flush,
  goesOn,
  isLinkCut,
  isOurs,
  quit,
  type Reply,
  run,
  sourceSeen,
  stop,
} from './qemu.ts';

/** `change` works on a copy and returns the fact and, where a promise is broken, which. */
export type Emit = (label: string, change: (world: World) => Answer) => void;
export type Answer = number | readonly [fact: number, violation: string | null];

export interface Doer {
  readonly migration: number;
  readonly slot: number;
  readonly laws: Laws;
}

const LINES: Partial<Record<EffectName, number>> = {
  'record stop': LINE.stop,
  'record prepared': LINE.prepared,
  'record commit': LINE.commit,
  'record running': LINE.running,
  'record continue': LINE.continue,
};

export function act(world: World, doer: Doer, effect: EffectName, emit: Emit): void {
  const line = LINES[effect];
  if (line !== undefined) record(world, doer, line, emit);
  else if (effect === 'look') look(world, doer, emit);
  else if (effect === 'start-destination') start(world, doer, emit);
  else if (effect === 'take-back') takeBack(world, doer, emit);
  else if (effect === 'end-destination') endDestination(world, doer, emit);
  else {
    const happen = atSource(world, doer, effect);
    if (typeof happen === 'number') emit('cannot be', () => happen);
    else orLate(world, happen, emit);
  }
}

/** It may be late, having happened or not. */
function orLate(world: World, happen: (world: World) => Answer, emit: Emit): void {
  emit('done', happen);
  if (world[budgetAt('late')] === 0) return;
  emit('late, not done', (next) => {
    next[budgetAt('late')]!--;
    return FACT.failed;
  });
  emit('late, done', (next) => {
    next[budgetAt('late')]!--;
    const answer = happen(next);
    return typeof answer === 'number' ? FACT.failed : [FACT.failed, answer[1]];
  });
}

function record(world: World, { migration, laws }: Doer, line: number, emit: Emit): void {
  const write = (next: World) => {
    if (!laws.startFollowsCommit && line === LINE.commit) cont(next, destinationOf(migration), false);
    put(next, linesAt(migration), line);
    if (laws.recordsAreSynced) next[durableAt(migration)] = next[linesAt(migration)]!;
    return FACT.done;
  };
  orLate(world, write, emit);
  if (world[budgetAt('late')] === 0) return;
  emit('write fails halfway', (next) => {
    next[budgetAt('late')]!--;
    put(next, linesAt(migration), LINE.torn);
    put(next, durableAt(migration), LINE.torn);
    return FACT.failed;
  });
}

function look(world: World, { migration, slot, laws }: Doer, emit: Emit): void {
  const see = (next: World, hidden: 'none' | 'source' | 'destination') => {
    const there = destinationSeen(next, migration, laws);
    const here = sourceSeen(next, migration, laws);
    const sees = seesAt(migration, slot);
    const touched = has(next, sees, SEES.touched) && laws.othersAreHeard;
    // What an end that does not answer did meanwhile, nobody can see.
    put(next, sees, SEES.actedSinceLook, hidden !== 'none');
    if (hidden === 'none') put(next, sees, SEES.startedTooLate, false);
    const silent = laws.silenceIsSilence ? 'silent' : 'gone';
    return lookFact(
      hidden === 'source' ? 'silent' : here,
      hidden === 'destination' ? silent : there,
      touched && hidden !== 'destination',
    );
  };
  emit('seen', (next) => see(next, 'none'));
  if (world[budgetAt('late')] === 0) return;
  for (const hidden of ['source', 'destination'] as const) {
    emit(`${hidden} silent`, (next) => {
      next[budgetAt('late')]!--;
      return see(next, hidden);
    });
  }
}

function start(world: World, { migration, slot, laws }: Doer, emit: Emit): void {
  const source = laws.sources[migration]!;
  const destination = destinationOf(migration);
  const lost = laws.lostStartIsLost ? FACT.failed : FACT.refused;
  const tooLate = has(world, seesAt(migration, slot), SEES.startedTooLate);
  const wrong = () => {
    if (tooLate) return null;
    if (has(world, marksAt(destination), MARK.wentOn)) return 'an old copy is started';
    if (world[runAt(source)] === RUN.running && has(world, marksAt(source), MARK.byOther))
      return 'started beside a source that another client had started before the last look';
    if (has(world, marksAt(destination), MARK.spoilt) && has(world, seesAt(migration, slot), SEES.touched))
      return 'a copy that another client had made an old one before the last look is started';
    return null;
  };
  const send = (next: World): Reply => {
    flush(next, migration, laws);
    if (!isOurs(next, destination, migration, laws)) return 'dead';
    return laws.commitBy === 'libvirt' ? finish3(next, destination) : cont(next, destination, false);
  };
  if (isLinkCut(world, migration)) {
    emit('not sent', () => lost);
    emit('on its way', (next) => {
      enqueue(next, migration, COMMAND.cont);
      return [lost, wrong()];
    });
    return;
  }
  emit('answered', (next) => {
    const reply = send(next);
    return [reply === 'ok' ? FACT.done : reply === 'refused' ? FACT.refused : lost, wrong()];
  });
  if (world[budgetAt('net')] === 0) return;
  const pay = (next: World) => next[budgetAt('net')]!--;
  emit('lost', (next) => {
    pay(next);
    return lost;
  });
  emit('answer lost', (next) => {
    pay(next);
    send(next);
    return [lost, wrong()];
  });
  emit('delayed', (next) => {
    pay(next);
    enqueue(next, migration, COMMAND.cont);
    return [lost, wrong()];
  });
  // A stream carries nothing twice: a second one is there where somebody sent it, who heard no refusal.
  emit('answered, and sent twice', (next) => {
    pay(next);
    const reply = send(next);
    if (reply !== 'refused') enqueue(next, migration, COMMAND.cont);
    return [reply === 'ok' ? FACT.done : reply === 'refused' ? FACT.refused : lost, wrong()];
  });
}

function takeBack(world: World, { migration, laws }: Doer, emit: Emit): void {
  const destination = destinationOf(migration);
  const send = (next: World) => {
    flush(next, migration, laws);
    // libvirt has ended the domain itself.
    if (laws.commitBy === 'libvirt' && next[runAt(destination)] === RUN.gone) return FACT.done;
    if (!isOurs(next, destination, migration, laws)) return FACT.failed;
    return stop(next, destination) === 'ok' ? FACT.done : FACT.failed;
  };
  overLink(world, migration, COMMAND.stop, send, FACT.failed, emit);
}

function endDestination(world: World, { migration, slot, laws }: Doer, emit: Emit): void {
  const destination = destinationOf(migration);
  const silent = endedFact(laws.silenceIsSilence ? 'silent' : 'gone');
  const send = (next: World): Answer => {
    flush(next, migration, laws);
    const gone = endedFact('gone');
    if (next[runAt(destination)] === RUN.gone || !isOurs(next, destination, migration, laws)) return gone;
    if (next[runAt(destination)] === RUN.foreign)
      return [gone, 'a QEMU that is none of this migration is ended'];
    const running = next[runAt(destination)] === RUN.running;
    const isLast = isLastCopy(next, { migration, slot, laws });
    const ours = running && !has(next, marksAt(destination), MARK.byOther);
    // Finish3 of a migration that has finished is refused.
    if (running && laws.commitBy === 'libvirt') return endedFact('stays');
    quit(next, destination);
    return [gone, ours ? 'the running copy is ended' : isLast ? 'the last copy is ended' : null];
  };
  if (!laws.endIsAwaited) {
    emit('on its way', (next) => {
      enqueue(next, migration, COMMAND.quit);
      return endedFact('gone');
    });
    return;
  }
  overLink(world, migration, COMMAND.quit, send, silent, emit);
  if (world[budgetAt('late')] === 0) return;
  emit('does not end', (next) => {
    next[budgetAt('late')]!--;
    return endedFact('stays');
  });
}

/** A whole VM waits at the destination, and its source had died before the last look. */
function isLastCopy(world: World, { migration, slot, laws }: Doer): boolean {
  const there = world[runAt(destinationOf(migration))];
  const isWhole = there === RUN.whole || there === RUN.loaded || there === RUN.stopped;
  const isKnown = !has(world, seesAt(migration, slot), SEES.actedSinceLook);
  return isWhole && isKnown && world[runAt(laws.sources[migration]!)] === RUN.gone;
}

/** A command to the destination: answered, or lost, or without an answer, or delivered some time. */
function overLink(
  world: World,
  migration: number,
  command: number,
  send: (world: World) => Answer,
  failed: number,
  emit: Emit,
): void {
  if (isLinkCut(world, migration)) {
    emit('not sent', () => failed);
    emit('on its way', (next) => {
      enqueue(next, migration, command);
      return failed;
    });
    return;
  }
  emit('answered', send);
  if (world[budgetAt('net')] === 0) return;
  emit('lost', (next) => {
    next[budgetAt('net')]!--;
    return failed;
  });
  emit('answer lost', (next) => {
    next[budgetAt('net')]!--;
    const answer = send(next);
    return typeof answer === 'number' ? failed : [failed, answer[1]];
  });
  emit('delayed', (next) => {
    next[budgetAt('net')]!--;
    enqueue(next, migration, command);
    return failed;
  });
}

/** What the act does; a number: the only answer there can be. */
function atSource(world: World, doer: Doer, effect: EffectName): number | ((next: World) => Answer) {
  const { migration, laws } = doer;
  const source = laws.sources[migration]!;
  const destination = destinationOf(migration);
  const alive = world[runAt(source)] !== RUN.gone && isOurs(world, source, migration, laws);
  if (!alive && effect !== 'restore-settings') return FACT.failed;
  const standing = world[runAt(source)] === RUN.stopped || world[runAt(source)] === RUN.final;
  const streams = standing && world[outgoingAt(source)] === OUTGOING.active && !isLinkCut(world, migration);
  switch (effect) {
    case 'stop-source':
      return has(world, marksAt(source), MARK.stoppedByOther)
        ? FACT.guest
        : (next) => stopSource(next, source);
    case 'drain':
      return streams && world[runAt(destination)] === RUN.empty ? () => FACT.done : FACT.failed;
    case 'prove':
      return streams && world[runAt(destination)] === RUN.empty
        ? (next) => load(next, destination)
        : FACT.failed;
    case 'release-source':
      if (!laws.sourceIsReleased) return FACT.done;
      return streams ? (next) => complete(next, source) : FACT.failed;
    case 'end-source':
      return (next) => end(next, doer);
    case 'cancel-migration':
      return (next) => cancel(next, source);
    case 'continue-source':
      return continueSource(world, doer);
    case 'stop-source-again':
      return (next) => (stop(next, source) === 'ok' ? FACT.done : FACT.failed);
    default:
      return () => FACT.done;
  }
}

function stopSource(next: World, source: number): number {
  if (next[runAt(source)] === RUN.running) next[runAt(source)] = RUN.stopped;
  return FACT.done;
}

function load(next: World, destination: number): number {
  next[runAt(destination)] = RUN.whole;
  return FACT.done;
}

function end(next: World, { migration, slot, laws }: Doer): Answer {
  const source = laws.sources[migration]!;
  const isKnown = !has(next, seesAt(migration, slot), SEES.actedSinceLook);
  const ran = next[runAt(source)] === RUN.running && isKnown;
  quit(next, source);
  return [FACT.done, ran ? 'the running source is ended' : null];
}

function complete(next: World, source: number): number {
  next[outgoingAt(source)] = OUTGOING.completed;
  next[runAt(source)] = RUN.stopped;
  return FACT.done;
}

function cancel(next: World, source: number): number {
  if (next[outgoingAt(source)] !== OUTGOING.active) return FACT.done;
  next[outgoingAt(source)] = OUTGOING.ended;
  if (next[runAt(source)] === RUN.final) {
    run(next, source, false);
    goesOn(next, MARK.wentOn);
  }
  return FACT.done;
}

/** QEMU refuses `cont` while a migration is still ending. */
function continueSource(world: World, { migration, slot, laws }: Doer): number | ((next: World) => Answer) {
  const source = laws.sources[migration]!;
  const destination = destinationOf(migration);
  if (world[runAt(source)] === RUN.running) return FACT.done;
  if (world[runAt(source)] === RUN.final || world[outgoingAt(source)] === OUTGOING.active)
    return FACT.refused;
  const isController = world[roleAt(migration, slot)] === ROLE.controller;
  const sees = world[seesAt(migration, slot)]!;
  const hasHeard = (sees & SEES.touched) !== 0 && (sees & SEES.startedTooLate) === 0;
  const wrong = has(world, marksAt(destination), MARK.ranByUs)
    ? 'the source is continued although the destination has run'
    : has(world, marksAt(source), MARK.stoppedByOther) && isController
      ? 'a VM that its owner stopped is continued'
      : world[runAt(destination)] === RUN.running && hasHeard
        ? 'the source is continued beside a destination that runs'
        : null;
  return (next) => {
    run(next, source, false);
    goesOn(next, MARK.wentOn);
    if (next[outgoingAt(source)] === OUTGOING.completed) next[outgoingAt(source)] = OUTGOING.ended;
    return [FACT.done, wrong];
  };
}
