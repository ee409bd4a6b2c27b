/** What the engine is told of the gateway, put together from its parts. Pure. */

import type { PageStore } from '../../pages/index.ts';
import type { Snapshot } from '../../vm/index.ts';
import type { OutputFacts } from '../output/types.ts';
import type { IntakeRate } from './intake-rate.ts';
import type { Passes } from './passes.ts';
import { underWayBytes } from './read-gate.ts';

export interface GatewayParts {
  readonly store: PageStore;
  readonly facts: OutputFacts;
  readonly passes: Passes;
  readonly intakeRate: IntakeRate;
  readonly memoryBytesMax: number;
  /** The destination's acknowledgement of the switchover waits here. */
  readonly gateHeld: boolean;
  /** See ReadGate.keepsQemuWaiting. */
  readonly keepsQemuWaiting: boolean;
  /** On the clock of `passes`. */
  readonly nowMs: number;
}

export function snapshotOf(parts: GatewayParts): Snapshot {
  const { store, facts, passes } = parts;
  return {
    ...store.index.snapshot(),
    arrivedPages: store.arrivedPages,
    firstPassDone: passes.firstIsDone,
    passes: passes.count,
    sinceSyncMs: passes.sinceSyncMs(parts.nowMs),
    bandwidthBytesPerSecond: facts.bandwidthBytesPerSecond,
    roundTripMs: facts.roundTripMs,
    memoryBytes: store.memoryBytes,
    memoryBytesMax: parts.memoryBytesMax,
    gateHeld: parts.gateHeld,
    underWayBytes: underWayBytes(facts),
    slowerEndPagesPerSecond: parts.intakeRate.slowerOf(facts.appliedPagesPerSecond ?? null),
    handOverPagesPerSecond: parts.intakeRate.pagesPerSecond,
    zeroPagesPerSecond: facts.appliedPagesPerSecond ?? null,
    lastPass: passes.last,
    passPages: passes.pagesOfRunning(store.arrivedPages),
    ...(parts.keepsQemuWaiting ? { sourceRemainingPages: passes.remainingPages } : {}),
  };
}
