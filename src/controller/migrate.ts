/**
 * One live migration from the first look at both QEMUs to its frozen report. Owns the order of things: check, prepare,
 * drive, hand over; whatever goes wrong ends in the same recovery that the guardian and `godwit resolve` use.
 */

import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { errorCode, errorMessage, GodwitError, sleep, systemClock } from '../base/index.ts';
import { startEngine } from '../engine/index.ts';
import { SingleOutput, SourceGateway } from '../gateway/index.ts';
import {
  connectQmp,
  migrateIncoming,
  ParameterGuard,
  probeQemu,
  type QemuFeatures,
  type QmpClient,
  queryKvm,
  queryMigrateCapabilities,
  queryStatus,
  migrate as startMigration,
} from '../qmp/index.ts';
import type { IterationStats } from '../vm/index.ts';
import { Drive, type Ending, type ProgressView } from './drive.ts';
import { type Guardian, startGuardian } from './guardian.ts';
import { type HandoverTimes, handOver } from './handover.ts';
import { Journal, readJournal } from './journal.ts';
import { qmpMachine } from './machine.ts';
import { FIXED_DOWNTIME_MS, LOAD_TIMEOUT_MS, type MigrateOptions } from './options.ts';
import { type Recovery, recover } from './recover.ts';
import { type MigrationReport, REPORT_SCHEMA, reportIteration } from './report.ts';
import { sharedCapabilities, sourceSettings } from './settings.ts';

export interface MigrateHooks {
  onProgress(view: ProgressView): void;
  onIteration(stats: IterationStats): void;
  /** A line worth telling: a step, a note, the commit point. */
  onNote(text: string): void;
}

export async function migrate(
  options: MigrateOptions,
  hooks: MigrateHooks,
  signal: AbortSignal,
): Promise<MigrationReport> {
  const source = await connectQmp({ path: options.sourceQmpPath, signal });
  try {
    const destination = await connectQmp({ path: options.destinationQmpPath, signal });
    try {
      return await new Migration(options, hooks, source, destination).run(signal);
    } finally {
      await destination.close();
    }
  } finally {
    await source.close();
  }
}

class Migration {
  readonly #options: MigrateOptions;
  readonly #hooks: MigrateHooks;
  readonly #source: QmpClient;
  readonly #destination: QmpClient;
  readonly #id = randomUUID();
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), 'godwit-'));
  readonly #notes: string[] = [];
  readonly #iterations: IterationStats[] = [];
  #gateway: SourceGateway | null = null;
  #output: SingleOutput | null = null;
  #drive: Drive | null = null;
  #failure: GodwitError | null = null;
  #startMs = 0;

  constructor(options: MigrateOptions, hooks: MigrateHooks, source: QmpClient, destination: QmpClient) {
    this.#options = options;
    this.#hooks = hooks;
    this.#source = source;
    this.#destination = destination;
  }

  async run(signal: AbortSignal): Promise<MigrationReport> {
    const journal = new Journal(
      path.join(this.#options.stateDirectory, 'migrations', this.#id, 'journal.jsonl'),
    );
    let guardian: Guardian | null = null;
    try {
      const features = await probeQemu(this.#source);
      const facts = { features, ...(await this.#facts()) };
      journal.write({
        step: 'begin',
        migrationId: this.#id,
        source: { qmpPath: this.#options.sourceQmpPath },
        destination: { qmpPath: this.#options.destinationQmpPath },
        sourceAfter: this.#options.sourceAfter,
        guestWasRunning: facts.guestWasRunning,
      });
      guardian = startGuardian(journal.path);
      const outcome = await this.#attempt(journal, facts, signal).catch((error: unknown) =>
        this.#undo(journal, asGodwitError(error), null),
      );
      journal.write({ step: 'end', outcome: outcome.recovery.outcome, text: outcome.recovery.text });
      return this.#report(outcome, facts);
    } finally {
      this.#drive?.close();
      this.#gateway?.close();
      guardian?.dismiss();
      journal.close();
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }

  async #facts() {
    const status = await queryStatus(this.#source);
    const kvm = await queryKvm(this.#source);
    return { guestWasRunning: status.running, accelerator: kvm.enabled ? 'kvm' : 'tcg' };
  }

  async #attempt(journal: Journal, facts: SourceFacts, signal: AbortSignal): Promise<Outcome> {
    const ackGate = await this.#chooseGate(facts.features);
    const gateway = await this.#prepare(journal, facts.features, ackGate, signal);
    const drive = await this.#start(gateway, ackGate);
    const cancel = () => drive.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    let ending: Ending;
    try {
      ending = await drive.run();
    } finally {
      signal.removeEventListener('abort', cancel);
    }
    if (ending.kind === 'abort') return this.#undo(journal, ending.error, ending);
    this.#note(`stop-and-copy: ${ending.decision.text}`);
    const times = await handOver({
      source: this.#source,
      destination: this.#destination,
      gateway,
      journal,
      guestWasRunning: facts.guestWasRunning,
      sourceAfter: this.#options.sourceAfter,
      stoppedAtMs: this.#stoppedAtMs,
      failed: this.#failed.promise,
      signal,
      onNote: (text) => this.#note(text),
    }).catch((error: unknown) => this.#undo(journal, asGodwitError(error), ending));
    if ('recovery' in times) return times;
    return {
      recovery: { outcome: 'completed', text: 'the VM is at the destination' },
      ending,
      times,
      error: null,
    };
  }

  /** The ack where QEMU owes one; else passes' tails are withheld. Both ends must know the capability. */
  async #chooseGate(features: QemuFeatures): Promise<boolean> {
    if (this.#options.ackGate === 'off' || features.ackOwed !== 'yes') {
      this.#note(`the gate is the end of each pass: ${features.ackReason}`);
      return false;
    }
    return (await queryMigrateCapabilities(this.#destination)).has('switchover-ack');
  }

  readonly #failed = Promise.withResolvers<never>();
  #stoppedAtMs: number | null = null;

  /** Both QEMUs are set up and the gateway stands between them; the VM has not been touched. */
  async #prepare(
    journal: Journal,
    features: QemuFeatures,
    ackGate: boolean,
    signal: AbortSignal,
  ): Promise<SourceGateway> {
    this.#failed.promise.catch(() => undefined);
    const settings = sourceSettings(features, ackGate);
    const guard = new ParameterGuard(this.#source, {
      record: (previous) => journal.write({ step: 'settings', ...previous }),
    });
    await guard.setCapabilities(settings.capabilities);
    await guard.setParameters(settings.parameters);
    await new ParameterGuard(this.#destination).setCapabilities(sharedCapabilities(ackGate));
    const address = this.#destinationAddress();
    await migrateIncoming(this.#destination, address.listen);
    const fail = (error: Error) => this.#onFailure(asGodwitError(error));
    const output = new SingleOutput(
      { address: address.connect, clock: systemClock, prepareTimeoutMs: LOAD_TIMEOUT_MS },
      {
        onRoom: () => this.#gateway?.pump(),
        onReturnPath: (message, raw) => this.#gateway?.onReturnPath(message, raw),
        onError: fail,
      },
    );
    this.#output = output;
    await output.connect(signal);
    const enabled = [...(await queryMigrateCapabilities(this.#source))]
      .filter(([, on]) => on)
      .map(([name]) => name);
    this.#gateway = new SourceGateway(
      output,
      {
        listenPath: path.join(this.#folder, 'stream.sock'),
        ownerOf: this.#options.sourceQmpPath,
        capabilities: new Set(enabled),
        clock: systemClock,
        memoryBytesMax: this.#options.gatewayMemoryBytesMax,
        absorb: this.#options.strategy.absorb,
        ackGate,
        bandwidthBytesPerSecondMax: this.#options.bandwidthBytesPerSecondMax,
      },
      {
        onLayout: (setup) => this.#layout.resolve(setup.layout.pageCount),
        onStateComplete: () => undefined,
        onError: fail,
      },
    );
    await this.#gateway.listen();
    return this.#gateway;
  }

  readonly #layout = Promise.withResolvers<number>();

  #destinationAddress(): { listen: string; connect: string } {
    const remote = this.#options.destinationAddress;
    if (remote !== null) return { listen: `tcp:${remote.listen}`, connect: `tcp:${remote.connect}` };
    const local = `unix:${path.join(this.#folder, 'incoming.sock')}`;
    return { listen: local, connect: local };
  }

  /** `migrate` is sent and the stream has begun. */
  async #start(gateway: SourceGateway, ackGate: boolean): Promise<Drive> {
    const { strategy, parameters, limits, linkBytesPerSecond } = this.#options;
    this.#source.on((event) => {
      if (event.name === 'STOP') this.#stoppedAtMs = event.receivedAtMs;
      if (event.name === 'RESUME') this.#stoppedAtMs = null;
      this.#drive?.onSourceEvent(event);
    });
    void this.#source.closed.then((cause) => this.#onFailure(gone('source', cause)));
    void this.#destination.closed.then((cause) => this.#onFailure(gone('destination', cause)));
    this.#startMs = systemClock.nowMs();
    await startMigration(this.#source, `unix:${path.join(this.#folder, 'stream.sock')}`);
    const pageCount = await Promise.race([this.#layout.promise, this.#failed.promise]);
    this.#drive = new Drive({
      gateway,
      source: this.#source,
      clock: systemClock,
      startMs: this.#startMs,
      ackGate,
      engine: startEngine({
        strategy,
        parameters,
        limits,
        pageCount,
        linkBytesPerSecondConfigured: linkBytesPerSecond,
        fixedDowntimeMs: FIXED_DOWNTIME_MS,
        ackGate,
      }),
      onProgress: (view) => this.#hooks.onProgress(view),
      onIteration: (stats) => {
        this.#iterations.push(stats);
        this.#hooks.onIteration(stats);
      },
    });
    return this.#drive;
  }

  #onFailure(error: GodwitError): void {
    this.#failure ??= error;
    this.#failed.reject(error);
    this.#drive?.fail(error);
  }

  /** Back to one running VM, the way the journal says. */
  async #undo(journal: Journal, error: GodwitError, ending: Ending | null): Promise<Outcome> {
    this.#drive?.close();
    this.#gateway?.close();
    this.#output?.close();
    const recovery = await recover(
      readJournal(journal.path),
      qmpMachine(this.#options.sourceQmpPath, this.#source),
      qmpMachine(this.#options.destinationQmpPath, this.#destination),
      (delayMs) => sleep(delayMs),
    );
    return { recovery, ending, times: null, error };
  }

  #note(text: string): void {
    this.#notes.push(text);
    this.#hooks.onNote(text);
  }

  #report(outcome: Outcome, facts: SourceFacts): MigrationReport {
    const { recovery, ending, times, error } = outcome;
    const { version } = facts.features;
    const success = recovery.outcome === 'completed';
    const output = this.#output?.facts;
    const why = error ?? new GodwitError('ABORTED', recovery.text);
    return Object.freeze({
      schema: REPORT_SCHEMA,
      migrationId: this.#id,
      success,
      failure: success ? null : { code: why.code, text: `${why.message}; ${recovery.text}` },
      outcome: recovery.outcome,
      arrangement: 'single',
      strategy: this.#options.strategy.name,
      parameters: this.#options.parameters,
      workload: null,
      seed: null,
      qemuVersion: `${version.major}.${version.minor}.${version.micro}`,
      accelerator: facts.accelerator,
      guestMemoryBytes: 0,
      dirtyBytesPerSecond: null,
      linkBytesPerSecond: this.#options.linkBytesPerSecond ?? output?.bandwidthBytesPerSecond ?? null,
      totalMigrationTimeMs: times ? times.endMs - this.#startMs : null,
      downtimeMs: times?.downtimeMs ?? null,
      downtimePredictedMs: ending?.kind === 'stop-and-copy' ? ending.downtimePredictedMs : null,
      downtimeLimitMs: this.#options.strategy.promisesDowntimeLimit
        ? this.#options.limits.downtimeMsMax
        : null,
      transferredBytes: output?.sentBytes ?? 0,
      iterations: this.#iterations.map(reportIteration),
      decision: ending?.decision ?? null,
      verification: null,
      stopAndCopy: times?.steps ?? {},
      notes: [...this.#notes],
    } satisfies MigrationReport);
  }
}

interface SourceFacts {
  readonly features: QemuFeatures;
  readonly guestWasRunning: boolean;
  readonly accelerator: string;
}

interface Outcome {
  readonly recovery: Recovery;
  readonly ending: Ending | null;
  readonly times: HandoverTimes | null;
  readonly error: GodwitError | null;
}

function gone(side: 'source' | 'destination', cause: unknown): GodwitError {
  return new GodwitError(
    `${side.toUpperCase()}_GONE`,
    `the ${side} QEMU ended or closed its QMP connection`,
    { cause },
  );
}

function asGodwitError(error: unknown): GodwitError {
  if (error instanceof GodwitError) return error;
  return new GodwitError(errorCode(error), errorMessage(error), { cause: error });
}
