/**
 * The vocabulary of the handover: what is known, what is asked of the two QEMUs, what comes back
 * (docs/format/handover.md). Types only. `source` and `destination` are the two ends of one migration; an end
 * is whoever controls the VM there.
 */

/**
 * What one look at the source's end found. `released`: its migration has completed. `guest-made`: `cont`
 * cannot lead out of it.
 */
export type SourceSeen = 'running' | 'stopped' | 'released' | 'guest-made' | 'gone' | 'silent';
/**
 * `empty`: still waiting for, or loading, the VM. `loaded`: waits to be started. `other`: in a
 * state that proves nothing.
 */
export type DestinationSeen = 'empty' | 'loaded' | 'running' | 'gone' | 'silent' | 'other';

/** One look at both ends. */
export interface Ends {
  readonly source: SourceSeen;
  readonly destination: DestinationSeen;
  /** In QEMU's or the system's words, for the operator. */
  readonly sourceText: string;
  readonly destinationText: string;
  /** What a third party did since the stop, as far as events told; null: nothing was seen. */
  readonly touched: string | null;
  /** The source's migration; only looked at where post-copy had been asked for. */
  readonly sourceMigration: string | null;
}

/**
 * `record`: the step is on disk when it is done. Only `start-destination` and `continue-source` make a VM
 * run; only `stop-source`, `stop-source-again` and `take-back` stop one.
 */
export type Effect =
  | { readonly do: 'hurry' }
  | { readonly do: 'record'; readonly step: RecordedStep }
  | { readonly do: 'stop-source' }
  | { readonly do: 'drain' }
  | { readonly do: 'prove' }
  | { readonly do: 'release-source' }
  /**
   * `patient`: until the destination has ended its load, and for as long as a broken link may
   * take to come back.
   */
  | { readonly do: 'look'; readonly patient: boolean }
  | { readonly do: 'start-destination' }
  | { readonly do: 'end-source' }
  /** `stop` to a destination whose start was refused: a `cont` that may still take effect is taken back. */
  | { readonly do: 'take-back' }
  | { readonly do: 'end-destination' }
  | { readonly do: 'cancel-migration' }
  | { readonly do: 'restore-settings' }
  | { readonly do: 'continue-source' }
  | { readonly do: 'stop-source-again' };

/** `continue`: the source is about to run on although its copy at the destination may still be there. */
export type RecordedStep = 'stop' | 'prepared' | 'commit' | 'running' | 'continue';

/**
 * `begin` starts the machine. `done` and `failed` answer the one outstanding effect; a passed deadline
 * is a failure. `lost`: the operator cancels, a gateway or a QEMU fails, the guest ends: heeded until
 * COMMIT is being recorded.
 */
export type Fact =
  | { readonly fact: 'begin' }
  | { readonly fact: 'done'; readonly ends?: Ends; readonly ended?: EndedHow }
  /**
   * `refused`: the end answered with an error, which proves that the effect did not happen. Without it
   * the answer is lost.
   */
  | {
      readonly fact: 'failed';
      readonly why: string;
      readonly refused?: boolean;
      readonly guestEnded?: string | null;
    }
  | ({ readonly fact: 'lost' } & Loss);

/**
 * `guestEnded`: the guest, or whoever else has a hand on its QEMU, ended or stopped the VM: it is
 * left as it is.
 */
export interface Loss {
  readonly why: string;
  readonly guestEnded?: string | null;
}

/** How `end-destination` went: only `gone` proves that no copy is left there. */
export type EndedHow = 'gone' | 'silent' | 'stays';

/** A step on disk: surely not, perhaps (its line is torn, or its write failed), surely. */
export type Recorded = 'no' | 'perhaps' | 'yes';

/** What whoever ends the migration knows of it: from memory, or folded from its journal. */
export interface Known {
  /** Only a guest that ran is started again, on whichever side. */
  readonly guestWasRunning: boolean;
  readonly sourceAfter: 'keep' | 'quit';
  /**
   * The VM's stop was asked for, or taken on, by this migration. Nothing else gives the right
   * to continue the source.
   */
  readonly stopIsOurs: boolean;
  /**
   * The destination has proven its copy, and the source has let go of its stream: it cannot run on by itself.
   */
  readonly prepared: boolean;
  readonly commit: Recorded;
  /** The source may have run on: a copy at the destination is an old one, and nobody starts it. */
  readonly continued: boolean;
  readonly postCopy: boolean;
  /** The guest ended by itself: nothing is left to be started. */
  readonly guestEnded: string | null;
}

export interface Outcome {
  readonly outcome: 'completed' | 'aborted' | 'in-doubt';
  /** For the operator: what was found, what was done, which end to start. */
  readonly text: string;
}

export type Phase =
  | 'ready'
  | 'hurrying'
  | 'recording-stop'
  | 'stopping'
  | 'draining'
  | 'proving'
  | 'recording-prepared'
  | 'releasing'
  | 'looking'
  | 'recording-commit'
  | 'starting'
  | 'confirming'
  | 'recording-running'
  | 'ending-source'
  | 'stopping-again'
  | 'halting'
  | 'asking'
  | 'settling'
  | 'taking-back'
  | 'checking-untouched'
  | 'ending-destination'
  | 'cancelling'
  | 'restoring'
  | 'asking-source'
  | 'recording-continue'
  | 'continuing'
  | 'confirming-source'
  | 'ended';

export interface HandoverState {
  readonly phase: Phase;
  readonly known: Known;
  /** Whoever runs this machine has run the migration itself, and so knows what was never sent. */
  readonly live: boolean;
  /** `start-destination` was asked for, or may have been by whoever wrote COMMIT. */
  readonly startMayHaveBeenSent: boolean;
  /** How often it was asked for. */
  readonly starts: number;
  /** The VM had been loaded completely when `start-destination` failed in a way that proves it never ran. */
  readonly neverRan: string | null;
  /** A destination that was left behind because it could not be reached. */
  readonly leftBehind: string | null;
  /** What a third party was seen to do, by any look; null: nothing. */
  readonly touched: string | null;
  /** Why the migration is being undone; null while it goes forward. */
  readonly why: string | null;
  readonly outstanding: Effect | null;
  readonly outcome: Outcome | null;
}

/**
 * `effect`: carry it out and answer it. `halt`: give up the outstanding one, wait until it has
 * stopped, then answer it.
 */
export interface Step {
  readonly state: HandoverState;
  readonly effect: Effect | null;
  readonly halt: boolean;
}
