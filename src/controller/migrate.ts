/**
 * One live migration from the first look at both QEMUs to its frozen report. Owns the order of things:
 * preflight, custody, prepare, drive, hand over. Whatever goes wrong ends by the handover's machine, which
 * the guardian and `godwit resolve` run too.
 */

import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { errorMessage, GodwitError, systemClock } from '../base/index.ts';
import type { ReadyMemory, SourceGateway } from '../gateway/index.ts';
import type { Outcome as End } from '../handover/index.ts';
import type { LaunchPlan } from '../launch/index.ts';
import { QmpMachine } from '../machines/index.ts';
import { type QmpClient, migrate as startMigration } from '../qmp/index.ts';
import { type Endpoints, endpointsOf } from '../recovery/index.ts';
import { sayEnded } from '../remote/index.ts';
import { readyMemory } from './arrangement.ts';
import { type ControlServer, tryOpenControl } from './control/server.ts';
import { Custody, vmOf } from './custody.ts';
import type { Drive, DriveEnd } from './drive.ts';
import { FirstFailure } from './first-failure.ts';
import { asGodwitError, qmpLost, withLoadError } from './handover/failures.ts';
import {
  type EndingOptions,
  type HandoverEnd,
  type HandoverOptions,
  handOver,
  undo,
} from './handover/handover.ts';
import { lastLook } from './handover/last-look.ts';
import { type PostCopyStage, postCopy } from './handover/post-copy.ts';
import type { MigrateHooks } from './hooks.ts';
import { openDrive } from './open-drive.ts';
import type { MigrateOptions } from './options.ts';
import { checkOpenEnds, type OpenEnds, withEnds } from './preflight/ends.ts';
import { type Preflight, refuseUnready } from './preflight/preflight.ts';
import { tidyDestination } from './preflight/settings.ts';
import { prepare, Stream } from './prepare.ts';
import { composeReport, type MigrationReport, type Outcome } from './report.ts';
import { ReportLog } from './report-log.ts';
import { makeSockets, removeSockets, type Sockets } from './sockets.ts';
import { givenUp, untilLayout } from './source-failure.ts';
import { SourceWatch } from './source-watch.ts';
import { qemuTexts, Steering } from './steering.ts';
import type { MigrateStep } from './steps.ts';

/**
 * Errors: PREFLIGHT_REFUSED, those of connecting and of custody, before anything was touched; everything
 * later is in the report.
 */
export async function migrate(
  options: MigrateOptions,
  hooks: MigrateHooks,
  signal: AbortSignal,
): Promise<MigrationReport> {
  const askedAtMs = options.askedAtMs ?? systemClock.nowMs();
  const onPlan = (plan: LaunchPlan) => hooks.onPlan?.(plan);
  return withEnds(options, onPlan, signal, async (ends) => {
    const preflight = await checkOpenEnds(options, ends);
    hooks.onPreflight?.(preflight);
    refuseUnready(preflight.findings);
    signal.throwIfAborted();
    return new Migration({ ...options, askedAtMs }, hooks, ends, preflight).run(signal);
  });
}

class Migration {
  readonly #options: MigrateOptions;
  readonly #hooks: MigrateHooks;
  readonly #source: QmpClient;
  readonly #destination: QmpClient;
  readonly #twin: OpenEnds['twin'];
  readonly #preflight: Preflight;
  readonly #id = randomUUID();
  readonly #steering: Steering;
  readonly #stream = new Stream();
  readonly #log = new ReportLog();
  readonly #first = new FirstFailure();
  readonly #layout = Promise.withResolvers<number>();
  readonly #stateComplete = Promise.withResolvers<void>();
  #endpoints!: Endpoints;
  #watch: SourceWatch | null = null;
  #drive: Drive | null = null;
  #startMs: number | null = null;

  constructor(options: MigrateOptions, hooks: MigrateHooks, ends: OpenEnds, preflight: Preflight) {
    this.#options = options;
    this.#steering = new Steering(this.#id, { ...options, ...qemuTexts(options) });
    this.#hooks = hooks;
    this.#source = ends.source;
    this.#destination = ends.destination;
    this.#twin = ends.twin;
    this.#preflight = preflight;
  }

  async run(asked: AbortSignal): Promise<MigrationReport> {
    const signal = AbortSignal.any([asked, this.#steering.cancelled]);
    const known = this.#twin?.identity ?? null;
    this.#endpoints = await endpointsOf(this.#options, this.#id, this.#source, this.#destination, known);
    const sockets = makeSockets(this.#preflight.sockets);
    const custody = await this.#takeCustody().catch((error: unknown) => {
      removeSockets(sockets);
      throw error;
    });
    const ready = readyMemory(this.#options, this.#preflight);
    const cancel = () => this.#lose(cancelledError());
    let control: ControlServer | null = null;
    try {
      this.#step('begin');
      control = await this.#openControl(custody);
      signal.addEventListener('abort', cancel, { once: true });
      if (signal.aborted) cancel();
      const outcome = await this.#attempt({ custody, sockets, ready, signal });
      this.#step('end');
      return this.#report(outcome);
    } finally {
      signal.removeEventListener('abort', cancel);
      ready?.end();
      this.#drive?.close();
      this.#stream.close();
      await this.#stream.recording?.close().catch((error: unknown) => this.#note(errorMessage(error)));
      if (!custody.journal.isHanging) control?.close();
      removeSockets(sockets);
    }
  }

  async #takeCustody(): Promise<Custody> {
    return Custody.take({
      migrationId: this.#id,
      stateDirectory: this.#options.stateDirectory,
      endpoints: this.#endpoints,
      sourceAfter: this.#options.sourceAfter,
      guestWasRunning: this.#guestWasRunning,
      onEnd: this.#options.onEnd ?? null,
      vm: await vmOf(this.#source),
      claimed: [this.#source, this.#destination],
    });
  }

  #openControl({ journal }: Custody): Promise<ControlServer | null> {
    return tryOpenControl(path.dirname(journal.path), this.#steering, (text) => this.#note(text));
  }

  get #clients() {
    return { source: this.#source, destination: this.#destination };
  }

  get #guestWasRunning(): boolean {
    return this.#preflight.source.status.running;
  }

  /** The migration, and whatever happens its end: never rejects, since something may have been changed. */
  async #attempt(held: Held): Promise<Outcome> {
    const { custody } = held;
    const ends = {
      source: new QmpMachine(this.#endpoints.source, this.#source),
      destination: new QmpMachine(this.#endpoints.destination, this.#destination),
    };
    let ending: DriveEnd | null = null;
    let end: HandoverEnd;
    try {
      const gateway = await prepare(this.#stream, { ...held, ...this.#prepareOptions() }, held.signal);
      // Waited for before `migrate`: beside a busy migration the guardian's start took seconds (measured).
      await Promise.race([custody.guardian.watching, this.#first.rejected]);
      const drive = await this.#start(gateway, held);
      ending = await drive.run();
      if (ending.kind === 'abort') throw ending.error;
      this.#step('decision');
      this.#note(`${ending.kind}: ${ending.decision.text}`);
      end = await this.#handOver(ending.kind, gateway, custody, ends);
    } catch (error) {
      end = await this.#undo(asGodwitError(error), custody, ends, null);
    }
    this.#stream.close();
    if (end.outcome.outcome === 'completed') {
      await tidyDestination(this.#destination, this.#preflight.settings, (text) => this.#note(text));
      end = await lastLook(end, ends.destination);
    }
    const untold = await custody.end(end.outcome, [ends.source, ends.destination]);
    for (const text of untold) this.#note(text);
    await sayEnded(this.#options.far?.reach.listener, end.outcome.outcome);
    await Promise.allSettled([ends.source.close(), ends.destination.close()]);
    return { recovery: end.outcome, ending, times: end.times, error: this.#first.error ?? end.error };
  }

  #prepareOptions() {
    return {
      options: this.#options,
      preflight: this.#preflight,
      source: this.#source,
      destination: this.#destination,
      twin: this.#twin,
      onLayout: (pageCount: number) => this.#layout.resolve(pageCount),
      onStateComplete: () => this.#stateComplete.resolve(),
      onError: (error: Error) => this.#lose(asGodwitError(error)),
      onNote: (text: string) => this.#note(text),
      onStep: (step: MigrateStep) => this.#step(step),
    };
  }

  /** `migrate` is sent and the stream has begun. */
  async #start(gateway: SourceGateway, { custody, sockets }: Held): Promise<Drive> {
    this.#watch = this.#watchSource(custody);
    void this.#source.closed.then((cause) => this.#lose(qmpLost('source', cause)));
    void this.#destination.closed.then((cause) => this.#lose(qmpLost('destination', cause)));
    const startMs = systemClock.nowMs();
    this.#startMs = startMs;
    const mark = this.#source.eventMark();
    await startMigration(this.#source, sockets.stream.uri);
    this.#step('migrate');
    const pageCount = await untilLayout(this.#source, this.#layout.promise, this.#first.rejected);
    this.#step('layout');
    this.#drive = openDrive({
      options: this.#options,
      gateway,
      stream: this.#stream,
      source: this.#source,
      startMs,
      guestRuns: this.#guestWasRunning,
      ackGate: this.#preflight.gate.kind === 'ack',
      pageCount,
      stateComplete: this.#stateComplete.promise,
      steering: this.#steering,
      log: this.#log,
      hooks: this.#hooks,
    });
    this.#watch.replay(this.#source.eventsSince(mark));
    return this.#drive;
  }

  #watchSource({ journal }: Custody): SourceWatch {
    return new SourceWatch({
      source: this.#source,
      guestWasRunning: this.#guestWasRunning,
      onEvent: (event) => this.#drive?.onSourceEvent(event),
      onUnaskedStop: () => this.#drive?.onUnaskedStop(),
      onGivenUp: () => void givenUp(this.#source).then((error) => error && this.#lose(error)),
      onReset: () => this.#note('the guest was reset; the migration goes on'),
      onGuestEnd: (text) => {
        const safe = 'the source VM is as it was left; the destination was removed';
        if (this.#first.noteGuestEnd(text)) void journal.tryRecord({ step: 'guest-ended', text });
        this.#lose(new GodwitError('GUEST_ENDED', text, { safe }));
      },
    });
  }

  async #handOver(
    kind: DriveEnd['kind'],
    gateway: SourceGateway,
    custody: Custody,
    ends: Ends,
  ): Promise<HandoverEnd> {
    const watch = this.#watch!;
    watch.beginHandover();
    const silence = this.#stream.way!.watchStopped(this.#steering.limits.downtimeMsMax, (error) =>
      this.#lose(error),
    );
    const options: HandoverOptions = {
      ...this.#endingOptions(custody, ends),
      source: this.#source,
      destination: this.#destination,
      gateway,
      guestWasRunning: this.#guestWasRunning,
      sourceAfter: this.#options.sourceAfter,
      stoppedAtMs: () => watch.stoppedAtMs,
      sourceTouched: () => watch.touched,
      lost: this.#first.lost,
      onStep: (step) => {
        if (step === 'loaded') silence.close();
        this.#step(step);
      },
      explain: async (error) => {
        const told = await withLoadError(this.#first.error ?? error, this.#clients, this.#preflight);
        // What ends because of it later is no reason.
        this.#first.retell(told);
        return told;
      },
    };
    const stage: PostCopyStage = { committed: false };
    try {
      const times = kind === 'post-copy' ? await postCopy(options, stage) : null;
      if (times === null) return await handOver(options);
      const text = 'the VM is at the destination; never continue the source';
      return { outcome: { outcome: 'completed', text }, times, error: null };
    } catch (error) {
      return await this.#undo(asGodwitError(error), custody, ends, stage);
    } finally {
      silence.close();
    }
  }

  #endingOptions({ journal }: Custody, { source, destination }: Ends): EndingOptions {
    return {
      sourceMachine: source,
      destinationMachine: destination,
      journal,
      settings: () => this.#stream.settings,
      leaveDestination: () =>
        this.#stream.destinationIsOurs ? null : { settings: this.#stream.destinationSettings },
      linkTimeoutMs: this.#options.far?.linkTimeoutMs ?? 0,
      downtimeMsMax: () => this.#steering.limits.downtimeMsMax,
      closeStream: () => {
        this.#watch?.endHandover();
        this.#drive?.close();
        this.#stream.close();
      },
      onNote: (text) => this.#note(text),
    };
  }

  /**
   * Ends the migration outside of its handover, by what is known here, whether or not the journal can be
   * read.
   */
  async #undo(
    error: GodwitError,
    custody: Custody,
    ends: Ends,
    stage: PostCopyStage | null,
  ): Promise<HandoverEnd> {
    const told = await withLoadError(this.#first.error ?? error, this.#clients, this.#preflight);
    const options = this.#endingOptions(custody, ends);
    if (stage === null) options.closeStream();
    const known = {
      guestWasRunning: this.#guestWasRunning,
      sourceAfter: this.#options.sourceAfter,
      stopIsOurs: stage !== null,
      prepared: false,
      commit: stage?.committed ? ('yes' as const) : ('no' as const),
      continued: false,
      postCopy: stage !== null,
      guestEnded: this.#first.guestEnded,
    };
    const outcome: End = await undo(known, told.message, options);
    return { outcome, times: null, error: told };
  }

  #lose(error: GodwitError): void {
    if (this.#first.note(error)) this.#drive?.fail(error);
  }

  #step(step: MigrateStep): void {
    this.#steering.step(step);
    this.#hooks.onStep?.(step);
  }

  #note(text: string): void {
    this.#log.note(text);
    this.#hooks.onNote(text);
  }

  #report(outcome: Outcome): MigrationReport {
    return composeReport({
      ...outcome,
      migrationId: this.#id,
      options: this.#options,
      preflight: this.#preflight,
      output: this.#stream.way?.output.facts ?? null,
      startMs: this.#startMs,
      log: this.#log,
    });
  }
}

/** What `run` holds for an attempt and lets go of after it. */
interface Held {
  readonly custody: Custody;
  readonly sockets: Sockets;
  readonly ready: ReadyMemory | null;
  readonly signal: AbortSignal;
}

interface Ends {
  readonly source: QmpMachine;
  readonly destination: QmpMachine;
}

function cancelledError(): GodwitError {
  return new GodwitError('CANCELLED', 'the operator cancelled', {
    safe: 'the source VM runs; nothing was lost',
  });
}
