/**
 * The virtual driver: tells the engine what happens in the world, tick by tick, and carries its commands out,
 * as src/controller/drive.ts does for real machines. Ends with the engine's decision, or when time is up. Not
 * responsible for what follows a stop (ending.ts).
 */

import { assert } from '../base/index.ts';
import {
  type Command,
  ENGINE_TICK_MS,
  type EngineState,
  engineReport,
  type Fact,
  startEngine,
  step,
} from '../engine/index.ts';
import type { Decision, ParameterValues } from '../vm/index.ts';
import { runPipelineOf } from './pipeline/run-pipeline.ts';
import { MODEL, type SimulationOptions } from './types.ts';
import { World } from './world.ts';

/** How the run to the decision ended: with the engine's last command, or without one in time. */
export type DriverResult =
  | {
      readonly kind: 'stop-and-copy' | 'post-copy' | 'abort';
      readonly decision: Decision;
      readonly downtimePredictedMs: number | null;
    }
  | { readonly kind: 'timed-out' };

export class Driver {
  readonly world: World;
  readonly #timeLimitMs: number;
  #engine: EngineState;
  #result: DriverResult | null = null;
  #throttleShareMax = 0;
  #passesAtIterationStart = 1;

  constructor(options: SimulationOptions, timeLimitMs: number) {
    this.world = new World(options, passDonePages(options));
    this.#timeLimitMs = timeLimitMs;
    this.#engine = startEngine({
      strategy: options.strategy,
      parameters: options.parameters,
      limits: options.limits,
      pageCount: options.guest.pageCount,
      linkBytesPerSecondConfigured: null,
      fixedDowntimeMs: this.world.gateway ? MODEL.fixedDowntimeToldMs : fixedDowntimeMs(options),
      ackGate: true,
    });
  }

  get throttleShareMax(): number {
    return this.#throttleShareMax;
  }

  get engineState() {
    return this.#engine;
  }

  report() {
    return engineReport(this.#engine);
  }

  /**
   * Runs to the decision. `onTick` sees every moment at which the VM might be stopped; true ends the run
   * there.
   */
  run(onTick?: (world: World) => boolean): DriverResult {
    const { world } = this;
    while (this.#result === null) {
      if (world.nowMs >= this.#timeLimitMs) return { kind: 'timed-out' };
      const before = world.nowMs;
      world.advance(ENGINE_TICK_MS);
      assert(world.nowMs > before, 'time is monotone');
      if (world.passIsDue) {
        world.beginPass();
        this.#tell({ kind: 'pass', snapshot: world.snapshot() });
      }
      this.#tell({ kind: 'tick', snapshot: world.snapshot() });
      if (onTick?.(world)) return { kind: 'timed-out' };
    }
    return this.#result;
  }

  #tell(fact: Fact): void {
    if (this.#result !== null) return;
    const { state, commands } = step(this.#engine, fact, this.world.nowMs);
    this.#engine = state;
    for (const command of commands) this.#obey(command);
  }

  #obey(command: Command): void {
    const { world } = this;
    switch (command.kind) {
      case 'set-rules':
        world.index.setHold(command.hold);
        world.index.setOrder(command.order);
        world.closePasses = command.closePasses;
        world.withholdsPass = command.withholdsPass;
        return;
      case 'end-iteration':
        this.#endIteration();
        return;
      case 'throttle':
        world.throttleShare = command.share;
        this.#throttleShareMax = Math.max(this.#throttleShareMax, command.share);
        return;
      case 'stop-and-copy':
        this.#result ??= command;
        return;
      case 'post-copy':
      case 'abort':
        this.#result ??= { kind: command.kind, decision: command.decision, downtimePredictedMs: null };
        return;
      // The acknowledgement is the gate here, and nobody watches a live view.
      case 'waiting-max':
      case 'explain':
        return;
    }
  }

  #endIteration(): void {
    const { world } = this;
    const stats = world.index.endIteration({
      nowMs: world.nowMs,
      passes: world.passes - this.#passesAtIterationStart,
      bandwidthBytesPerSecond: world.measuredBytesPerSecond,
    });
    this.#passesAtIterationStart = world.passes;
    this.#tell({ kind: 'iteration', stats, snapshot: world.snapshot() });
  }
}

/** What a handover takes with an empty backlog: device state, proof of loading, round trips. */
export function fixedDowntimeMs(options: SimulationOptions): number {
  const gateway = options.strategy.mechanism === 'gateway';
  const fixed = gateway ? MODEL.fixedDowntimeMs : MODEL.qemuFixedDowntimeMs;
  const trips = gateway ? MODEL.roundTripsAtStop : MODEL.qemuRoundTripsAtStop;
  return fixed + trips * options.roundTripMs;
}

/**
 * How many pages a pass may leave. Without a gateway, QEMU synchronises and asks again as soon as less is
 * pending than the link carries within the downtime limit. A strategy's parameters may name a limit of its
 * own.
 */
function passDonePages(options: SimulationOptions): number {
  const { strategy, parameters, limits } = options;
  if (strategy.mechanism === 'gateway' || strategy.mechanism === 'model-only') return 0;
  const pendingBytes =
    (runPipelineOf(options).bytesPerSecond * limitOf(parameters, limits.downtimeMsMax)) / 1000;
  return Math.floor(pendingBytes / 4104);
}

function limitOf(parameters: ParameterValues, otherwiseMs: number): number {
  const { downtimeMs, doublings } = parameters;
  return downtimeMs === undefined ? otherwiseMs : downtimeMs * 2 ** (doublings ?? 0);
}
