/** Processes that are killed, or frozen and thawed again; the operator's signals. */

import { assert } from '../../../src/base/index.ts';
import { MIGRATE_STEPS, type MigrateStep } from '../../../src/controller/index.ts';
import type { Kind } from '../kind.ts';
import { helpersOf, signal } from '../processes.ts';
import type { Scene } from '../scene.ts';
import { type End, type FaultArrangement, NotStruck } from '../types.ts';

export type Role = 'controller' | 'guardian' | 'source' | 'destination' | 'far' | 'ssh';

export function pidsOf(scene: Scene, role: Role): number[] {
  if (role === 'controller') return [scene.command.pid];
  if (role === 'source' || role === 'destination') {
    const { process } = scene.vm(role);
    return process.ending() === null ? [process.pid] : [];
  }
  return helpersOf(scene.mark, role).map(({ pid }) => pid);
}

/** Errors: NotStruck where none of them lives. */
export function strikeAll(scene: Scene, roles: readonly Role[], name: NodeJS.Signals): number[] {
  const struck = roles.flatMap((role) => {
    const pids = pidsOf(scene, role).filter((pid) => signal(pid, name));
    if (pids.length === 0) throw new NotStruck(`there is no ${role}`);
    if (name === 'SIGKILL' && (role === 'source' || role === 'destination')) scene.killed.add(role as End);
    if (name === 'SIGKILL' && role === 'controller') scene.mayEndBySignal = true;
    return pids;
  });
  return struck;
}

const FROM_LISTENING = stepsFrom('listening');
const BOTH = ['single', 'ssh'] as const;
const ALL = ['single', 'ssh', 'listen'] as const;

export function stepsFrom(first: MigrateStep, last: MigrateStep = 'end'): MigrateStep[] {
  const steps = MIGRATE_STEPS.slice(MIGRATE_STEPS.indexOf(first), MIGRATE_STEPS.indexOf(last) + 1);
  assert(steps.length > 0, `${first} does not come before ${last}`);
  return steps;
}

const SETS: readonly (readonly Role[])[] = [
  ['controller'],
  ['guardian'],
  ['source'],
  ['destination'],
  ['far'],
  ['ssh'],
  ['controller', 'guardian'],
  ['controller', 'source'],
  ['controller', 'destination'],
  ['guardian', 'destination'],
  ['source', 'destination'],
  ['controller', 'far'],
  ['controller', 'ssh'],
  ['controller', 'guardian', 'far'],
  ['controller', 'guardian', 'source'],
  ['controller', 'guardian', 'destination'],
];

function needsFar(roles: readonly Role[]): boolean {
  return roles.includes('far') || roles.includes('ssh');
}

function arrangementsOf(roles: readonly Role[]): readonly FaultArrangement[] {
  if (roles.includes('ssh')) return ['ssh'];
  return roles.includes('far') ? ['ssh', 'listen'] : ALL;
}

/** Whoever must be asked is gone: only then may the end be in doubt. */
function leavesDoubt(roles: readonly Role[]): boolean {
  return roles.some((role) => role !== 'controller' && role !== 'guardian');
}

const KILLS: readonly Kind[] = SETS.map((roles) => ({
  kind: `kill ${roles.join('+')}`,
  rows: [15],
  arrangements: arrangementsOf(roles),
  steps: needsFar(roles) ? FROM_LISTENING : MIGRATE_STEPS,
  allows: { doubt: leavesDoubt(roles) },
  strike: async (scene) => void strikeAll(scene, roles, 'SIGKILL'),
}));

const FROZEN_MS = [300, 3_000, 6_000] as const;

function freeze(roles: readonly Role[], forHowLong: 'a while' | 'the whole move'): Kind {
  return {
    kind: `freeze ${roles.join('+')}${forHowLong === 'a while' ? '' : ' for good'}`,
    rows: [9, 15],
    arrangements: arrangementsOf(roles),
    steps: needsFar(roles) ? FROM_LISTENING : MIGRATE_STEPS,
    allows: { doubt: leavesDoubt(roles), farStays: leavesDoubt(roles) },
    async strike(scene) {
      const pids = strikeAll(scene, roles, 'SIGSTOP');
      const thaw = () => {
        for (const pid of pids) signal(pid, 'SIGCONT');
      };
      scene.heal.push(thaw);
      if (forHowLong === 'a while') scene.later(FROZEN_MS[scene.dice.below(FROZEN_MS.length)]!, thaw);
    },
  };
}

const FREEZES: readonly Kind[] = [
  freeze(['controller'], 'a while'),
  freeze(['guardian'], 'a while'),
  freeze(['source'], 'a while'),
  freeze(['destination'], 'a while'),
  freeze(['far'], 'a while'),
  freeze(['ssh'], 'a while'),
  freeze(['controller', 'guardian'], 'a while'),
  freeze(['source', 'destination'], 'a while'),
  freeze(['controller', 'destination'], 'a while'),
  freeze(['source'], 'the whole move'),
  freeze(['destination'], 'the whole move'),
  freeze(['far'], 'the whole move'),
];

/** The guardian is at work when it is struck: the controller has just died. */
const WHILE_RECOVERING: readonly Kind[] = [
  {
    kind: 'kill controller, then its guardian at work',
    rows: [2, 15],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    async strike(scene) {
      const guardians = pidsOf(scene, 'guardian');
      strikeAll(scene, ['controller'], 'SIGKILL');
      scene.later(scene.dice.below(120), () => {
        for (const pid of guardians) signal(pid, 'SIGKILL');
      });
    },
  },
];

const SIGNALS: readonly Kind[] = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((name) => ({
  kind: name,
  rows: [6, 10],
  arrangements: ALL,
  steps: MIGRATE_STEPS,
  strike: async (scene) => void strikeAll(scene, ['controller'], name),
}));

export const PROCESS_KINDS: readonly Kind[] = [...KILLS, ...FREEZES, ...WHILE_RECOVERING, ...SIGNALS];
