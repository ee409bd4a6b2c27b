/**
 * Which explorations there are: how often each thing may happen in each. All budgets at once would be too
 * many states.
 */

import { type Explored, type ExploreOptions, explore } from './explore.ts';
import { LAWS, type Laws } from './laws.ts';
import { BUDGET_NAMES, type Budgets } from './layout.ts';
import { lawsOf, type Mutation } from './mutations.ts';

export interface Exploration {
  readonly name: string;
  readonly laws: Laws;
  readonly budgets: Budgets;
}

function budgets(some: Partial<Budgets>): Budgets {
  return Object.fromEntries(BUDGET_NAMES.map((name) => [name, some[name] ?? 0])) as unknown as Budgets;
}

const LIBVIRT: Laws = { ...LAWS, commitBy: 'libvirt', sourceAfter: 'quit' };
const QUIT: Laws = { ...LAWS, sourceAfter: 'quit' };
/** Migration B goes on from where migration A went to. */
const ONWARD: Laws = { ...LAWS, sources: [0, 1] };

function exploration(name: string, some: Partial<Budgets>, laws: Laws = LAWS): Exploration {
  return { name, laws, budgets: budgets(some) };
}

/** Both controllers and both guardians are in each of them. */
export const FULL: readonly Exploration[] = [
  exploration('three crashes, two other clients', { crash: 3, other: 2 }),
  exploration('three crashes, one resolve', { crash: 3, resolve: 1 }),
  exploration('old journals', { crash: 2, resolve: 2, forget: 2, other: 1 }),
  exploration('old journals of a VM that moved on', { crash: 2, resolve: 2, forget: 2 }, ONWARD),
  exploration('the network', { net: 2, late: 1, lock: 1 }),
  exploration('the network and a crash', { crash: 1, net: 1, late: 1, cancel: 1 }),
  exploration('the network and other clients', { other: 2, net: 1, lock: 1 }),
  exploration('late answers', { crash: 1, other: 1, late: 1, cancel: 1 }),
  exploration('disks that change hands', { crash: 2, lock: 2, net: 1 }),
  exploration('a source that is ended', { crash: 1, net: 1, other: 1 }, QUIT),
  exploration('libvirt', { crash: 1, net: 1, lock: 1, late: 1 }, LIBVIRT),
  exploration('libvirt and other clients', { crash: 2, other: 1, lock: 1, resolve: 1 }, LIBVIRT),
];

/** For `npm test`. */
export const SMALL: readonly Exploration[] = [
  exploration('two crashes, one other client', { crash: 2, other: 1 }),
  exploration('old journals', { crash: 1, resolve: 2, forget: 2 }),
  exploration('old journals of a VM that moved on', { crash: 1, resolve: 1, forget: 1 }, ONWARD),
  exploration('the network', { net: 2, lock: 1 }),
  exploration('disks that change hands', { crash: 1, lock: 1 }),
  exploration('late answers', { late: 1, other: 1, cancel: 1 }),
  exploration('libvirt', { crash: 1, net: 1, lock: 1 }, LIBVIRT),
];

export function run({ laws, budgets: some }: Exploration, options: Partial<ExploreOptions> = {}): Explored {
  return explore({ laws, budgets: some, ...options });
}

/** The promise that it was seen to break; null: it was not caught. */
export function runMutation(mutation: Mutation): string | null {
  const options = { laws: lawsOf(mutation), budgets: budgets(mutation.budgets), stopAtFirst: true };
  return explore(options).violations[0]?.what ?? null;
}
