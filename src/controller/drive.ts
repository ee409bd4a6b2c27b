/**
 * The live driver: turns what QEMU and the gateway say into facts, asks the engine, and carries its
 * commands out on the gateway. Ends with the engine's decision to stop and copy or to abort. Not
 * responsible for the handover.
 */

import { type Clock, GodwitError, unreachable } from '../base/index.ts';
import {
  type Command,
  ENGINE_TICK_MS,
  type EngineState,
  engineReport,
  type Fact,
  step,
} from '../engine/index.ts';
import type { SourceGateway } from '../gateway/index.ts';
import { type QmpEvent, type QmpExecutor, queryMigrate } from '../qmp/index.ts';
import type { Decision, IterationStats, Limits, Snapshot } from '../vm/index.ts';

export interface ProgressView {
  readonly phase: 'first-pass' | 'iterating' | 'stop-and-copy';
  readonly nowMs: number;
  readonly snapshot: Snapshot;
  readonly iterations: readonly IterationStats[];
  /** What the rule thinks and why not yet. */
  readonly decision: Decision | null;
  readonly downtimePredictedMs: number | null;
}

export type DriveEnd =
  | {
      readonly kind: 'stop-and-copy';
      readonly decision: Decision;
      readonly downtimePredictedMs: number | null;
    }
  | { readonly kind: 'post-copy'; readonly decision: Decision }
  | { readonly kind: 'abort'; readonly error: GodwitError; readonly decision: Decision | null };

export interface DriveOptions {
  readonly gateway: SourceGateway;
  /** Asked what is left of a pass. */
  readonly source: QmpExecutor;
  readonly engine: EngineState;
  readonly clock: Clock;
  /** When `migrate` was sent. */
  readonly startMs: number;
  /**
   * false: a paused guest writes nothing, so its first pass holds everything and there is nothing to wait
   * for.
   */
  readonly guestRuns: boolean;
  /** QEMU's stream has come to its end: nothing is left to wait for. */
  readonly stateComplete: Promise<void>;
  /**
   * Nothing is heard over the link: what is measured then says nothing about the guest, and it is no time to
   * stop it.
   */
  readonly isLinkSilent: () => boolean;
  readonly onProgress: (view: ProgressView) => void;
  readonly onIteration: (stats: IterationStats) => void;
}

export class Drive {
  readonly #options: DriveOptions;
  readonly #ending = Promise.withResolvers<DriveEnd>();
  #engine: EngineState;
  #decision: Decision | null = null;
  #downtimePredictedMs: number | null = null;
  #timer: NodeJS.Timeout | null = null;
  #polling = false;
  /** A pass began and QEMU has not said yet how large it is. */
  #passUntold = false;
  #ended = false;
  #stopped = false;
  #unasked = false;

  constructor(options: DriveOptions) {
    this.#options = options;
    this.#engine = options.engine;
  }

  /** Runs until the engine has decided. */
  run(): Promise<DriveEnd> {
    this.#timer = setInterval(() => this.#onTick(), ENGINE_TICK_MS);
    if (!this.#options.guestRuns) this.#takePaused();
    return this.#ending.promise;
  }

  report() {
    return engineReport(this.#engine);
  }

  /** The view goes on during stop-and-copy; call when nothing is left to show. */
  close(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  fail(error: GodwitError): void {
    this.#end({ kind: 'abort', error, decision: this.#decision });
  }

  cancel(): void {
    this.#tell({ kind: 'operator-cancel' });
  }

  switchNow(): void {
    this.#tell({ kind: 'operator-switch' });
  }

  setLimits(limits: Limits): void {
    this.#tell({ kind: 'operator-limits', limits });
  }

  /** STOP (by QEMU itself) and MIGRATION_PASS of the source. */
  onSourceEvent(event: QmpEvent): void {
    if (this.#ended) return;
    const snapshot = this.#look();
    if (event.name === 'MIGRATION_PASS') {
      this.#options.gateway.notePass(Number(event.data['pass'] ?? 0));
      if (this.#options.gateway.keepsQemuWaiting) this.#passUntold = true;
      else this.#tellPass();
      this.#askRemaining();
    } else if (event.name === 'STOP' && snapshot && !this.#stopped) {
      this.#stopped = true;
      this.#tell({ kind: 'stopped', invited: false, snapshot });
      this.#acceptQemusStop();
    }
  }

  /**
   * A STOP that we did not ask for. Its cause is not known yet, and the engine hears nothing more before
   * `onSourceEvent` tells. If QEMU is in its final stage, it answers nothing until the rest of its stream has
   * been read, so that is read at once.
   */
  onUnaskedStop(): void {
    this.#unasked = true;
    this.#options.gateway.readRest();
  }

  /** A strategy that leaves the switchover to QEMU has nothing to say about it. */
  #acceptQemusStop(): void {
    const decision: Decision = {
      action: 'stop-and-copy',
      rule: 'qemu',
      text: 'QEMU itself began its final stage',
    };
    this.#end({ kind: 'stop-and-copy', decision, downtimePredictedMs: this.#downtimePredictedMs });
  }

  /**
   * A paused VM has no downtime to keep small, and QEMU announces its final stage by no STOP. Without the
   * ack it writes that stage with its main loop held: asked for its passes, it would answer only once
   * everything has been read.
   */
  #takePaused(): void {
    this.#options.gateway.readRest();
    void this.#options.stateComplete.then(() => this.#endPaused());
  }

  #endPaused(): void {
    const decision: Decision = {
      action: 'stop-and-copy',
      rule: 'paused-guest',
      text: 'the guest is paused, so one pass holds all of its memory',
    };
    this.#end({ kind: 'stop-and-copy', decision, downtimePredictedMs: null });
  }

  #onTick(): void {
    const { clock, startMs, onProgress } = this.#options;
    const snapshot = this.#look();
    if (!snapshot) return;
    if (!this.#ended) {
      if (!this.#passUntold && !this.#isDeaf) this.#tell({ kind: 'tick', snapshot });
      this.#askRemaining();
    }
    onProgress({
      phase: this.#ended ? 'stop-and-copy' : snapshot.firstPassDone ? 'iterating' : 'first-pass',
      nowMs: clock.nowMs() - startMs,
      snapshot,
      iterations: this.#engine.history,
      decision: this.#decision,
      downtimePredictedMs: this.#downtimePredictedMs,
    });
  }

  /** What the engine is told has the newest prices. */
  #look(): Snapshot | null {
    const { gateway } = this.#options;
    gateway.refresh();
    return gateway.snapshot();
  }

  #tellPass(): void {
    this.#passUntold = false;
    const snapshot = this.#look();
    if (snapshot && !this.#isDeaf) this.#tell({ kind: 'pass', snapshot });
  }

  get #isDeaf(): boolean {
    return this.#unasked || this.#options.isLinkSilent();
  }

  #askRemaining(): void {
    if (!this.#options.gateway.keepsQemuWaiting || this.#polling || this.#ended) return;
    const { gateway, source } = this.#options;
    const { passes } = gateway;
    this.#polling = true;
    queryMigrate(source)
      .then(({ ram }) => {
        if (passes !== gateway.passes) return;
        if (ram) gateway.noteRemaining(ram.remainingBytes / ram.pageSizeBytes);
        if (this.#passUntold) this.#tellPass();
      })
      .catch(() => {
        if (this.#passUntold) this.#tellPass();
      })
      .finally(() => {
        this.#polling = false;
        if (this.#passUntold) this.#askRemaining();
      });
  }

  #tell(fact: Fact): void {
    if (this.#ended) return;
    const nowMs = this.#options.clock.nowMs() - this.#options.startMs;
    const { state, commands } = step(this.#engine, fact, nowMs);
    this.#engine = state;
    for (const command of commands) this.#obey(command);
  }

  #obey(command: Command): void {
    const { gateway } = this.#options;
    switch (command.kind) {
      case 'set-rules':
        gateway.setRules(command);
        break;
      case 'end-iteration': {
        const stats = gateway.endIteration();
        this.#options.onIteration(stats);
        if (!this.#options.guestRuns) this.#endPaused();
        this.#tell({ kind: 'iteration', stats, snapshot: this.#look()! });
        break;
      }
      case 'waiting-max':
        gateway.setWaitingMax(command.bytes);
        break;
      case 'explain':
        this.#decision = command.decision;
        this.#downtimePredictedMs = command.downtimePredictedMs;
        break;
      case 'stop-and-copy':
        this.#decision = command.decision;
        this.#downtimePredictedMs = command.downtimePredictedMs;
        this.#end(command);
        break;
      case 'abort':
        this.#end({ kind: 'abort', decision: command.decision, error: abortError(command) });
        break;
      case 'throttle':
        // QEMU itself slows the guest (auto-converge); this is what it is expected to do.
        this.#decision = command.decision;
        break;
      case 'post-copy':
        this.#decision = command.decision;
        this.#end(command);
        break;
      default:
        unreachable(command, 'command');
    }
  }

  #end(ending: DriveEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#ending.resolve(ending);
  }
}

function abortError(command: Extract<Command, { kind: 'abort' }>): GodwitError {
  return new GodwitError(command.code, command.decision.text, {
    safe: 'the source VM runs; nothing was lost',
  });
}
