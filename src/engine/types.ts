/** Facts in, commands out: the engine's whole contact with the world. Same for live and simulated runs. */

import type { Decision, Hold, IterationStats, Limits, Order, Snapshot } from '../vm/index.ts';

/** The engine is told this often how things stand, live and in the simulator. */
export const ENGINE_TICK_MS = 50;

export type Fact =
  /** About every ENGINE_TICK_MS. */
  | { readonly kind: 'tick'; readonly snapshot: Snapshot }
  /** QEMU synchronised its dirty bitmap: pass `passes` begins. */
  | { readonly kind: 'pass'; readonly snapshot: Snapshot }
  /** The answer to `end-iteration`. */
  | { readonly kind: 'iteration'; readonly stats: IterationStats; readonly snapshot: Snapshot }
  /** The VM was stopped: by our command, or uninvited by QEMU. */
  | { readonly kind: 'stopped'; readonly invited: boolean; readonly snapshot: Snapshot }
  | { readonly kind: 'operator-switch' }
  | { readonly kind: 'operator-cancel' }
  | { readonly kind: 'operator-limits'; readonly limits: Limits };

export type Command =
  | {
      readonly kind: 'set-rules';
      readonly hold: Hold;
      readonly order: Order;
      readonly closePasses: boolean;
      readonly withholdsPass: boolean;
    }
  /** Close the running iteration, shift the dirty history, answer with an `iteration` fact. */
  | { readonly kind: 'end-iteration' }
  /**
   * Without the ack: this much may wait at the gateway and on its way at most. Beyond it QEMU is not read.
   */
  | { readonly kind: 'waiting-max'; readonly bytes: number }
  | {
      readonly kind: 'stop-and-copy';
      readonly decision: Decision;
      readonly downtimePredictedMs: number | null;
    }
  | { readonly kind: 'throttle'; readonly share: number; readonly decision: Decision }
  | { readonly kind: 'post-copy'; readonly decision: Decision }
  | { readonly kind: 'abort'; readonly code: string; readonly decision: Decision }
  /** What the rule waits for and why; for the live view. */
  | { readonly kind: 'explain'; readonly decision: Decision; readonly downtimePredictedMs: number | null };
