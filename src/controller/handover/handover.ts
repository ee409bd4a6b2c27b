/**
 * The live handover: runs the handover's machine (src/handover) with the stream, both QEMUs and the journal,
 * measures it, and ends in one running VM or in doubt. The destination never starts by itself: prepare.ts
 * sends it `stop` before it loads. Not responsible for the order of things, which is the machine's.
 */

import { errorMessage, GodwitError, sleep, systemClock } from '../../base/index.ts';
import type { SourceGateway } from '../../gateway/index.ts';
import {
  type Acts,
  beginHandover,
  beginUndo,
  carryOut,
  type HandoverState,
  type Known,
  type Loss,
  type Outcome,
  type RecordedStep,
} from '../../handover/index.ts';
import type { Machine } from '../../machines/index.ts';
import type { PreviousSettings, QmpClient } from '../../qmp/index.ts';
import {
  deadlineMsOf,
  endActs,
  isRefusal,
  type Journal,
  type LeftDestination,
} from '../../recovery/index.ts';
import type { MigrateStep } from '../steps.ts';
import { DestinationWatch } from './destination-watch.ts';
import { asGodwitError } from './failures.ts';
import { SILENCE_MS_MIN } from './link-watch.ts';
import { streamActs } from './stream-acts.ts';

/** Both ends and what is known of them, from before the first change to the end. */
export interface EndingOptions {
  /** The same QEMUs as the clients, found again where a connection breaks. */
  readonly sourceMachine: Machine;
  readonly destinationMachine: Machine;
  readonly journal: Journal;
  readonly settings: () => PreviousSettings | null;
  /** null: the destination is this migration's to end. */
  readonly leaveDestination: () => LeftDestination | null;
  readonly linkTimeoutMs: number;
  readonly downtimeMsMax: () => number;
  /** Nothing more is sent or read: the source QEMU's migration fails. */
  readonly closeStream: () => void;
  readonly onNote: (text: string) => void;
}

export interface HandoverOptions extends EndingOptions {
  readonly source: QmpClient;
  readonly destination: QmpClient;
  readonly gateway: SourceGateway;
  readonly guestWasRunning: boolean;
  readonly sourceAfter: 'keep' | 'quit';
  /** When the source's last STOP event came; null while it runs. */
  readonly stoppedAtMs: () => number | null;
  /** A third party continued the source since; null: not seen. */
  readonly sourceTouched: () => string | null;
  /**
   * Resolves when the operator cancels, a gateway or a QEMU fails, or the guest ends; heeded until COMMIT.
   */
  readonly lost: Promise<Loss>;
  readonly onStep: (step: MigrateStep) => void;
  /**
   * Turns an act's error into the one that is reported; asked while the destination may still give a reason.
   */
  readonly explain: (error: GodwitError) => Promise<GodwitError>;
}

export interface HandoverTimes {
  readonly endMs: number;
  /** null for a guest that was paused. */
  readonly downtimeMs: number | null;
  /** Milliseconds since the stop. */
  readonly steps: Readonly<Record<string, number>>;
}

export interface HandoverEnd {
  readonly outcome: Outcome;
  /** null when the VM did not arrive. */
  readonly times: HandoverTimes | null;
  /** The first act that failed; null: none did, or the operator cancelled. */
  readonly error: GodwitError | null;
}

/** Never rejects: see HandoverEnd. */
export async function handOver(options: HandoverOptions): Promise<HandoverEnd> {
  const { guestWasRunning, sourceAfter } = options;
  const timing = new Timing(options);
  const live = liveActs(options);
  const stream = streamActs(options);
  const acts: Acts = {
    ...live.acts,
    ...stream,
    drain: explained(stream.drain, options),
    prove: explained(stream.prove, options),
    record: async (effect, signal) => {
      await live.acts.record(effect, signal);
      const step = STEP_OF_RECORD[effect.step];
      if (step !== null) options.onStep(step);
    },
    'start-destination': explained(async (effect, signal) => {
      const started = live.acts['start-destination'](effect, signal).catch((cause: unknown) => {
        throw notStarted(cause);
      });
      options.onStep('cont-sent');
      await started;
      options.onStep('cont-answered');
    }, options),
  };
  const begin = beginHandover({ guestWasRunning, sourceAfter });
  try {
    const ended = await run(begin, {
      acts,
      ending: options,
      lost: options.lost,
      onState: (state) => timing.see(state),
    });
    return { ...ended, times: ended.outcome.outcome === 'completed' ? timing.times() : null };
  } finally {
    timing.close();
    live.close();
  }
}

/** Ends a migration outside of its handover, by what is known of it. Never rejects. */
export async function undo(known: Known, why: string, options: EndingOptions): Promise<Outcome> {
  const absent = () => Promise.reject(new Error('there is no stream any more'));
  const { acts } = endingActs(options, () => null);
  const streamless = { hurry: absent, drain: absent, prove: absent, 'release-source': absent };
  return (await run(beginUndo(known, why), { acts: { ...acts, ...streamless }, ending: options, lost: null }))
    .outcome;
}

type VoidAct<Effect> = (effect: Effect, signal: AbortSignal) => Promise<void>;

function explained<Effect>(act: VoidAct<Effect>, { explain }: HandoverOptions): VoidAct<Effect> {
  return async (effect, signal) => {
    try {
      await act(effect, signal);
    } catch (error) {
      throw await explain(asGodwitError(error));
    }
  };
}

function notStarted(cause: unknown): GodwitError {
  return new GodwitError(
    'DESTINATION_NOT_STARTED',
    `the destination QEMU loaded the VM but does not start it: ${errorMessage(cause)}`,
    { cause, hint: 'the usual reason is a disk image that another process has locked' },
  );
}

const STEP_OF_RECORD: Readonly<Record<RecordedStep, MigrateStep | null>> = {
  stop: 'stopping',
  prepared: 'prepared',
  commit: 'commit',
  running: 'running',
  continue: null,
};

/**
 * A destination that was left behind never ran. It is asked to end for this long, in case it answers again.
 */
const LATE_END_MS_MAX = 60_000;

interface RunOptions {
  readonly acts: Acts;
  readonly ending: EndingOptions;
  readonly lost: Promise<Loss> | null;
  readonly onState?: (state: HandoverState) => void;
}

async function run(
  begin: HandoverState,
  { acts, ending, lost, onState }: RunOptions,
): Promise<{ outcome: Outcome; error: GodwitError | null }> {
  let error: GodwitError | null = null;
  const state = await carryOut(begin, {
    acts,
    isRefusal,
    guestEndOf: (cause) => {
      error ??= asGodwitError(cause);
      if (error.code !== 'GUEST_ENDED') return null;
      void ending.journal.tryRecord({ step: 'guest-ended', text: error.message });
      return error.message;
    },
    deadlineMsOf: (effect) => deadlineMsOf(effect, ending.linkTimeoutMs),
    wait: (ms, signal) => sleep(ms, signal).catch(() => new Promise<never>(() => undefined)),
    lost,
    onState: (now) => {
      if (now.phase === 'asking') ending.closeStream();
      onState?.(now);
    },
  });
  // In doubt it may be the only copy: then nobody but the operator ends it.
  if (state.leftBehind === null || state.outcome.outcome !== 'aborted')
    return { outcome: state.outcome, error };
  ending.onNote(state.leftBehind);
  const ended = await ending.destinationMachine.end(Math.min(ending.linkTimeoutMs, LATE_END_MS_MAX));
  const told = ended === 'gone' ? 'the destination answered later and was ended' : state.leftBehind;
  return { outcome: { ...state.outcome, text: state.outcome.text.replace(state.leftBehind, told) }, error };
}

/** How long an end that was silent once is waited for: the VM stands still. */
const SILENT_AGAIN_MS = 300;

function endingActs(options: EndingOptions, touched: () => string | null) {
  const silent = { source: false, destination: false };
  const acts = endActs({
    source: options.sourceMachine,
    destination: options.destinationMachine,
    linkTimeoutMs: options.linkTimeoutMs,
    journal: options.journal,
    settings: options.settings,
    leaveDestination: options.leaveDestination,
    wait: (ms) => sleep(ms),
    touched,
    silenceMs: (end) => (silent[end] ? SILENT_AGAIN_MS : Math.max(SILENCE_MS_MIN, options.downtimeMsMax())),
  });
  const look: Acts['look'] = async (effect, signal) => {
    const ends = await acts.look(effect, signal);
    silent.source = ends.source === 'silent';
    silent.destination = ends.destination === 'silent';
    return ends;
  };
  return { acts: { ...acts, look } };
}

function liveActs(options: HandoverOptions) {
  const watch = new DestinationWatch(options.destination);
  const { acts } = endingActs(options, () => options.sourceTouched() ?? watch.touched);
  const start: Acts['start-destination'] = (effect, signal) =>
    watch.during(() => acts['start-destination'](effect, signal), isRefusal);
  return { acts: { ...acts, 'start-destination': start }, close: () => watch.close() };
}

/** When each step was over, counted from the stop. */
class Timing {
  readonly #options: HandoverOptions;
  readonly #steps: Record<string, number> = {};
  readonly #ignore: () => void;
  readonly #startMs = systemClock.nowMs();
  #stoppedMs: number | null = null;
  #resumedMs: number | null = null;

  constructor(options: HandoverOptions) {
    this.#options = options;
    this.#ignore = options.destination.on(({ name, receivedAtMs }) => {
      if (name === 'RESUME') this.#resumedMs ??= receivedAtMs;
    });
  }

  see({ phase }: HandoverState): void {
    if (phase === 'draining') {
      this.#stoppedMs = this.#options.stoppedAtMs() ?? systemClock.nowMs();
      this.#steps['stopAskedMs'] = rounded(this.#stoppedMs - this.#startMs);
    }
    if (phase === 'proving') this.#note('drainedMs');
    if (phase === 'releasing') this.#note('loadedMs');
    if (phase === 'recording-prepared') this.#note('releasedMs');
    if (phase === 'starting') this.#note('commitMs');
  }

  #note(name: string): void {
    this.#steps[name] = rounded(systemClock.nowMs() - (this.#stoppedMs ?? this.#startMs));
  }

  times(): HandoverTimes {
    const endMs = this.#resumedMs ?? systemClock.nowMs();
    const downtimeMs = this.#options.guestWasRunning ? endMs - (this.#stoppedMs ?? endMs) : null;
    return { endMs, downtimeMs, steps: this.#steps };
  }

  close(): void {
    this.#ignore();
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
