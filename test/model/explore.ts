/**
 * Explores every state that can be reached, breadth first, each once. States lie in one growing array and are
 * compared in full.
 */

import { assert } from '../../src/base/index.ts';
import { events } from './environment.ts';
import type { Laws } from './laws.ts';
import { BUDGET_NAMES, type Budgets, budgetAt, RUN, runAt, WORLD_BYTES, type World } from './layout.ts';
import { Machines } from './machines.ts';
import type { Event, Setting } from './party.ts';
import { worldViolation } from './promises.ts';

export interface Violation {
  readonly what: string;
  /** Every event from the beginning. */
  readonly trace: readonly string[];
}

export interface Explored {
  readonly states: number;
  readonly transitions: number;
  readonly violations: readonly Violation[];
}

export interface ExploreOptions {
  readonly laws: Laws;
  readonly budgets: Budgets;
  /** Ends at the first violation, as a mutation needs no more. */
  readonly stopAtFirst?: boolean;
  /** An exploration that would not end is an error of the model. */
  readonly statesMax?: number;
}

const STATES_MAX = 12_000_000;
const VIOLATIONS_MAX = 20;

class Store {
  #bytes = new Uint8Array(WORLD_BYTES << 14);
  #parents = new Int32Array(1 << 14);
  #table = new Int32Array(1 << 15).fill(-1);
  count = 0;

  /** Its number if it is new; -1 if it was there. */
  add(world: World, parent: number): number {
    if (this.count * 2 >= this.#table.length) this.#grow();
    let slot = hash(world, 0) & (this.#table.length - 1);
    for (let found = this.#table[slot]!; found !== -1; found = this.#table[slot]!) {
      if (this.#equals(found, world)) return -1;
      slot = (slot + 1) & (this.#table.length - 1);
    }
    const number = this.count++;
    this.#table[slot] = number;
    this.#bytes.set(world, number * WORLD_BYTES);
    this.#parents[number] = parent;
    return number;
  }

  read(number: number, into: World): void {
    const at = number * WORLD_BYTES;
    for (let index = 0; index < WORLD_BYTES; index++) into[index] = this.#bytes[at + index]!;
  }

  parent(number: number): number {
    return this.#parents[number]!;
  }

  #equals(number: number, world: World): boolean {
    const at = number * WORLD_BYTES;
    for (let index = 0; index < WORLD_BYTES; index++)
      if (this.#bytes[at + index] !== world[index]) return false;
    return true;
  }

  #grow(): void {
    const capacity = this.#table.length;
    const bytes = new Uint8Array(WORLD_BYTES * capacity);
    bytes.set(this.#bytes.subarray(0, this.count * WORLD_BYTES));
    this.#bytes = bytes;
    const parents = new Int32Array(capacity);
    parents.set(this.#parents.subarray(0, this.count));
    this.#parents = parents;
    this.#table = new Int32Array(capacity * 2).fill(-1);
    for (let number = 0; number < this.count; number++) {
      let slot = hash(bytes, number * WORLD_BYTES) & (this.#table.length - 1);
      while (this.#table[slot] !== -1) slot = (slot + 1) & (this.#table.length - 1);
      this.#table[slot] = number;
    }
  }
}

function hash(bytes: Uint8Array, at: number): number {
  let value = 0x811c9dc5;
  for (let index = at; index < at + WORLD_BYTES; index++)
    value = Math.imul(value ^ bytes[index]!, 0x01000193);
  value ^= value >>> 15;
  value = Math.imul(value, 0x2c1b3c6d);
  return (value ^ (value >>> 13)) >>> 0;
}

export function explore(options: ExploreOptions): Explored {
  const { laws, budgets, stopAtFirst = false, statesMax = STATES_MAX } = options;
  const setting: Setting = { laws, machines: new Machines(laws.rule) };
  const store = new Store();
  const world = new Uint8Array(WORLD_BYTES);
  const scratch = new Uint8Array(WORLD_BYTES);
  const found: { what: string; from: number; label: string }[] = [];
  const kinds = new Set<string>();
  let transitions = 0;
  let current = 0;
  const report = (what: string, label: string) => {
    if (kinds.has(what) || kinds.size >= VIOLATIONS_MAX) return;
    kinds.add(what);
    found.push({ what, from: current, label });
  };
  const event: Event = (label, change) => {
    transitions++;
    scratch.set(world);
    const violation = change(scratch) ?? worldViolation(scratch, laws);
    // What follows from a broken promise is not looked at: it would only be told again.
    if (violation === null) store.add(scratch, current);
    else report(violation, label);
  };
  store.add(initial(budgets), -1);
  for (; current < store.count; current++) {
    assert(store.count <= statesMax, `more than ${statesMax} states: smaller budgets are wanted`);
    store.read(current, world);
    events(world, setting, event);
    if (stopAtFirst && found.length > 0) break;
  }
  if (setting.machines.hasCycle()) report('a party can go round for ever', '');
  const violations = found.map(({ what, from, label }) => ({
    what,
    trace: [...traceTo(store, from, setting), label],
  }));
  return { states: store.count, transitions, violations };
}

function initial(budgets: Budgets): World {
  const world = new Uint8Array(WORLD_BYTES);
  world[runAt(0)] = RUN.running;
  world[runAt(1)] = RUN.empty;
  world[runAt(2)] = RUN.empty;
  for (const name of BUDGET_NAMES) world[budgetAt(name)] = budgets[name];
  return world;
}

function traceTo(store: Store, number: number, setting: Setting): string[] {
  const path = [number];
  for (let parent = store.parent(number); parent !== -1; parent = store.parent(parent)) path.push(parent);
  path.reverse();
  const [from, to, scratch] = [0, 1, 2].map(() => new Uint8Array(WORLD_BYTES)) as [World, World, World];
  return path.slice(1).map((target, index) => {
    store.read(path[index]!, from);
    store.read(target, to);
    let name = '?';
    events(from, setting, (label, change) => {
      scratch.set(from);
      if (change(scratch) === null && name === '?' && scratch.every((byte, at) => byte === to[at]))
        name = label;
    });
    return name;
  });
}
