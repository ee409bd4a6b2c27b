/**
 * Which faults a seed gives: every kind once a round, in an order of the round's own, at its next step. A
 * pure function, so that fault K of a seed can be drawn without those before it.
 */

import { Prng } from '../../src/base/index.ts';
import type { Kind } from './kind.ts';
import type { Fault } from './types.ts';

/** Most moments right at the step; some a little after, amid what the step began. */
const AFTER_MS = [0, 0, 0, 1, 3, 10, 40] as const;
/** Longer than a kind needs to come round to the arrangement and the step that are asked for. */
const ROUNDS_WITHOUT_ONE = 100;

export function drawFault(kinds: readonly Kind[], seed: number, index: number): Fault {
  const round = Math.floor(index / kinds.length);
  const position = shuffled(kinds, new Prng(seed * 7919 + round))[index % kinds.length]!;
  const kind = kinds[position]!;
  const dice = new Prng(seed * 104_729 + position);
  // A kind meets its arrangements in turn, and in each its steps in an order of its own.
  const turn = round + dice.below(2);
  const arrangement = kind.arrangements[turn % kind.arrangements.length]!;
  const visit = Math.floor(turn / kind.arrangements.length);
  const steps = shuffled(kind.steps, dice).map((at) => kind.steps[at]!);
  const step = steps[visit % steps.length] ?? null;
  const moment = new Prng(seed * 15_485_863 + index);
  return {
    seed,
    index,
    kind: kind.kind,
    arrangement,
    step,
    // After the last step nobody is left to stand still.
    afterMs: step === 'end' ? 0 : AFTER_MS[moment.below(AFTER_MS.length)]!,
  };
}

/** 0 .. length - 1 in a random order (Fisher and Yates). */
function shuffled(values: readonly unknown[], dice: Prng): number[] {
  const order = values.map((_, index) => index);
  for (let last = order.length - 1; last > 0; last--) {
    const other = dice.below(last + 1);
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

/** The first `count` faults from `from` on that it `accepts`; fewer where the table has too few of them. */
export function drawFaults(
  kinds: readonly Kind[],
  options: { seed: number; from: number; count: number; accepts: (fault: Fault) => boolean },
): Fault[] {
  const { seed, from, count, accepts } = options;
  const faults: Fault[] = [];
  const end = from + kinds.length * (count + ROUNDS_WITHOUT_ONE);
  for (let index = from; faults.length < count && index < end; index++) {
    const fault = drawFault(kinds, seed, index);
    if (accepts(fault)) faults.push(fault);
  }
  return faults;
}

export function replayOf({ seed, index }: Fault): string {
  return `npm run faults -- --seed ${seed} --from ${index} --count 1`;
}
