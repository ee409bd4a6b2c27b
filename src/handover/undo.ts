/**
 * The way back: the destination is ended and seen gone, the source's migration is cancelled, its settings are
 * put back, and its VM continues, if it was this migration that stopped it. null: the fact belongs to no
 * phase of the way back.
 */

import { end, endsOf, go, inDoubt, LOOK, withKnown } from './moves.ts';
import type { Ends, Fact, HandoverState, Step } from './types.ts';

export function beginWayBack(state: HandoverState): Step {
  return go(state, 'asking', LOOK);
}

export function wayBack(state: HandoverState, fact: Fact): Step | null {
  const ends = endsOf(fact);
  const failure = fact.fact === 'failed' ? fact.why : null;
  switch (state.phase) {
    // However the halted step ended: what it may have done is asked, not assumed.
    case 'halting': {
      const isPrepared = fact.fact === 'done' && state.outstanding?.do === 'release-source';
      return beginWayBack(isPrepared ? withKnown(state, { prepared: true }) : state);
    }
    case 'asking':
      return ends === null ? inDoubt(state, asked(state, failure)) : judge(state, ends);
    case 'taking-back':
      return failure === null
        ? go(state, 'checking-untouched', LOOK)
        : inDoubt(state, refused(state, failure));
    case 'checking-untouched':
      return ends === null ? inDoubt(state, refused(state, failure)) : untouched(state, ends);
    case 'ending-destination':
      return destinationEnded(state, fact);
    // A migration that cannot be cancelled shows in the look that follows.
    case 'cancelling':
      return go(state, 'restoring', { do: 'restore-settings' });
    // A setting that cannot be put back must not keep the VM stopped.
    case 'restoring':
      return go(state, 'asking-source', LOOK);
    case 'asking-source':
      return ends === null ? inDoubt(state, asked(state, failure)) : continueOrLeave(state, ends);
    case 'recording-continue':
      return failure === null
        ? go(withKnown(state, { continued: true }), 'continuing', { do: 'continue-source' })
        : notContinued(state, failure);
    case 'continuing':
      return failure === null ? go(state, 'confirming-source', LOOK) : notContinued(state, failure);
    case 'confirming-source':
      if (ends?.destination === 'running') return doubled(state);
      if (ends?.source === 'running') return end(state, 'aborted', `${reason(state)}; the source VM runs`);
      if (ends?.source === 'gone') return endedOnceContinued(state);
      return notContinued(state, ends?.sourceText ?? failure ?? 'silent');
    default:
      return null;
  }
}

function judge(state: HandoverState, ends: Ends): Step {
  if (ends.destination === 'running') {
    return inDoubt(
      state,
      `the destination VM runs although godwit did not start it; the source (${ends.sourceText}) was left as it is. Decide which copy lives and end the other`,
    );
  }
  if (ends.source === 'gone' && ends.destination !== 'gone' && mayBeWhole(state))
    return keepOnlyCopy(state, ends);
  if (ends.source === 'silent' && ends.destination === 'loaded' && mayBeWhole(state)) {
    return inDoubt(
      state,
      `the source does not answer (${ends.sourceText}) and the destination has loaded the whole VM: both were left as they are. Once the source is surely ended (fencing, its host's console), run "godwit resolve --fenced source"`,
    );
  }
  return go(state, 'ending-destination', { do: 'end-destination' });
}

/** A VM that still runs at its source is nowhere else. */
function mayBeWhole({ known }: HandoverState): boolean {
  return (known.stopIsOurs || !known.guestWasRunning) && known.guestEnded === null;
}

/** The source is gone: what the destination holds is ended by nobody but the operator. */
function keepOnlyCopy(state: HandoverState, ends: Ends): Step {
  const { known, touched } = state;
  if (ends.destination !== 'loaded') {
    return inDoubt(
      state,
      `the source QEMU is gone, and the destination (${ends.destinationText}) may hold the only copy: it was left as it is. If it has loaded the VM, continue it; else end it and boot the VM from its disk`,
    );
  }
  if (known.prepared && !known.continued && touched === null)
    return go(state, 'recording-commit', { do: 'record', step: 'commit' });
  return inDoubt(
    state,
    `the source QEMU is gone and the destination holds the only copy, which may be an old one (${touched ?? 'the source may have run on'}). Continue the destination if that copy will do, else end it and boot the VM from its disk`,
  );
}

function untouched(state: HandoverState, ends: Ends): Step {
  const { destination } = ends;
  // Gone after the only start that was ever sent had been refused: libvirt ends what it cannot start.
  const refusedAndGone = destination === 'gone' && !state.startMayHaveBeenSent;
  const never = destination === 'loaded' || destination === 'empty' || refusedAndGone;
  if (!never || ends.touched !== null) return inDoubt(state, refused(state, ends.destinationText));
  if (ends.source === 'gone' && destination !== 'gone') {
    return inDoubt(
      state,
      `the destination refused to start (${state.neverRan}), the source QEMU is gone, and the destination (${ends.destinationText}) holds the only copy: it was left as it is. Once the reason is gone, continue the destination`,
    );
  }
  return go({ ...state, startMayHaveBeenSent: false }, 'ending-destination', { do: 'end-destination' });
}

function destinationEnded(state: HandoverState, fact: Fact): Step {
  const ended = fact.fact === 'done' ? (fact.ended ?? 'stays') : 'stays';
  if (ended === 'gone') return go(state, 'cancelling', { do: 'cancel-migration' });
  if (ended === 'silent' && mayBeLeftBehind(state)) {
    const leftBehind =
      'the destination QEMU cannot be reached; it never ran: end it there, and never continue it';
    return go({ ...state, leftBehind }, 'cancelling', { do: 'cancel-migration' });
  }
  const what = ended === 'silent' ? 'cannot be reached' : 'does not end';
  return inDoubt(
    state,
    `${reason(state)}; the destination QEMU ${what}, so the source was left as it is. Once it is surely ended, run "godwit resolve --fenced destination"`,
  );
}

/**
 * Nobody starts a destination but whoever was told to commit. Whoever ran the migration knows that no start
 * was sent; from a journal that is only sure while it does not say "prepared", the line before COMMIT.
 */
function mayBeLeftBehind(state: HandoverState): boolean {
  if (state.touched !== null || state.known.commit !== 'no') return false;
  return !state.startMayHaveBeenSent && state.neverRan === null && (state.live || !state.known.prepared);
}

function continueOrLeave(state: HandoverState, ends: Ends): Step {
  const { known } = state;
  const why = reason(state);
  if (ends.destination === 'running') {
    return inDoubt(
      state,
      `${why}; the destination VM runs although godwit did not start it. The source was left as it is`,
    );
  }
  if (state.leftBehind !== null && state.touched !== null) {
    return inDoubt(
      state,
      `${why}; but ${state.touched}: it may run. The source was left as it is. Once the destination is surely ended, run "godwit resolve --fenced destination"`,
    );
  }
  switch (ends.source) {
    case 'running':
      return end(state, 'aborted', `${why}; the source VM runs`);
    case 'guest-made':
      return end(state, 'aborted', `${why}; the source VM is as its guest left it (${ends.sourceText})`);
    case 'silent':
      return inDoubt(
        state,
        mayBeOnlyCopy(state, ends) ?? `${why}; but the source does not answer (${ends.sourceText})`,
      );
    case 'gone':
      return known.guestEnded === null
        ? inDoubt(
            state,
            mayBeOnlyCopy(state, ends) ??
              `${why}; but the source QEMU is gone too: no copy is left. Boot the VM from its disk`,
          )
        : end(state, 'aborted', `${known.guestEnded}; its QEMU has ended with it`);
    case 'stopped':
    case 'released':
      if (!known.guestWasRunning) return end(state, 'aborted', `${why}; the source VM is paused, as it was`);
      if (known.guestEnded !== null || !known.stopIsOurs) {
        return end(
          state,
          'aborted',
          `${why}; the source VM is ${ends.sourceText}, and not by this migration: it was left so`,
        );
      }
      // Whoever finds the copy that is left behind must know that it is an old one.
      return state.leftBehind === null
        ? go(state, 'continuing', { do: 'continue-source' })
        : go(state, 'recording-continue', { do: 'record', step: 'continue' });
  }
}

/** What to do with a destination that was left behind while the source went away; null: it is gone too. */
function mayBeOnlyCopy(state: HandoverState, ends: Ends): string | null {
  if (state.leftBehind === null || ends.destination === 'gone') return null;
  const source =
    ends.source === 'gone' ? 'the source QEMU is gone' : `the source does not answer (${ends.sourceText})`;
  const first = ends.source === 'gone' ? '' : 'Once the source has surely ended: ';
  return `${reason({ ...state, leftBehind: null })}; ${source}, and the destination (${ends.destinationText}) could not be ended: it may hold the only copy, so end neither. ${first}when the destination answers, "godwit resolve --fenced source" starts it if its copy is whole; if it is not, or that host is lost, boot the VM from its disk`;
}

function doubled(state: HandoverState): Step {
  return inDoubt(
    state,
    `${reason(state)}; the destination VM runs although godwit did not start it, and the source was continued: two copies may run. Decide which one lives and end the other`,
  );
}

function endedOnceContinued(state: HandoverState): Step {
  return inDoubt(
    state,
    `${reason(state)}; the source QEMU ended as it was continued. Boot the VM from its disk: a copy at the destination is an old one`,
  );
}

function notContinued(state: HandoverState, why: string): Step {
  return inDoubt(
    state,
    `${reason(state)}; the source did not start again (${why}). Look at it with query-status and "cont" it; the destination has not run`,
  );
}

function refused({ neverRan }: HandoverState, seen: string | null): string {
  return `the destination refused to start (${neverRan}) and its state is unknown (${seen ?? 'no answer'}). Do not continue the source`;
}

function asked(state: HandoverState, failure: string | null): string {
  return `${reason(state)}; the two ends could not be asked (${failure ?? 'no answer'}). Run "godwit resolve" again`;
}

function reason({ why, neverRan, leftBehind, known }: HandoverState): string {
  const first = known.guestEnded ?? (neverRan === null ? why : `the destination never ran (${neverRan})`);
  return [
    first ?? 'the move was undone before its commit point',
    ...(leftBehind === null ? [] : [leftBehind]),
  ].join('; ');
}
