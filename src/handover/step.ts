/**
 * The handover as a pure state machine: (state, fact) to (state, at most one effect). Controller, guardian,
 * `godwit resolve` and the model run this one; docs/format/handover.md has its table. It never talks to a
 * QEMU and never waits.
 */

import { assert } from '../base/index.ts';
import { forward } from './forward.ts';
import { endsOf, inDoubt, stay, withKnown } from './moves.ts';
import type { Fact, HandoverState, Phase, Step } from './types.ts';
import { wayBack } from './undo.ts';

/**
 * In these a cancel or a failure is heeded; in all others COMMIT may be on disk, or the migration
 * is already being ended.
 */
const HEEDS_LOSS: ReadonlySet<Phase> = new Set<Phase>([
  'hurrying',
  'recording-stop',
  'stopping',
  'draining',
  'proving',
  'recording-prepared',
  'releasing',
  'looking',
]);

export function step(before: HandoverState, fact: Fact): Step {
  const guestEnded = 'guestEnded' in fact ? (fact.guestEnded ?? null) : null;
  const told = guestEnded === null ? before : withKnown(before, { guestEnded });
  const touched = told.touched ?? endsOf(fact)?.touched ?? null;
  const state = touched === told.touched ? told : { ...told, touched };
  if (fact.fact === 'lost') return lose(state, fact.why);
  if (state.phase === 'ended') return stay(state);
  assert((fact.fact === 'begin') === (state.phase === 'ready'), 'a handover begins once');
  const next = forward(state, fact) ?? wayBack(state, fact);
  assert(next, `every fact has an answer in phase ${state.phase}`);
  return next;
}

/** An act that does not stop may still do what it does: whatever is done beside it would be a guess. */
export function abandon(state: HandoverState): Step {
  const what = state.outstanding?.do ?? 'the step';
  return inDoubt(
    state,
    `${what} neither ends nor stops, and may still happen: both ends were left as they are. End the process that hangs, then run "godwit resolve"`,
  );
}

/**
 * The outstanding step is stopped and waited for before anything is undone: both would use the same QEMUs.
 */
function lose(state: HandoverState, why: string): Step {
  if (state.phase === 'ready') return stay({ ...state, why: state.why ?? why });
  if (!HEEDS_LOSS.has(state.phase)) return stay(state);
  return { state: { ...state, phase: 'halting', why }, effect: null, halt: true };
}
