/**
 * The live move of one libvirt domain, from the first look to its report. libvirt owns the migration and both
 * VMs, godwit the stream and the moment: it is libvirt's client from Begin to Confirm, and its gateway stands
 * between the two QEMUs.
 */

import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { errorMessage, GodwitError, systemClock } from '../../base/index.ts';
import type { SourceGateway } from '../../gateway/index.ts';
import type { HandoverState } from '../../handover/index.ts';
import { LibvirtMigration, MIGRATE, persistenceFlags } from '../../libvirt/index.ts';
import { libvirtEnds, type Machine } from '../../machines/index.ts';
import { withFound } from '../../recovery/index.ts';
import { type ControlServer, tryOpenControl } from '../control/server.ts';
import { Custody } from '../custody.ts';
import type { Drive, DriveEnd } from '../drive.ts';
import { FirstFailure } from '../first-failure.ts';
import { asGodwitError } from '../handover/failures.ts';
import type { HandoverTimes } from '../handover/handover.ts';
import type { MigrateHooks } from '../hooks.ts';
import { openDrive } from '../open-drive.ts';
import { composeReport, type MigrationReport } from '../report.ts';
import { ReportLog } from '../report-log.ts';
import { Steering } from '../steering.ts';
import type { MigrateStep } from '../steps.ts';
import { type DomainEnds, domainEndpoints, openEnds } from './ends.ts';
import { type DomainEnd, type DomainHandoverOptions, handOverDomain, undoDomain } from './handover.ts';
import { jobExecutor } from './job.ts';
import type { MigrateDomainOptions } from './options.ts';
import { DomainStream } from './stream.ts';
import { DomainWatch } from './watch.ts';

/**
 * Errors: those of openEnds and of custody, before anything was touched; everything later is in the report.
 */
export async function migrateDomain(
  options: MigrateDomainOptions,
  hooks: Omit<MigrateHooks, 'onPreflight'>,
  signal: AbortSignal,
): Promise<MigrationReport> {
  const askedAtMs = options.askedAtMs ?? systemClock.nowMs();
  const ends = await openEnds(options, signal);
  try {
    signal.throwIfAborted();
    return await new DomainMigration({ ...options, askedAtMs }, hooks, ends).run(signal);
  } finally {
    await ends.close();
  }
}

interface Machines {
  readonly source: Machine;
  readonly destination: Machine;
}

class DomainMigration {
  readonly #options: MigrateDomainOptions;
  readonly #hooks: Omit<MigrateHooks, 'onPreflight'>;
  readonly #ends: DomainEnds;
  readonly #migration: LibvirtMigration;
  readonly #machines: Machines;
  readonly #watch: DomainWatch;
  readonly #steering: Steering;
  readonly #id = randomUUID();
  readonly #log = new ReportLog();
  readonly #first = new FirstFailure();
  readonly #layout = Promise.withResolvers<number>();
  readonly #stateComplete = Promise.withResolvers<void>();
  readonly #stream = new DomainStream();
  #drive: Drive | null = null;
  #performed: Promise<void> | null = null;
  /** When Perform was called; null: it was not. */
  #startMs: number | null = null;
  readonly #steps: Record<string, number> = {};

  constructor(options: MigrateDomainOptions, hooks: Omit<MigrateHooks, 'onPreflight'>, ends: DomainEnds) {
    this.#options = options;
    this.#hooks = hooks;
    this.#ends = ends;
    const { source, destination, domain, persistent, daemons } = ends;
    this.#steering = new Steering(this.#id, {
      ...options,
      source: `libvirt:${domain.name}`,
      destination: options.destination.text,
      arrangement: options.destination.far === null ? 'single' : 'paired',
    });
    this.#migration = new LibvirtMigration(source, destination, {
      domain,
      flags: persistenceFlags(persistent) | (options.unsafe ? MIGRATE.UNSAFE : 0),
    });
    this.#machines = libvirtEnds({
      ...{ migration: this.#migration, uuid: domain.uuid, persistent },
      ...daemons,
      performed: () => this.#performed,
      isFound: false,
    });
    this.#watch = new DomainWatch({
      onSourceEvent: (event) => this.#drive?.onSourceEvent(event),
      onOthers: (text) => {
        this.#first.noteGuestEnd(text);
        this.#lose(new GodwitError('GUEST_ENDED', text, { safe: 'the source VM is as it was left' }));
      },
    });
  }

  async run(asked: AbortSignal): Promise<MigrationReport> {
    const signal = AbortSignal.any([asked, this.#steering.cancelled]);
    const custody = await this.#takeCustody();
    const folder = mkdtempSync(path.join(os.tmpdir(), 'godwit-'));
    const cancel = () => {
      this.#lose(new GodwitError('CANCELLED', 'the operator cancelled', { safe: 'the source VM runs' }));
    };
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    let control: ControlServer | null = null;
    this.#log.note(`libvirt ${this.#ends.libvirtVersion}`);
    try {
      this.#step('begin');
      control = await this.#openControl(custody);
      const { end, ending } = await this.#attempt(custody, folder, signal);
      this.#step('end');
      return this.#report(end, ending);
    } finally {
      signal.removeEventListener('abort', cancel);
      this.#drive?.close();
      this.#stream.close();
      await this.#stream.recording?.close().catch((error: unknown) => this.#note(errorMessage(error)));
      if (!custody.journal.isHanging) control?.close();
      rmSync(folder, { recursive: true, force: true });
    }
  }

  #takeCustody(): Promise<Custody> {
    return Custody.take({
      migrationId: this.#id,
      stateDirectory: this.#options.stateDirectory,
      endpoints: domainEndpoints(this.#options, this.#ends),
      // Confirm ends the source's VM: libvirt keeps none that runs elsewhere.
      sourceAfter: 'quit',
      guestWasRunning: true,
      onEnd: this.#options.onEnd ?? null,
      vm: this.#ends.domain.uuid,
      claimed: [],
    });
  }

  #openControl({ journal }: Custody): Promise<ControlServer | null> {
    return tryOpenControl(path.dirname(journal.path), this.#steering, (text) => this.#note(text));
  }

  /** The migration, and whatever happens its end: never rejects, since something may have been changed. */
  async #attempt(
    custody: Custody,
    folder: string,
    signal: AbortSignal,
  ): Promise<{ end: DomainEnd; ending: DriveEnd | null }> {
    let ending: DriveEnd | null = null;
    let end: DomainEnd;
    try {
      const gateway = await this.#begin(custody, folder, signal);
      ending = await this.#decide(gateway);
      if (ending.kind === 'abort') throw ending.error;
      this.#step('decision');
      this.#note(`${ending.kind}: ${ending.decision.text}`);
      end = await this.#handOver(custody);
    } catch (error) {
      end = await this.#undo(asGodwitError(error), custody);
    }
    this.#stream.close();
    await this.#watch.close();
    if (end.outcome.outcome === 'in-doubt') {
      const endpoints = domainEndpoints(this.#options, this.#ends);
      end = { ...end, outcome: await withFound(end.outcome, endpoints, this.#machines) };
    }
    for (const text of await custody.end(end.outcome, [this.#machines.source])) this.#note(text);
    return { end, ending };
  }

  /** Begin, Prepare, the gateway between, Perform. */
  async #begin({ journal, guardian }: Custody, folder: string, signal: AbortSignal): Promise<SourceGateway> {
    const incoming = path.join(
      this.#options.destination.incomingFolder,
      `godwit-${this.#id.slice(0, 8)}.sock`,
    );
    const outgoing = path.join(folder, 'stream.sock');
    const onError = (error: Error) => this.#lose(asGodwitError(error));
    await this.#watch.begin(this.#ends);
    await this.#migration.begin();
    this.#step('settings');
    const listen = async () => {
      await journal.record({ step: 'incoming', answer: 'asked' });
      await this.#migration.prepare(`unix://${incoming}`);
      this.#step('incoming');
    };
    const onNote = (text: string) => this.#note(text);
    await this.#stream.connect(this.#options, { incoming, listen, onError, onNote }, signal);
    this.#step('connected');
    const { ackGate } = this.#ends;
    const gateway = await this.#stream.listenFor(
      this.#options,
      { outgoing, ackGate },
      {
        onLayout: (pageCount) => this.#layout.resolve(pageCount),
        onStateComplete: () => this.#stateComplete.resolve(),
        onError,
      },
    );
    this.#step('listening');
    await Promise.race([guardian.watching, this.#first.rejected]);
    if (this.#first.error !== null) throw this.#first.error;
    this.#startMs = systemClock.nowMs();
    this.#performed = this.#migration.perform(`unix://${outgoing}`);
    this.#performed.catch((error: unknown) => this.#lose(asGodwitError(error)));
    this.#step('migrate');
    return gateway;
  }

  async #decide(gateway: SourceGateway): Promise<DriveEnd> {
    const pageCount = await Promise.race([this.#layout.promise, this.#first.rejected]);
    this.#step('layout');
    const drive = openDrive({
      options: this.#options,
      gateway,
      stream: this.#stream,
      source: jobExecutor(this.#ends),
      startMs: this.#startMs ?? systemClock.nowMs(),
      guestRuns: true,
      ackGate: this.#ends.ackGate,
      pageCount,
      stateComplete: this.#stateComplete.promise,
      steering: this.#steering,
      log: this.#log,
      hooks: this.#hooks,
    });
    this.#drive = drive;
    return Promise.race([drive.run(), this.#first.rejected]);
  }

  #handover({ journal }: Custody): DomainHandoverOptions {
    return {
      ends: this.#ends,
      machines: this.#machines,
      journal,
      gateway: this.#stream.gateway,
      watch: this.#watch,
      performed: this.#performed,
      downtimeMsMax: () => this.#steering.limits.downtimeMsMax,
      lost: this.#first.lost,
      closeStream: () => this.#stream.close(),
      onStep: (step) => this.#step(step),
      onState: (state) => this.#time(state),
    };
  }

  async #handOver(custody: Custody): Promise<DomainEnd> {
    const { downtimeMsMax } = this.#steering.limits;
    const silence = this.#stream.way!.watchStopped(downtimeMsMax, (error) => this.#lose(error));
    try {
      return await handOverDomain({
        ...this.#handover(custody),
        onStep: (step) => {
          if (step === 'loaded') silence.close();
          this.#step(step);
        },
      });
    } finally {
      silence.close();
    }
  }

  async #undo(error: GodwitError, custody: Custody): Promise<DomainEnd> {
    this.#stream.close();
    const options = { ...this.#handover(custody), lost: null };
    const end = await undoDomain(error.message, this.#first.guestEnded, options);
    return { ...end, error };
  }

  #lose(error: GodwitError): void {
    if (this.#first.note(error)) this.#drive?.fail(error);
  }

  #time({ phase }: HandoverState): void {
    const names: Partial<Record<HandoverState['phase'], string>> = {
      proving: 'drainedMs',
      'recording-prepared': 'loadedMs',
      looking: 'releasedMs',
      starting: 'commitMs',
    };
    const name = names[phase];
    const stoppedMs = this.#watch.stoppedAtMs;
    if (name !== undefined && stoppedMs !== null) {
      this.#steps[name] = Math.round((systemClock.nowMs() - stoppedMs) * 10) / 10;
    }
  }

  #times(): HandoverTimes {
    const endMs = this.#watch.startedAtMs ?? systemClock.nowMs();
    const { stoppedAtMs } = this.#watch;
    return { endMs, downtimeMs: stoppedAtMs === null ? null : endMs - stoppedAtMs, steps: this.#steps };
  }

  #report({ outcome, error }: DomainEnd, ending: DriveEnd | null): MigrationReport {
    return composeReport({
      recovery: outcome,
      ending,
      times: outcome.outcome === 'completed' ? this.#times() : null,
      error: this.#first.error ?? error,
      migrationId: this.#id,
      options: { ...this.#options, far: this.#options.destination.far },
      preflight: {
        features: { version: this.#ends.qemuVersion },
        source: { accelerator: this.#ends.accelerator },
        memory: { guestBytes: this.#ends.memoryBytes },
      },
      output: this.#stream.way?.output.facts ?? null,
      startMs: this.#startMs,
      log: this.#log,
    });
  }

  #step(step: MigrateStep): void {
    this.#steering.step(step);
    this.#hooks.onStep?.(step);
  }

  #note(text: string): void {
    this.#log.note(text);
    this.#hooks.onNote(text);
  }
}
