/**
 * The engine's state, its beginning, and the frozen report of what it decided. Not responsible for
 * transitions (step.ts).
 */

import { assert } from '../base/index.ts';
import type { AnyStrategy } from '../strategy/index.ts';
import type {
  Decision,
  Hold,
  IterationStats,
  Limits,
  Order,
  ParameterValues,
  PassSeen,
  Snapshot,
} from '../vm/index.ts';

export interface EngineOptions {
  readonly strategy: AnyStrategy;
  /** From readParameters. */
  readonly parameters: ParameterValues;
  readonly limits: Limits;
  readonly pageCount: number;
  /** What the operator says the link carries; a measured rate takes its place. */
  readonly linkBytesPerSecondConfigured: number | null;
  /** What a stop costs with an empty backlog: last sync, device state, round trips, `cont`. */
  readonly fixedDowntimeMs: number;
  /** QEMU waits for switchover-ack. false: see gate.ts. */
  readonly ackGate: boolean;
}

/** Running -> stopping (we asked for the stop, or for post-copy) -> stopped; ended after an abort. */
export type EnginePhase = 'running' | 'stopping' | 'stopped' | 'ended';

export interface DecisionRecord {
  readonly atMs: number;
  readonly decision: Decision;
  readonly downtimePredictedMs: number | null;
  /** Why the engine did not carry it out; null when it did. */
  readonly refused: string | null;
}

export interface RunningIteration {
  readonly index: number;
  readonly startMs: number;
  /** QEMU's passes when it began. */
  readonly passesAtStart: number;
  /**
   * The iteration ends at the first dirty sync after this; null for iteration 0, which ends with QEMU's first
   * pass.
   */
  readonly lengthMs: number | null;
  /** `end-iteration` was sent, and its answer has not come yet. */
  readonly ending: boolean;
}

/**
 * How many pages QEMU's newest passes handed over. They are what the guest dirtied before each sync: the
 * freshest such figure there is.
 */
export interface PassArrivals {
  /** In total, at the newest sync. */
  readonly arrivedPages: number;
  readonly syncMs: number;
  /** What the pass before brought; null while that was QEMU's first. */
  readonly last: { readonly pages: number; readonly durationMs: number } | null;
}

export interface EngineState {
  readonly options: EngineOptions;
  readonly phase: EnginePhase;
  readonly limits: Limits;
  /** The strategy's own; opaque here. */
  readonly memory: unknown;
  readonly hold: Hold | null;
  readonly order: Order | null;
  readonly closePasses: boolean;
  readonly withholdsPass: boolean;
  readonly throttleShare: number;
  readonly history: readonly IterationStats[];
  readonly iterationsTotal: number;
  /** Iterations that ended with the queue drained. Only those count as indecision. */
  readonly iterationsIdle: number;
  readonly iteration: RunningIteration;
  readonly snapshot: Snapshot | null;
  /** null: arrivals are not counted, or there was no sync yet. */
  readonly arrivals: PassArrivals | null;
  readonly passes: readonly PassSeen[];
  readonly linkMeasuredBytesPerSecond: number | null;
  /** As last commanded; null before the first command. */
  readonly waitingBytesMax: number | null;
  /** The last moment at which QEMU was seen to move on: a sync, or a page. */
  readonly progressMs: number;
  readonly progressMark: number;
  readonly operatorSwitch: boolean;
  /** What the live view was told last; `key` is action and rule. */
  readonly explained: {
    readonly atMs: number;
    readonly key: string;
    readonly text: string;
    readonly isRefusal: boolean;
  } | null;
  readonly decisions: readonly DecisionRecord[];
  /**
   * How many iterations had ended when the strategy's wish to stop was first refused; null: it is not being
   * refused.
   */
  readonly refusedSince: number | null;
}

/** Decisions kept for the report; a strategy that throttles in steps makes a few dozen. */
export const DECISIONS_KEPT = 256;

export function startEngine(options: EngineOptions): EngineState {
  assert(
    options.pageCount >= 0 && options.fixedDowntimeMs >= 0,
    'page count and fixed downtime are not negative',
  );
  return {
    options,
    phase: 'running',
    limits: options.limits,
    memory: options.strategy.start(options.parameters),
    hold: null,
    order: null,
    closePasses: false,
    withholdsPass: false,
    throttleShare: 0,
    history: [],
    iterationsTotal: 0,
    iterationsIdle: 0,
    iteration: { index: 0, startMs: 0, passesAtStart: 0, lengthMs: null, ending: false },
    snapshot: null,
    arrivals: null,
    passes: [],
    linkMeasuredBytesPerSecond: null,
    waitingBytesMax: null,
    progressMs: 0,
    progressMark: -1,
    operatorSwitch: false,
    explained: null,
    decisions: [],
    refusedSince: null,
  };
}

export interface EngineReport {
  readonly strategy: string;
  readonly parameters: ParameterValues;
  readonly limits: Limits;
  readonly phase: EnginePhase;
  readonly iterationsTotal: number;
  /** The newest ITERATIONS_KEPT. */
  readonly iterations: readonly IterationStats[];
  readonly decisions: readonly DecisionRecord[];
  /** The decision that ended it, carried out; null while it runs. */
  readonly final: DecisionRecord | null;
}

export function engineReport(state: EngineState): EngineReport {
  const carriedOut = state.decisions.filter((record) => record.refused === null);
  const final = state.phase === 'running' ? null : (carriedOut.at(-1) ?? null);
  return Object.freeze({
    strategy: state.options.strategy.name,
    parameters: state.options.parameters,
    limits: state.limits,
    phase: state.phase,
    iterationsTotal: state.iterationsTotal,
    iterations: Object.freeze([...state.history]),
    decisions: Object.freeze([...state.decisions]),
    final,
  });
}
