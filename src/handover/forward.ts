/**
 * The way forward: stop, drain, prove, release, look, COMMIT, start, confirm. null: the fact belongs
 * to the way back.
 */

import { end, endsOf, go, inDoubt, LOOK, PATIENT_LOOK, withKnown } from './moves.ts';
import type { Ends, Fact, HandoverState, RecordedStep, Step } from './types.ts';
import { beginWayBack } from './undo.ts';

/** A start whose answer was lost is sent again: `cont` to a VM that runs changes nothing. */
const STARTS_MAX = 3;

const record = (step: RecordedStep) => ({ do: 'record', step }) as const;

export function forward(state: HandoverState, fact: Fact): Step | null {
  if (fact.fact === 'failed') return failed(state, fact.why, fact.refused ?? false);
  const ends = endsOf(fact);
  switch (state.phase) {
    case 'ready':
      return begin(state);
    case 'hurrying':
      return go(state, 'recording-stop', record('stop'));
    case 'recording-stop':
      return go(withKnown(state, { stopIsOurs: true }), 'stopping', { do: 'stop-source' });
    case 'stopping':
      return go(state, 'draining', { do: 'drain' });
    case 'draining':
      return go(state, 'proving', { do: 'prove' });
    case 'proving':
      return go(withKnown(state, { prepared: true }), 'recording-prepared', record('prepared'));
    case 'recording-prepared':
      return go(state, 'releasing', { do: 'release-source' });
    case 'releasing':
      return go(state, 'looking', LOOK);
    case 'looking':
      return ends === null ? null : commitOrNot(state, ends);
    case 'recording-commit':
      return start(withKnown(state, { commit: 'yes' }));
    case 'settling':
      return ends === null ? null : settle(state, ends);
    case 'starting':
      return go(state, 'confirming', LOOK);
    case 'confirming':
      return ends === null ? null : confirm(state, ends);
    case 'stopping-again':
      return inDoubt(
        state,
        `${DOUBLED}. The source was stopped again and the destination runs; check its disks, and never continue the source`,
      );
    case 'recording-running':
      return state.known.sourceAfter === 'quit'
        ? go(state, 'ending-source', { do: 'end-source' })
        : arrived(state);
    case 'ending-source':
      return arrived(state);
    default:
      return null;
  }
}

const DOUBLED = 'another client continued the source after it was released: two copies ran for a moment';

function begin(state: HandoverState): Step {
  const { commit, postCopy, prepared, guestWasRunning } = state.known;
  if (state.live && state.why === null) {
    // A paused guest writes nothing, and there is nothing of ours to continue.
    return guestWasRunning ? go(state, 'hurrying', { do: 'hurry' }) : go(state, 'draining', { do: 'drain' });
  }
  if (commit !== 'no' || (postCopy && !prepared)) return go(state, 'settling', PATIENT_LOOK);
  return beginWayBack(state);
}

/** What failed before COMMIT is undone; what failed after it goes forward, or is in doubt. */
function failed(state: HandoverState, why: string, refused: boolean): Step | null {
  switch (state.phase) {
    case 'hurrying':
    case 'recording-stop':
    case 'stopping':
    case 'draining':
    case 'proving':
    case 'recording-prepared':
    case 'releasing':
    case 'looking':
      return beginWayBack({ ...state, why });
    case 'recording-commit':
      // Its line may be on disk all the same; nothing has acted on it.
      return beginWayBack({ ...withKnown(state, { commit: 'perhaps' }), why });
    case 'starting':
      if (refused) return go({ ...state, neverRan: why }, 'taking-back', { do: 'take-back' });
      return go(state, 'confirming', PATIENT_LOOK);
    case 'settling':
    case 'confirming':
      return inDoubt(
        state,
        `the destination was not seen to run (${why}); it may run. Do not continue the source`,
      );
    // The VM runs over there whatever the journal says, and a source that cannot be ended changes nothing.
    case 'recording-running':
    case 'ending-source':
      return arrived(state);
    case 'stopping-again':
      return inDoubt(state, `${DOUBLED}, and the source could not be stopped again (${why}). End the source`);
    default:
      return null;
  }
}

/** The last look. Both ends must be exactly what this migration made of them. */
function commitOrNot(state: HandoverState, ends: Ends): Step {
  const refuse = (why: string) => beginWayBack({ ...state, why });
  if (ends.touched !== null) return refuse(ends.touched);
  if (ends.destination !== 'loaded')
    return refuse(`the destination is ${ends.destinationText} instead of loaded`);
  // A source that died after the proof leaves the destination as the only copy, and it is whole.
  if (ends.source !== 'released' && ends.source !== 'gone') {
    return refuse(`the source is ${ends.sourceText} instead of released`);
  }
  return go(state, 'recording-commit', record('commit'));
}

/** Only a guest that ran is started. */
function start(state: HandoverState): Step {
  if (!state.known.guestWasRunning) return go(state, 'confirming', LOOK);
  const started = { ...state, startMayHaveBeenSent: true, starts: state.starts + 1 };
  return go(started, 'starting', { do: 'start-destination' });
}

/** By the journal: COMMIT may have been acted on, or post-copy may have begun. */
function settle(state: HandoverState, ends: Ends): Step {
  const { postCopy, prepared, commit } = state.known;
  if (!postCopy || prepared) return startOrArrived(state, ends);
  const migration = ends.sourceMigration ?? 'none';
  if (migration === 'completed') return startOrArrived(state, ends);
  const answers = ends.source !== 'gone' && ends.source !== 'silent';
  if (answers && !migration.startsWith('postcopy') && commit === 'no') return beginWayBack(state);
  return inDoubt(
    state,
    `post-copy was under way (source ${ends.sourceText}, its migration "${migration}", destination ${ends.destinationText}): the VM's memory is at both ends. End neither and continue neither; QEMU joins them again with migrate-recover at the destination and migrate with resume at the source`,
  );
}

function startOrArrived(state: HandoverState, ends: Ends): Step {
  if (ends.source === 'running') {
    if (ends.destination === 'gone')
      return end(state, 'aborted', 'the destination is gone; the source VM runs');
    return inDoubt(
      state,
      `the source VM runs although this migration may have committed (the destination is ${ends.destinationText}). Decide which copy lives and end the other`,
    );
  }
  switch (ends.destination) {
    case 'running':
      return go(state, 'recording-running', record('running'));
    case 'loaded':
      return start(state);
    case 'empty':
      return go({ ...state, neverRan: 'it stays "inmigrate"' }, 'taking-back', { do: 'take-back' });
    case 'gone':
      return inDoubt(
        state,
        'the destination QEMU is gone after the commit point, so it may have run and written to its disk. Boot the VM from its disk; do not continue the paused source',
      );
    case 'silent':
      return inDoubt(
        state,
        `the destination does not answer (${ends.destinationText}); it may run. Do not continue the source`,
      );
    case 'other':
      return inDoubt(state, `the destination is ${ends.destinationText}. Do not continue the source`);
  }
}

function confirm(state: HandoverState, ends: Ends): Step {
  const { guestWasRunning } = state.known;
  const arrivedThere = ends.destination === 'running' || (!guestWasRunning && ends.destination === 'loaded');
  if (arrivedThere && ends.source === 'running')
    return go(state, 'stopping-again', { do: 'stop-source-again' });
  if (arrivedThere) return go(state, 'recording-running', record('running'));
  if (ends.destination === 'empty') {
    return go({ ...state, neverRan: 'it accepts "cont" and stays "inmigrate"' }, 'taking-back', {
      do: 'take-back',
    });
  }
  if (ends.destination === 'loaded' && state.starts < STARTS_MAX) return start(state);
  return inDoubt(
    state,
    `the destination was started and is ${ends.destinationText} now. Do not continue the source`,
  );
}

function arrived(state: HandoverState): Step {
  return end(
    state,
    'completed',
    'the VM is at the destination. Never continue the source: it would be a second copy on the same disks',
  );
}
