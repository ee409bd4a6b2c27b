/** What a simulated run is told and what it answers. Types and defaults only. */

import { GIB } from '../base/index.ts';
import type { AnyStrategy } from '../strategy/index.ts';
import type { GuestModel } from '../trace/index.ts';
import type { Arrangement, DecisionAction, Limits, ParameterValues } from '../vm/index.ts';
import { committedProfile, type Profile } from './pipeline/profile.ts';

export interface SimulationOptions {
  readonly strategy: AnyStrategy;
  /** From readParameters. */
  readonly parameters: ParameterValues;
  readonly guest: GuestModel;
  readonly linkBytesPerSecond: number;
  readonly roundTripMs: number;
  readonly limits: Limits;
  /** The run has failed when it takes longer; null: max(60 s, 5 x RAM / link), as in the lab. */
  readonly timeLimitMs: number | null;
  readonly gatewayMemoryBytesMax: number;
  /** Both send deltas where the strategy does; `paired` packs what it sends. */
  readonly arrangement: Arrangement;
  /** What each end's threads carry. */
  readonly profile: Profile;
  /** A simulated page stands for so many real ones; everything here is on the smaller scale already. */
  readonly grain: number;
  /** Also look for the clairvoyant stop, which takes about one more run. */
  readonly regret: boolean;
}

/** Model constants; each with its source. */
export const MODEL = {
  /**
   * Passes begin this far apart. Through the gateway there are two in 250 ms (recorded traces); without one
   * it is QEMU's own rate-limit window.
   */
  passSpacingMs: 150,
  qemuPassSpacingMs: 100,
  closePassSpacingMs: 50,
  /** Pages kept by a gateway that does not absorb. */
  noAbsorbPages: 1024,
  /** Deltas pay below this share of a whole page: delta-sample.ts. */
  payingDeltaShare: 0.25,
  /**
   * Pages in QEMU's TCP socket without a gateway: 2 MiB, of which the downtime at 25 MB/s shows 80 ms
   * (calibration).
   */
  socketPages: 512,
  /**
   * `stop`, last sync, device state, proof of loading, `cont`: with an empty backlog and no latency
   * (calibration, idle: 26 ms on a quiet host).
   */
  fixedDowntimeMs: 28,
  /** What the engine is told instead (src/controller/options.ts): it leaves room for a busy host. */
  fixedDowntimeToldMs: 40,
  qemuFixedDowntimeMs: 60,
  /** PING and PONG, then `cont`; QEMU alone closes with one exchange. */
  roundTripsAtStop: 2,
  qemuRoundTripsAtStop: 1,
  /** Sections behind RAM on a plain machine. */
  deviceBytes: 100_000,
  timeLimitMsMin: 60_000,
  timeLimitRams: 5,
} as const;

export const SIMULATION_DEFAULTS = {
  linkBytesPerSecond: 125e6,
  roundTripMs: 0.2,
  limits: { downtimeMsMax: 300, timeoutMs: null, onTimeout: 'switch' },
  timeLimitMs: null,
  gatewayMemoryBytesMax: 8 * GIB,
  arrangement: 'single',
  profile: committedProfile('default'),
  grain: 1,
  regret: true,
} as const satisfies Omit<SimulationOptions, 'strategy' | 'parameters' | 'guest'>;

/** What a stop comes to. */
export interface MigrationTimes {
  readonly totalMigrationTimeMs: number;
  readonly downtimeMs: number;
}

export type Outcome = 'completed' | 'timed-out' | 'aborted';

/** null: not known, or the run did not get there. */
export interface SimulationResult {
  readonly outcome: Outcome;
  /** Completed, and within the limits that the strategy promises. */
  readonly success: boolean;
  /** Why it is no success. */
  readonly reason: string | null;
  readonly decision: { readonly action: DecisionAction; readonly rule: string; readonly text: string } | null;
  readonly stoppedAtMs: number | null;
  readonly totalMigrationTimeMs: number | null;
  readonly downtimeMs: number | null;
  readonly downtimePredictedMs: number | null;
  readonly transferredBytes: number;
  readonly iterations: number;
  readonly passes: number;
  readonly sentPages: number;
  readonly resentPages: number;
  /** Share of guest time taken away at most. */
  readonly throttleShareMax: number;
  readonly bounds: Bounds;
  /** What the run's pipeline carries of whole pages, and the stage that limits it; `link` where none does. */
  readonly pipelineBytesPerSecond: number;
  readonly pipelineLimit: string;
  /** Cost over the clairvoyant's, less 1; null where the run did not complete or was not asked. */
  readonly regret: number | null;
  readonly clairvoyant: ClairvoyantStop | null;
  /** Pages written, taken out of QEMU, and sent: what the simulator worked through. */
  readonly pageEvents: number;
}

/** What no rule can beat with this guest on this link (docs/strategies.md, bounds). */
export interface Bounds {
  readonly transferredBytesMin: number;
  readonly totalMigrationTimeMsMin: number;
  /** With whole pages; null: the guest's rates are not known. */
  readonly downtimeMsMin: number | null;
}

export interface ClairvoyantStop extends MigrationTimes {
  readonly atMs: number;
}
