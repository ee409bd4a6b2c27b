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
      return go(state, 'releasing', { do: 'release-source' });
    // Until it has let go, a source that QEMU stopped by itself runs on when its stream dies: the copy would
    // be an old one.
    case 'releasing':
      return go(withKnown(state, { prepared: true }), 'recording-prepared', record('prepared'));
    case 'recording-prepared':
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
      if (refused) return refusedStart(state, why);
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

/**
 * An answer proves that its own command changed nothing, not that an earlier one, of which no answer came,
 * did not.
 */
function refusedStart(state: HandoverState, why: string): Step {
  const isOnlyStart = state.live && state.starts === 1;
  const neverRan = { ...state, neverRan: why, startMayHaveBeenSent: !isOnlyStart };
  if (isOnlyStart) return go(neverRan, 'taking-back', { do: 'take-back' });
  return inDoubt(
    state,
    `the destination refused to start (${why}), and an earlier start may have reached it. Do not continue the source; once the reason is gone, run "godwit resolve" again`,
  );
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
  // RUN is let go only once a failure leaves the source's migration in post-copy and its VM stopped.
  const neverRan = migration === 'failed' && ends.destination !== 'running' && ends.destination !== 'silent';
  const hasNotBegun = commit === 'no' ? !migration.startsWith('postcopy') : neverRan;
  if (answers && hasNotBegun) return beginWayBack(state);
  const todo =
    ends.destination === 'gone' && answers
      ? 'what the destination had is gone, and QEMU lets nobody continue the source: save its memory with dump-guest-memory if you need it, end it, and boot the VM from its disk'
      : "the VM's memory is at both ends. End neither and continue neither; QEMU joins them again with migrate-recover at the destination and migrate with resume at the source";
  return inDoubt(
    state,
    `post-copy was under way (source ${ends.sourceText}, its migration "${migration}", destination ${ends.destinationText}): ${todo}`,
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
  const old = oldCopy(state, ends);
  switch (ends.destination) {
    case 'running':
      return seenThere(state, ends);
    case 'loaded':
      return old === null ? start(state) : inDoubt(state, old);
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

/** Why the copy at the destination may not be the newest one, or not whole; null: it is. */
function oldCopy({ touched, known }: HandoverState, ends: Ends): string | null {
  const why =
    touched ??
    (known.continued ? 'the source was about to run on' : null) ??
    (ends.source === 'released' || ends.source === 'gone' ? null : `the source is ${ends.sourceText}`);
  if (why === null) return null;
  return `the destination was not started: ${why}, so its copy may be an old one. Decide which copy lives and end the other; once the source is surely ended, "godwit resolve --fenced source" starts the destination`;
}

function confirm(state: HandoverState, ends: Ends): Step {
  const { guestWasRunning } = state.known;
  const arrivedThere = ends.destination === 'running' || (!guestWasRunning && ends.destination === 'loaded');
  if (arrivedThere && ends.source === 'running')
    return go(state, 'stopping-again', { do: 'stop-source-again' });
  if (arrivedThere) return seenThere(state, ends);
  if (ends.destination === 'empty') {
    return go({ ...state, neverRan: 'it accepts "cont" and stays "inmigrate"' }, 'taking-back', {
      do: 'take-back',
    });
  }
  const old = oldCopy(state, ends);
  if (ends.destination === 'loaded' && old !== null) return inDoubt(state, old);
  if (ends.destination === 'loaded' && state.starts < STARTS_MAX) return start(state);
  return inDoubt(
    state,
    `the destination was started and is ${ends.destinationText} now. Do not continue the source`,
  );
}

/** The VM is seen at the destination. */
function seenThere(state: HandoverState, ends: Ends): Step {
  if (ends.source !== 'silent' || state.touched === null)
    return go(state, 'recording-running', record('running'));
  return inDoubt(
    state,
    `the destination runs, the source does not answer (${ends.sourceText}), and ${state.touched}: it may run too. End the source`,
  );
}

function arrived(state: HandoverState): Step {
  return end(
    state,
    'completed',
    'the VM is at the destination. Never continue the source: it would be a second copy on the same disks',
  );
}
