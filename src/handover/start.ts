/**
 * The two ways in: a controller that hands over what it has run itself, and anybody who ends a
 * migration by its journal.
 */

import type { HandoverState, Known } from './types.ts';

function stateOf(known: Known, live: boolean): HandoverState {
  return {
    phase: 'ready',
    known,
    live,
    startMayHaveBeenSent: !live && known.commit !== 'no',
    starts: 0,
    neverRan: null,
    leftBehind: null,
    touched: null,
    why: null,
    outstanding: null,
    outcome: null,
  };
}

/** The controller decided to stop the VM: forward. */
export function beginHandover(known: Pick<Known, 'guestWasRunning' | 'sourceAfter'>): HandoverState {
  return stateOf(
    {
      ...known,
      ...{ stopIsOurs: false, prepared: false, commit: 'no', continued: false },
      ...{ postCopy: false, guestEnded: null },
    },
    true,
  );
}

/** The controller gives up before, or outside of, the handover: what it knows it knows from memory. */
export function beginUndo(known: Known, why: string): HandoverState {
  return { ...stateOf(known, true), why };
}

/** The guardian, or `godwit resolve`: the journal is all there is. */
export function beginRecovery(known: Known): HandoverState {
  return {
    ...stateOf(known, false),
    why: known.commit === 'no' ? 'the move was undone before its commit point' : null,
  };
}
