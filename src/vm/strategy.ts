/**
 * The contract between the engine and the rules: a strategy is a pure function from what is known to what to
 * do.
 */

import type { Decision, Hold, Limits, Order } from './rules.ts';
import type { IterationStats, Snapshot } from './statistics.ts';

/** What the pipeline's stages carry besides the link; Infinity: not known to limit anything. */
export interface PipelineRates {
  /** Out of QEMU. */
  readonly handOverPagesPerSecond: number;
  /** Encoders and the far side, for pages that the link carries at once. */
  readonly endsPagesPerSecond: number;
  readonly zeroPagesPerSecond: number;
}

/** One of QEMU's passes. */
export interface PassSeen {
  /** When its sync was. */
  readonly startMs: number;
  /** So far, of the running one. */
  readonly durationMs: number;
  /** What the sync found dirty: handed over, or left as far as QEMU says. */
  readonly pages: number;
}

export const PASSES_KEPT = 16;

/** Everything a rule may look at. Nothing else exists for it: no clock, no page, no randomness. */
export interface Outlook {
  /** Since `migrate`. */
  readonly nowMs: number;
  readonly pageCount: number;
  readonly limits: Limits;
  /** Finished iterations, oldest first; the newest ITERATIONS_KEPT. */
  readonly history: readonly IterationStats[];
  readonly snapshot: Snapshot;
  /** Best knowledge of the link: measured, else configured, else null. */
  readonly linkBytesPerSecond: number | null;
  readonly pipeline: PipelineRates;
  /** After the first one, oldest first, the running one last; the newest PASSES_KEPT. */
  readonly passes: readonly PassSeen[];
  /** Downtime if the VM were stopped now; null while the link rate is unknown. */
  readonly downtimePredictedMs: number | null;
}

export const ITERATIONS_KEPT = 64;

/** A rule's answer. `memory` is the rule's own bounded state; it comes back with the next question. */
export interface Verdict<Memory> {
  readonly hold: Hold;
  readonly order: Order;
  readonly decision: Decision;
  readonly memory: Memory;
  /**
   * QEMU's passes follow each other closely, so that what is dirty is known freshly. This slows the guest.
   * Default false.
   */
  readonly closePasses?: boolean;
  /** The end of the running pass is not read: the next sync is to come with the stop. Default false. */
  readonly withholdsPass?: boolean;
}

export type ParameterValues = Readonly<Record<string, number>>;

export interface ParameterSpec {
  readonly name: string;
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly unit: string;
  readonly meaning: string;
  /** Where the default comes from. */
  readonly source: string;
}

/** F: the rule was read in a source. R: reconstructed from descriptions. O: ours. */
export type StrategyLabel = 'F' | 'R' | 'O';

/**
 * What carries the pages. `gateway`: ours. `model-only`: nothing real, it exists in the simulator. The others
 * are QEMU's own mechanisms, to which the gateway is transparent.
 */
export type Mechanism = 'gateway' | 'qemu-precopy' | 'qemu-auto-converge' | 'qemu-postcopy' | 'model-only';

export interface Strategy<Memory = unknown> {
  readonly name: string;
  readonly idea: string;
  readonly source: string;
  readonly label: StrategyLabel;
  readonly mechanism: Mechanism;
  /** Why it cannot move a real VM; it is refused live, and the simulator runs it. null: it can. */
  readonly simulatorOnly: string | null;
  /**
   * QEMU is drained faster than the link, up to the memory cap, and the newest copy of each page is kept.
   * false: back-pressure at link rate.
   */
  readonly absorb: boolean;
  /** The strategy promises `--downtime-limit`; otherwise it promises its own prediction. */
  readonly promisesDowntimeLimit: boolean;
  /** May use deltas against what the destination has. */
  readonly delta: boolean;
  readonly parameters: readonly ParameterSpec[];
  start(parameters: ParameterValues): Memory;
  /** Asked at the end of every iteration, with the finished iteration last in `history`. */
  atIteration(outlook: Outlook, memory: Memory, parameters: ParameterValues): Verdict<Memory>;
  /** Asked at every tick (about 50 ms) between iterations. null: nothing changes. */
  atTick(outlook: Outlook, memory: Memory, parameters: ParameterValues): Verdict<Memory> | null;
  /** Length of the iteration that begins now, ms; by definition clamp((queue + held) / B, 1 s, 10 s). */
  iterationMs(outlook: Outlook, parameters: ParameterValues): number;
}
