/**
 * One live migration from the first look at both QEMUs to its frozen report. Owns the order of things: preflight, prepare,
 * drive, hand over; whatever goes wrong ends in the same recovery that the guardian and `godwit resolve` use.
 */

import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { errorMessage, GodwitError, sleep, systemClock } from '../base/index.ts';
import { startEngine } from '../engine/index.ts';
import { type ReadyMemory, SourceGateway } from '../gateway/index.ts';
import {
  ParameterGuard,
  processIdentity,
  type QmpClient,
  type QmpEvent,
  queryMigrateCapabilities,
  queryStatus,
  migrate as startMigration,
  stop,
} from '../qmp/index.ts';
import {
  type Endpoints,
  endpointsOf,
  type Guardian,
  Journal,
  journalPathOf,
  QmpMachine,
  readJournal,
  recover,
  startGuardian,
} from '../recovery/index.ts';
import { sayEnded } from '../remote/index.ts';
import type { IterationStats } from '../vm/index.ts';
import { openWay, readyMemory, type Way } from './arrangement.ts';
import { openRecording, type Recording } from './assess/recording.ts';
import { type ControlServer, openControl } from './control/server.ts';
import { Drive, type Ending } from './drive.ts';
import { foreignStop, guestEnd } from './guest.ts';
import { asGodwitError, gone, withLoadError } from './handover/failures.ts';
import { cancelledError, type HandoverOptions, type HandoverTimes, handOver } from './handover/handover.ts';
import { postCopy } from './handover/post-copy.ts';
import type { MigrateHooks } from './hooks.ts';
import { FIXED_DOWNTIME_MS, type MigrateOptions, storeBytesMax } from './options.ts';
import { withEnds } from './preflight/ends.ts';
import { checkEnds, type Preflight, refuseUnready } from './preflight/preflight.ts';
import { sharedCapabilities, sourceSettings, tidyDestination } from './preflight/settings.ts';
import { composeReport, type MigrationReport, type Outcome } from './report.ts';
import { Steering } from './steering.ts';
import type { MigrateStep } from './steps.ts';

/** Errors: PREFLIGHT_REFUSED and those of connecting, before anything was touched; everything later is in the report. */
export async function migrate(
  options: MigrateOptions,
  hooks: MigrateHooks,
  signal: AbortSignal,
): Promise<MigrationReport> {
  return withEnds(options, signal, async (source, destination) => {
    const preflight = await checkEnds({ force: [], ...options }, source, destination);
    hooks.onPreflight?.(preflight);
    refuseUnready(preflight.findings);
    signal.throwIfAborted();
    return new Migration(options, hooks, source, destination, preflight).run(signal);
  });
}

class Migration {
  readonly #options: MigrateOptions;
  readonly #hooks: MigrateHooks;
  readonly #source: QmpClient;
  readonly #destination: QmpClient;
  readonly #preflight: Preflight;
  readonly #id = randomUUID();
  readonly #steering: Steering;
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), 'godwit-'));
  readonly #notes: string[] = [];
  readonly #iterations: IterationStats[] = [];
  readonly #failed = Promise.withResolvers<never>();
  readonly #layout = Promise.withResolvers<number>();
  readonly #stateComplete = Promise.withResolvers<void>();
  #endpoints: Endpoints | null = null;
  #gateway: SourceGateway | null = null;
  #way: Way | null = null;
  #recording: Recording | null = null;
  #ready: ReadyMemory | null = null;
  #drive: Drive | null = null;
  #failure: GodwitError | null = null;
  #stoppedAtMs: number | null = null;
  #handingOver = false;
  #startMs = 0;

  constructor(
    options: MigrateOptions,
    hooks: MigrateHooks,
    source: QmpClient,
    destination: QmpClient,
    preflight: Preflight,
  ) {
    this.#options = options;
    this.#steering = new Steering(this.#id, options);
    this.#hooks = hooks;
    this.#source = source;
    this.#destination = destination;
    this.#preflight = preflight;
    this.#failed.promise.catch(() => undefined);
  }

  async run(asked: AbortSignal): Promise<MigrationReport> {
    const signal = AbortSignal.any([asked, this.#steering.cancelled]);
    let control: ControlServer | null = null;
    let journal: Journal | null = null;
    let guardian: Guardian | null = null;
    const cancel = () => this.#onFailure(cancelledError());
    try {
      journal = new Journal(journalPathOf(this.#options.stateDirectory, this.#id));
      // First, so that no moment is without it; until the first line it finds nothing to do.
      guardian = startGuardian(journal.path);
      this.#ready = readyMemory(this.#options, this.#preflight);
      await this.#begin(journal);
      control = await openControl(path.dirname(journal.path), this.#steering).catch((error: unknown) => {
        this.#note(`other terminals cannot reach this migration: ${errorMessage(error)}`);
        return null;
      });
      signal.addEventListener('abort', cancel, { once: true });
      if (signal.aborted) cancel();
      const outcome = await this.#attempt(journal, guardian, signal);
      journal.write({ step: 'end', outcome: outcome.recovery.outcome, text: outcome.recovery.text });
      this.#step('end');
      this.#way?.close();
      await sayEnded(this.#options.far?.reach.listener, outcome.recovery.outcome);
      return this.#report(outcome);
    } finally {
      signal.removeEventListener('abort', cancel);
      this.#ready?.end();
      this.#drive?.close();
      this.#gateway?.close();
      this.#way?.close();
      await this.#recording?.close().catch((error: unknown) => this.#note(errorMessage(error)));
      guardian?.dismiss();
      control?.close();
      journal?.close();
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }

  async #begin(journal: Journal): Promise<void> {
    this.#endpoints = await endpointsOf(this.#options, this.#source, this.#destination);
    journal.write({
      step: 'begin',
      migrationId: this.#id,
      controller: await processIdentity(process.pid),
      ...this.#endpoints,
      sourceAfter: this.#options.sourceAfter,
      guestWasRunning: this.#guestWasRunning,
    });
    this.#step('begin');
  }

  get #guestWasRunning(): boolean {
    return this.#preflight.source.status.running;
  }

  /** The migration, and whatever happens its end: never rejects once something may have been changed. */
  async #attempt(journal: Journal, guardian: Guardian, signal: AbortSignal): Promise<Outcome> {
    let ending: Ending | null = null;
    try {
      const gateway = await this.#prepare(journal, signal);
      // Before `migrate`, while the machine is idle: beside a busy migration its start took seconds.
      await Promise.race([guardian.watching, this.#failed.promise]);
      const drive = await this.#start(journal, gateway);
      ending = await drive.run();
      if (ending.kind === 'abort') return await this.#undo(journal, ending.error, ending);
      this.#step('decision');
      this.#note(`${ending.kind}: ${ending.decision.text}`);
      const times = await this.#handOver(ending.kind, journal, gateway, signal);
      await tidyDestination(this.#destination, this.#preflight.settings, (text) => this.#note(text));
      const text = 'the VM is at the destination; never continue the source';
      return { recovery: { outcome: 'completed', text }, ending, times, error: null };
    } catch (error) {
      return await this.#undo(journal, asGodwitError(error), ending);
    }
  }

  async #handOver(
    kind: Ending['kind'],
    journal: Journal,
    gateway: SourceGateway,
    signal: AbortSignal,
  ): Promise<HandoverTimes> {
    this.#handingOver = true;
    const { downtimeMsMax } = this.#steering.limits;
    const watch = this.#way!.watchStopped(downtimeMsMax, (error) => this.#onFailure(error));
    const options: HandoverOptions = {
      source: this.#source,
      destination: this.#destination,
      gateway,
      journal,
      guestWasRunning: this.#guestWasRunning,
      sourceAfter: this.#options.sourceAfter,
      stoppedAtMs: () => this.#stoppedAtMs,
      failed: this.#failed.promise,
      signal,
      onNote: (text) => this.#note(text),
      onStep: (step) => {
        if (step === 'prepared') watch.close();
        this.#step(step);
      },
    };
    try {
      return (kind === 'post-copy' ? await postCopy(options) : null) ?? (await handOver(options));
    } finally {
      watch.close();
    }
  }

  /** Both QEMUs are set up and the gateway stands between them; the VM has not been touched. */
  async #prepare(journal: Journal, signal: AbortSignal): Promise<SourceGateway> {
    const { features, gate } = this.#preflight;
    const ackGate = gate.kind === 'ack';
    if (!ackGate)
      this.#note(`without switchover-ack QEMU may stop the VM by itself once that fits: ${gate.why}`);
    const settings = sourceSettings(features, ackGate, this.#options.strategy.mechanism);
    const guard = new ParameterGuard(this.#source, {
      record: (previous) => journal.write({ step: 'settings', ...previous }),
    });
    await guard.setCapabilities(settings.capabilities);
    await guard.setParameters(settings.parameters);
    this.#step('settings');
    await new ParameterGuard(this.#destination).setCapabilities(
      sharedCapabilities(ackGate, this.#options.strategy.mechanism),
    );
    // In its incoming state `stop` only means: do not start by yourself (qmp_stop). Only our `cont` starts the VM there.
    await stop(this.#destination);
    const fail = (error: Error) => this.#onFailure(asGodwitError(error));
    this.#way = await openWay(
      {
        options: this.#options,
        destination: this.#destination,
        folder: this.#folder,
        exitOnError: !this.#preflight.destinationTellsWhy,
        events: {
          onRoom: () => this.#gateway?.pump(),
          onReturnPath: (message, raw) => this.#gateway?.onReturnPath(message, raw),
          onError: fail,
        },
        onNote: (text) => this.#note(text),
        onIncoming: () => this.#step('incoming'),
      },
      signal,
    );
    this.#step('connected');
    const enabled = [...(await queryMigrateCapabilities(this.#source))]
      .filter(([, on]) => on)
      .map(([name]) => name);
    this.#recording = openRecording(this.#options.recordPath ?? null);
    this.#gateway = new SourceGateway(
      this.#way.output,
      {
        listenPath: path.join(this.#folder, 'stream.sock'),
        ownerOf: this.#options.sourceQmpPath,
        capabilities: new Set(enabled),
        clock: systemClock,
        memoryBytesMax: storeBytesMax(this.#options),
        readyChunk: () => this.#ready?.take() ?? null,
        absorb: this.#options.strategy.absorb,
        deltas: this.#options.strategy.delta,
        record: this.#recording?.write ?? null,
        ackGate,
        bandwidthBytesPerSecondMax: this.#options.bandwidthBytesPerSecondMax,
      },
      {
        onLayout: (setup) => this.#layout.resolve(setup.layout.pageCount),
        onStateComplete: () => this.#stateComplete.resolve(),
        onError: fail,
      },
    );
    await this.#gateway.listen();
    this.#step('listening');
    return this.#gateway;
  }

  /** `migrate` is sent and the stream has begun. */
  async #start(journal: Journal, gateway: SourceGateway): Promise<Drive> {
    const ackGate = this.#preflight.gate.kind === 'ack';
    const { strategy, parameters, limits, linkBytesPerSecond } = this.#options;
    this.#source.on((event) => this.#onSourceEvent(journal, event));
    void this.#source.closed.then((cause) => this.#onFailure(gone('source', cause)));
    void this.#destination.closed.then((cause) => this.#onFailure(gone('destination', cause)));
    this.#startMs = systemClock.nowMs();
    const mark = this.#source.eventMark();
    await startMigration(this.#source, `unix:${path.join(this.#folder, 'stream.sock')}`);
    this.#step('migrate');
    const pageCount = await Promise.race([this.#layout.promise, this.#failed.promise]);
    this.#step('layout');
    this.#drive = new Drive({
      gateway,
      source: this.#source,
      clock: systemClock,
      startMs: this.#startMs,
      guestRuns: this.#guestWasRunning,
      stateComplete: this.#stateComplete.promise,
      engine: startEngine({
        strategy,
        parameters,
        limits,
        pageCount,
        linkBytesPerSecondConfigured: linkBytesPerSecond,
        fixedDowntimeMs: FIXED_DOWNTIME_MS,
        ackGate,
      }),
      isLinkSilent: () => this.#way?.isSilent() ?? false,
      onProgress: (view) => {
        this.#steering.see(view);
        this.#hooks.onProgress(view);
      },
      onIteration: (stats) => {
        this.#iterations.push(stats);
        this.#hooks.onIteration(stats);
      },
    });
    this.#steering.attach(this.#drive, gateway);
    for (const event of this.#source.eventsSince(mark)) this.#passOn(journal, event);
    return this.#drive;
  }

  #onSourceEvent(journal: Journal, event: QmpEvent): void {
    if (event.name === 'STOP') this.#stoppedAtMs = event.receivedAtMs;
    if (event.name === 'RESUME') this.#stoppedAtMs = null;
    // A stopped guest ends no more; its QEMU may, and recovery knows which copy is whole then.
    const isStopped = this.#stoppedAtMs !== null || !this.#guestWasRunning;
    const end = this.#handingOver && isStopped ? null : guestEnd(event);
    if (end !== null) this.#onGuestEnd(journal, end);
    else if (!this.#handingOver) this.#passOn(journal, event);
  }

  #passOn(journal: Journal, event: QmpEvent): void {
    if (event.name === 'RESET') this.#note('the guest was reset; the migration goes on');
    if (event.name === 'STOP') void this.#onUnaskedStop(journal, event);
    else this.#drive?.onSourceEvent(event);
  }

  /** QEMU's own final stage is the engine's to judge; any other stop ends the migration. */
  async #onUnaskedStop(journal: Journal, event: QmpEvent): Promise<void> {
    this.#drive?.onUnaskedStop();
    const { status } = await queryStatus(this.#source).catch(() => ({ status: 'gone' }));
    const end = foreignStop(status);
    if (end === null) this.#drive?.onSourceEvent(event);
    else this.#onGuestEnd(journal, end);
  }

  #onGuestEnd(journal: Journal, text: string): void {
    if (this.#failure) return;
    journal.write({ step: 'guest-ended', text });
    const safe = 'the source VM is as it was left; the destination was removed';
    this.#onFailure(new GodwitError('GUEST_ENDED', text, { safe }));
  }

  #onFailure(error: GodwitError): void {
    this.#failure ??= error;
    this.#failed.reject(error);
    this.#drive?.fail(error);
  }

  /** Back to one running VM, the way the journal says. */
  async #undo(journal: Journal, error: GodwitError, ending: Ending | null): Promise<Outcome> {
    const told = await withLoadError(this.#failure ?? error, this.#destination, this.#preflight);
    this.#drive?.close();
    this.#gateway?.close();
    this.#way?.close();
    const source = new QmpMachine(this.#endpoints!.source, this.#source);
    const destination = new QmpMachine(this.#endpoints!.destination, this.#destination);
    const recovery = await recover(readJournal(journal.path), source, destination, sleep);
    await Promise.all([source.close(), destination.close()]);
    return { recovery, ending, times: null, error: told };
  }

  #step(step: MigrateStep): void {
    this.#steering.step(step);
    this.#hooks.onStep?.(step);
  }

  #note(text: string): void {
    this.#notes.push(text);
    this.#hooks.onNote(text);
  }

  #report(outcome: Outcome): MigrationReport {
    return composeReport({
      ...outcome,
      migrationId: this.#id,
      options: this.#options,
      preflight: this.#preflight,
      output: this.#way?.output.facts ?? null,
      startMs: this.#startMs,
      iterations: this.#iterations,
      notes: this.#notes,
    });
  }
}
