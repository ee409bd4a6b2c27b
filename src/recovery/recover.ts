/**
 * Ends a migration by its machine (src/handover) on the two ends that there are: exactly one running VM,
 * or the operator is told which question is open. Used by the controller, the guardian and `godwit
 * resolve`. It never guesses.
 */

import { errorCode, sleep } from '../base/index.ts';
import {
  type Acts,
  beginRecovery,
  carryOut,
  type Effect,
  type HandoverState,
  type Outcome,
} from '../handover/index.ts';
import { look, type Machine } from '../machines/index.ts';
import type { PreviousSettings } from '../qmp/index.ts';
import { hasEnded, type JournalState, knownOf } from './entries.ts';
import type { Journal } from './journal.ts';

/** A destination that another has prepared, or nobody. */
export interface LeftDestination {
  /** null: nothing was changed. */
  readonly settings: PreviousSettings | null;
}

export interface EndActsOptions {
  readonly source: Machine;
  readonly destination: Machine;
  /** How long the way to the destination may be broken. */
  readonly linkTimeoutMs: number;
  /** null: nothing can be written any more; what is done does not wait for that. */
  readonly journal: Journal | null;
  readonly settings: () => PreviousSettings | null;
  /** null: this migration has prepared the destination. Else it is left as it was, and these are put back. */
  readonly leaveDestination: () => LeftDestination | null;
  /** What a third party was seen to do since the stop. */
  readonly touched: () => string | null;
  /** How long an end may be silent before that is believed. */
  readonly silenceMs: (end: 'source' | 'destination') => number;
  readonly wait: (ms: number) => Promise<void>;
}

const QUIT_MS = 10_000;
const SETTLE_MS = 10_000;
/** Acts have time-outs of their own, which tell more; this is for one that has none. */
const DEADLINE_MS = 30_000;

/**
 * What of the acts concerns the two ends and the journal. The stream's
 * are the controller's (src/controller/handover).
 */
export function endActs(options: EndActsOptions): Omit<Acts, 'hurry' | 'drain' | 'prove' | 'release-source'> {
  const { source, destination, journal, linkTimeoutMs, silenceMs } = options;
  return {
    record: async ({ step }, signal) => {
      signal.throwIfAborted();
      await journal?.record({ step }, { signal });
    },
    'stop-source': () => source.stop(),
    look: ({ patient }) =>
      look({
        source,
        destination,
        sourceMs: silenceMs('source'),
        destinationMs: patient ? Math.max(linkTimeoutMs, silenceMs('destination')) : silenceMs('destination'),
        settleMs: patient ? SETTLE_MS : 0,
        asksMigration: patient,
        touched: options.touched,
        wait: options.wait,
      }),
    'start-destination': () => destination.start(),
    'end-source': async () => void (await source.end(QUIT_MS)),
    'take-back': () => destination.stop(),
    'end-destination': async () => {
      const left = options.leaveDestination();
      if (left !== null) {
        if (left.settings !== null) await destination.restoreSettings(left.settings).catch(() => undefined);
        // It never held anything of this VM.
        return 'gone';
      }
      const silentMs = silenceMs('destination');
      return destination.end(
        silentMs < QUIT_MS && (await destination.status(silentMs)).state === 'silent' ? silentMs : QUIT_MS,
      );
    },
    'cancel-migration': () => source.cancelMigration(),
    'restore-settings': async () => {
      const settings = options.settings();
      if (settings !== null) await source.restoreSettings(settings);
    },
    'continue-source': () => source.start(),
    'stop-source-again': () => source.stop(),
  };
}

/** The end's own answer: what was asked surely did not happen. */
export function isRefusal(error: unknown): boolean {
  for (let cause = error, depth = 0; cause instanceof Error && depth < CAUSES_MAX; depth++) {
    const code = errorCode(cause);
    if (code === 'QMP_COMMAND' || code === 'LIBVIRT_CALL') return true;
    cause = cause.cause;
  }
  return false;
}

/** An error is told again with more reasons once or twice. */
const CAUSES_MAX = 8;

/**
 * Draining may take as long as bytes move: the operator may have waived the downtime limit. The act itself
 * ends when nothing moves (STREAM_STALLED). A line has the journal's own time.
 */
export function deadlineMsOf(effect: Effect, linkTimeoutMs: number): number | null {
  if (effect.do === 'record' || effect.do === 'drain') return null;
  return DEADLINE_MS + (effect.do === 'look' && effect.patient ? linkTimeoutMs + SETTLE_MS : 0);
}

const STATUS_MS = 3_000;

export interface RecoverOptions {
  readonly source: Machine;
  readonly destination: Machine;
  readonly journal: Journal | null;
  /** Between two looks; tests need not wait. */
  readonly wait?: (ms: number) => Promise<void>;
}

/** By the journal alone. Never rejects: what could not be finished is in doubt. */
export async function recover(state: JournalState, options: RecoverOptions): Promise<Outcome> {
  if (hasEnded(state)) {
    const { outcome, text } = state.end;
    return { outcome: outcome === 'forgotten' ? 'in-doubt' : outcome, text };
  }
  const { reach } = state.begin.destination;
  const linkTimeoutMs = reach === null ? 0 : reach.linkTimeoutMs;
  const acts = endActs({
    ...options,
    linkTimeoutMs,
    settings: () => state.settings,
    leaveDestination: () => (state.destinationIsOurs ? null : { settings: state.destinationSettings }),
    touched: () => null,
    silenceMs: () => STATUS_MS,
    wait: options.wait ?? ((ms) => sleep(ms)),
  });
  return endBy(beginRecovery(knownOf(state)), acts, linkTimeoutMs);
}

/** Only the acts of ending; asking for another one is an error of the machine. */
async function endBy(
  begin: HandoverState,
  acts: ReturnType<typeof endActs>,
  linkTimeoutMs: number,
): Promise<Outcome> {
  const absent = () => Promise.reject(new Error('there is no stream any more'));
  const ended = await carryOut(begin, {
    acts: { ...acts, hurry: absent, drain: absent, prove: absent, 'release-source': absent },
    isRefusal,
    guestEndOf: () => null,
    deadlineMsOf: (effect) => deadlineMsOf(effect, linkTimeoutMs),
    wait: (ms, signal) => sleep(ms, signal).catch(() => new Promise<never>(() => undefined)),
    lost: null,
  });
  return ended.outcome;
}
