/**
 * The handover's machine, as the model runs it: states and facts get numbers, and each step is computed once.
 * Texts are for the operator; two states that differ in a text only are one here, but for what kind of
 * outcome is told.
 */

import {
  beginHandover,
  beginRecovery,
  beginUndo,
  type Fact,
  type HandoverState,
  type Known,
  step,
} from '../../src/handover/index.ts';
import { type EffectName, effectName } from './effects.ts';
import { FACT_COUNT, factOf } from './facts.ts';

/**
 * `runs`: it is told that the source VM runs. `left`: it is told that the VM stands, and why nobody continues
 * it.
 */
export type Told = 'none' | 'completed' | 'runs' | 'left' | 'in-doubt';

export interface Node {
  readonly state: HandoverState;
  readonly effect: EffectName;
  readonly told: Told;
}

/** One way to break the machine: see mutations.ts. */
export type StepRule = (state: HandoverState, fact: Fact, original: typeof step) => ReturnType<typeof step>;

export const RAN = { guestWasRunning: true, sourceAfter: 'keep' } as const;

export class Machines {
  readonly nodes: Node[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #steps = new Map<number, number>();
  readonly #rule: StepRule | null;

  constructor(rule: StepRule | null = null) {
    this.#rule = rule;
    // 0: nobody.
    this.nodes.push({ state: beginHandover(RAN), effect: 'none', told: 'none' });
  }

  controller(known: Parameters<typeof beginHandover>[0]): number {
    const { guestWasRunning, sourceAfter } = known;
    return this.number(beginHandover({ guestWasRunning, sourceAfter }));
  }

  recovery(known: Known): number {
    return this.number(beginRecovery(known));
  }

  undo(known: Known): number {
    return this.number(beginUndo(known, 'why'));
  }

  number(state: HandoverState): number {
    const plain = withoutTexts(state);
    const key = JSON.stringify(plain);
    const found = this.#numbers.get(key);
    if (found !== undefined) return found;
    const number = this.nodes.length;
    this.#numbers.set(key, number);
    this.nodes.push({ state: plain, effect: effectName(plain.outstanding), told: toldOf(state) });
    return number;
  }

  step(number: number, fact: number): number {
    const key = number * FACT_COUNT + fact;
    const found = this.#steps.get(key);
    if (found !== undefined) return found;
    const { state } = this.nodes[number]!;
    const next = this.#rule === null ? step(state, factOf(fact)) : this.#rule(state, factOf(fact), step);
    const result = this.number(next.state);
    this.#steps.set(key, result);
    return result;
  }

  /** Whether a party could go round for ever: a machine ends only if no step leads back. */
  hasCycle(): boolean {
    const next = new Map<number, number[]>();
    for (const [key, to] of this.#steps) {
      const from = Math.floor(key / FACT_COUNT);
      if (from !== to) next.set(from, [...(next.get(from) ?? []), to]);
    }
    const done = new Set<number>();
    const open = new Set<number>();
    const visit = (node: number): boolean => {
      if (done.has(node)) return false;
      if (open.has(node)) return true;
      open.add(node);
      const found = (next.get(node) ?? []).some(visit);
      open.delete(node);
      done.add(node);
      return found;
    };
    return [...next.keys()].some(visit);
  }
}

function withoutTexts(state: HandoverState): HandoverState {
  const { why, neverRan, leftBehind, known, outcome } = state;
  const flat = (text: string | null) => (text === null ? null : 'text');
  return {
    ...state,
    why: flat(why),
    neverRan: flat(neverRan),
    leftBehind: flat(leftBehind),
    known: { ...known, guestEnded: flat(known.guestEnded) },
    outcome: outcome === null ? null : { outcome: outcome.outcome, text: toldOf(state) },
  };
}

function toldOf({ outcome }: HandoverState): Told {
  if (outcome === null) return 'none';
  if (outcome.outcome !== 'aborted') return outcome.outcome;
  return outcome.text.endsWith('the source VM runs') ? 'runs' : 'left';
}
