/** How a state becomes the next: the few moves that both ways use. */

import type { Effect, Ends, Fact, HandoverState, Outcome, Phase, Step } from './types.ts';

export const LOOK: Effect = { do: 'look', patient: false };
export const PATIENT_LOOK: Effect = { do: 'look', patient: true };

export function go(state: HandoverState, phase: Phase, effect: Effect): Step {
  return { state: { ...state, phase, outstanding: effect }, effect, halt: false };
}

/** The state does not change and nothing is asked for. */
export function stay(state: HandoverState): Step {
  return { state, effect: null, halt: false };
}

export function end(state: HandoverState, outcome: Outcome['outcome'], text: string): Step {
  const ended: HandoverState = { ...state, phase: 'ended', outstanding: null, outcome: { outcome, text } };
  return { state: ended, effect: null, halt: false };
}

export function inDoubt(state: HandoverState, text: string): Step {
  return end(state, 'in-doubt', text);
}

export function withKnown(state: HandoverState, changes: Partial<HandoverState['known']>): HandoverState {
  return { ...state, known: { ...state.known, ...changes } };
}

/** What a look found; null for an effect that found nothing. */
export function endsOf(fact: Fact): Ends | null {
  return fact.fact === 'done' ? (fact.ends ?? null) : null;
}
