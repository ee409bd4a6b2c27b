/**
 * Runs the machine against real ends: one effect at a time, each with a deadline and a signal that tells it
 * to stop. Time comes in as an argument, so that every race has a test without waiting. Not responsible for
 * what an effect does.
 */

import { errorMessage } from '../base/index.ts';
import { abandon, step } from './step.ts';
import type { Effect, EndedHow, Ends, Fact, HandoverState, Loss, Outcome } from './types.ts';

/** Must settle soon after `signal` aborts, and asks it before each command that cannot be taken back. */
export type Act<Kind extends Effect['do'] = Effect['do']> = (
  effect: Extract<Effect, { do: Kind }>,
  signal: AbortSignal,
) => Promise<Kind extends 'look' ? Ends : Kind extends 'end-destination' ? EndedHow : void>;

export type Acts = { readonly [Kind in Effect['do']]: Act<Kind> };

/**
 * How long an act may take to stop after it was told to: a preference, above every time-out that an act has
 * of its own.
 */
const GRACE_MS = 30_000;

export interface CarryOutOptions {
  readonly acts: Acts;
  /** An error of an act that is the end's own answer: the effect surely did not happen. */
  readonly isRefusal: (error: unknown) => boolean;
  /** What the guest itself brought about, of an act's error; null: nothing. */
  readonly guestEndOf: (error: unknown) => string | null;
  /** null: the act keeps its own time. */
  readonly deadlineMsOf: (effect: Effect) => number | null;
  /** Resolves after `ms`, or never where `signal` aborts before. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly graceMs?: number;
  /**
   * Resolves with why, when the operator cancels or something fails; heeded until COMMIT is being recorded.
   */
  readonly lost: Promise<Loss> | null;
  readonly onState?: (state: HandoverState) => void;
}

/** Ends in a state whose outcome is known. Never rejects for what an end does. */
export async function carryOut(
  begin: HandoverState,
  options: CarryOutOptions,
): Promise<HandoverState & { outcome: Outcome }> {
  let state = begin;
  let lost: Promise<Fact> | null = options.lost?.then((loss) => ({ fact: 'lost', ...loss })) ?? null;
  let current = step(state, { fact: 'begin' });
  for (;;) {
    state = current.state;
    options.onState?.(state);
    if (state.outcome !== null) return state as HandoverState & { outcome: Outcome };
    let running: Running | null = null;
    let first = await lostAlready(lost);
    if (first === null) {
      running = runEffect(current.effect!, options);
      first = await (lost === null ? running.answer : Promise.race([running.answer, lost]));
    }
    if (first !== null && first.fact === 'lost') {
      lost = null;
      current = step(state, first);
      state = current.state;
      options.onState?.(state);
      if (current.halt) running?.stop();
      // A loss that is not heeded leaves the step that was asked for to be taken.
      else running ??= runEffect(state.outstanding!, options);
      first = running === null ? NOT_BEGUN : await running.answer;
    }
    current = first === null ? abandon(state) : step(state, first);
  }
}

/**
 * What is lost already must not be found out by beginning another step. It is told a moment after it is
 * known.
 */
function lostAlready(lost: Promise<Fact> | null): Promise<Fact | null> {
  return Promise.race([lost, Promise.resolve().then(() => null)]);
}

const NOT_BEGUN: Fact = { fact: 'failed', why: 'it was not begun' };

interface Running {
  /** null: the act did not stop when it was told to. */
  readonly answer: Promise<Fact | null>;
  stop(): void;
}

function runEffect(effect: Effect, options: CarryOutOptions): Running {
  const aborter = new AbortController();
  const act = options.acts[effect.do] as Act;
  const done = Promise.try(() => act(effect as never, aborter.signal)).then(
    (result) => factOf(effect, result),
    (error: unknown): Fact => ({
      fact: 'failed',
      why: errorMessage(error),
      refused: options.isRefusal(error),
      guestEnded: options.guestEndOf(error),
    }),
  );
  const stopped = new AbortController();
  const stop = () => {
    aborter.abort();
    stopped.abort();
  };
  const answer = Promise.race([
    withDeadline(effect, done, aborter, options),
    graceAfter(stopped.signal, done, options),
  ]);
  return { answer, stop };
}

/**
 * After its deadline an act is told to stop, and waited for all the same: two of them must not use one QEMU.
 */
async function withDeadline(
  effect: Effect,
  done: Promise<Fact>,
  aborter: AbortController,
  options: CarryOutOptions,
): Promise<Fact | null> {
  const { deadlineMsOf, wait } = options;
  const deadlineMs = deadlineMsOf(effect);
  if (deadlineMs === null) return done;
  const over = new AbortController();
  const late: Fact = { fact: 'failed', why: `${effect.do} did not end within ${deadlineMs} ms` };
  const first = await Promise.race([done, wait(deadlineMs, over.signal).then(() => late)]);
  over.abort();
  if (first !== late) return first;
  aborter.abort();
  const last = await graceAfter(aborter.signal, done, options);
  // It may have ended well in the last moment; a failure is told as what caused it.
  return last?.fact === 'failed' && last.guestEnded == null ? late : last;
}

/**
 * Once `signal` aborts: how the act settles; null where it does not, and may do what it does at any later
 * time.
 */
async function graceAfter(
  signal: AbortSignal,
  done: Promise<Fact>,
  { wait, graceMs = GRACE_MS }: CarryOutOptions,
): Promise<Fact | null> {
  if (!signal.aborted) {
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
  }
  const over = new AbortController();
  const last = await Promise.race([done, wait(graceMs, over.signal).then(() => null)]);
  over.abort();
  return last;
}

function factOf(effect: Effect, result: unknown): Fact {
  if (effect.do === 'look') return { fact: 'done', ends: result as Ends };
  if (effect.do === 'end-destination') return { fact: 'done', ended: result as EndedHow };
  return { fact: 'done' };
}
