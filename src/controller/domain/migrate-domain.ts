/**
 * The live move of one libvirt domain, from the first look to its report. libvirt owns the migration and both
 * VMs, godwit the stream and the moment: it is libvirt's client from Begin to Confirm, and its gateway stands
 * between the two QEMUs.
 */

import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { GodwitError, systemClock } from '../../base/index.ts';
import { startEngine } from '../../engine/index.ts';
import { LOAD_TIMEOUT_MS, SingleOutput, SourceGateway } from '../../gateway/index.ts';
import type { HandoverState, Loss } from '../../handover/index.ts';
import { domainGetJobStats, findNumber, LibvirtMigration, MIGRATE } from '../../libvirt/index.ts';
import { libvirtEnds } from '../../machines/index.ts';
import type { QmpExecutor } from '../../qmp/index.ts';
import { type Forward, forwardSocket } from '../../remote/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { Drive, type DriveEnd } from '../drive.ts';
import { asGodwitError } from '../handover/failures.ts';
import type { HandoverTimes } from '../handover/handover.ts';
import type { MigrateHooks } from '../hooks.ts';
import { FIXED_DOWNTIME_MS, storeBytesMax } from '../options.ts';
import { composeReport, type MigrationReport } from '../report.ts';
import { ReportLog } from '../report-log.ts';
import type { MigrateStep } from '../steps.ts';
import { type DomainEnds, openEnds } from './ends.ts';
import { type DomainEnd, type DomainHandoverOptions, handOverDomain, undoDomain } from './handover.ts';
import type { MigrateDomainOptions } from './options.ts';
import { DomainWatch } from './watch.ts';

/** What libvirt sets in QEMU (docs/libvirt.md). */
const CAPABILITIES: ReadonlySet<string> = new Set([
  'return-path',
  'switchover-ack',
  'pause-before-switchover',
  'events',
]);

/** Errors: those of openEnds, before anything was touched; everything later is in the report. */
export async function migrateDomain(
  options: MigrateDomainOptions,
  hooks: Omit<MigrateHooks, 'onPreflight'>,
  signal: AbortSignal,
): Promise<MigrationReport> {
  const ends = await openEnds(options, signal);
  try {
    signal.throwIfAborted();
    return await new DomainMigration(options, hooks, ends).run(signal);
  } finally {
    await ends.close();
  }
}

/** What an operator must know beforehand: docs/libvirt.md. */
const NO_GUARDIAN =
  'no guardian watches over a move of libvirt yet: if godwit is killed while the VM is stopped, look at both ends (virsh domstate) and resume the one copy there is';

class DomainMigration {
  readonly #options: MigrateDomainOptions;
  readonly #hooks: Omit<MigrateHooks, 'onPreflight'>;
  readonly #ends: DomainEnds;
  readonly #migration: LibvirtMigration;
  readonly #watch: DomainWatch;
  readonly #id = randomUUID();
  readonly #log = new ReportLog();
  readonly #lost = Promise.withResolvers<Loss>();
  readonly #failed: Promise<never>;
  readonly #layout = Promise.withResolvers<number>();
  readonly #stateComplete = Promise.withResolvers<void>();
  #failure: GodwitError | null = null;
  #guestEnded: string | null = null;
  #output: SingleOutput | null = null;
  #gateway: SourceGateway | null = null;
  #forward: Forward | null = null;
  #drive: Drive | null = null;
  #performed: Promise<void> | null = null;
  /** When Perform was called; null: it was not. */
  #startMs: number | null = null;
  readonly #steps: Record<string, number> = {};

  constructor(options: MigrateDomainOptions, hooks: Omit<MigrateHooks, 'onPreflight'>, ends: DomainEnds) {
    this.#options = options;
    this.#hooks = hooks;
    this.#ends = ends;
    const kept = ends.persistent ? MIGRATE.PERSIST_DEST | MIGRATE.UNDEFINE_SOURCE : 0;
    this.#migration = new LibvirtMigration(ends.source, ends.destination, {
      domain: ends.domain,
      flags: kept | (options.unsafe ? MIGRATE.UNSAFE : 0),
    });
    this.#watch = new DomainWatch({
      onSourceEvent: (event) => this.#drive?.onSourceEvent(event),
      onOthers: (text) => {
        this.#guestEnded ??= text;
        this.#lose(new GodwitError('GUEST_ENDED', text, { safe: 'the source VM is as it was left' }));
      },
    });
    this.#failed = this.#lost.promise.then(() => Promise.reject(this.#failure));
    this.#failed.catch(() => undefined);
  }

  async run(signal: AbortSignal): Promise<MigrationReport> {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'godwit-'));
    const cancel = () => {
      this.#lose(new GodwitError('CANCELLED', 'the operator cancelled', { safe: 'the source VM runs' }));
    };
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    this.#log.note(`libvirt ${this.#ends.libvirtVersion}`);
    this.#note(NO_GUARDIAN);
    try {
      this.#step('begin');
      let ending: DriveEnd | null = null;
      let end: DomainEnd;
      try {
        await this.#begin(folder);
        ending = await this.#decide();
        if (ending.kind === 'abort') throw ending.error;
        this.#step('decision');
        this.#note(`${ending.kind}: ${ending.decision.text}`);
        end = await handOverDomain(this.#handover());
      } catch (error) {
        end = await this.#undo(asGodwitError(error));
      }
      await this.#watch.close();
      this.#step('end');
      return this.#report(end, ending);
    } finally {
      signal.removeEventListener('abort', cancel);
      this.#drive?.close();
      this.#closeStream();
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** Begin, Prepare, the gateway between, Perform. */
  async #begin(folder: string): Promise<void> {
    const { incomingFolder, reach } = this.#options.destination;
    const incoming = path.join(incomingFolder, `godwit-${this.#id.slice(0, 8)}.sock`);
    const outgoing = path.join(folder, 'stream.sock');
    await this.#watch.begin(this.#ends);
    await this.#migration.begin();
    this.#step('settings');
    await this.#migration.prepare(`unix://${incoming}`);
    this.#step('incoming');
    this.#forward =
      reach === null ? null : await forwardSocket(reach, incoming, AbortSignal.timeout(LOAD_TIMEOUT_MS));
    const onError = (error: Error) => this.#lose(asGodwitError(error));
    this.#output = new SingleOutput(
      {
        address: `unix:${this.#forward?.path ?? incoming}`,
        clock: systemClock,
        prepareTimeoutMs: LOAD_TIMEOUT_MS,
        keepsReferences: this.#options.strategy.delta,
      },
      {
        onRoom: () => this.#gateway?.pump(),
        onReturnPath: (message, raw) => this.#gateway?.onReturnPath(message, raw),
        onError,
      },
    );
    await this.#output.connect(AbortSignal.timeout(LOAD_TIMEOUT_MS));
    this.#step('connected');
    const { ackGate } = this.#ends;
    this.#gateway = new SourceGateway(
      this.#output,
      {
        listenPath: outgoing,
        // libvirt's daemon connects, as whoever it is, and hands QEMU the connection.
        admitQemu: () => undefined,
        capabilities: CAPABILITIES,
        clock: systemClock,
        memoryBytesMax: storeBytesMax({
          far: null,
          gatewayMemoryBytesMax: this.#options.gatewayMemoryBytesMax,
        }),
        absorb: this.#options.strategy.absorb,
        deltas: this.#options.strategy.delta,
        record: null,
        ackGate,
        bandwidthBytesPerSecondMax: this.#options.bandwidthBytesPerSecondMax,
      },
      {
        onLayout: (setup) => this.#layout.resolve(setup.layout.pageCount),
        onStateComplete: () => this.#stateComplete.resolve(),
        onError,
      },
    );
    await this.#gateway.listen();
    this.#step('listening');
    if (this.#failure !== null) throw this.#failure;
    this.#startMs = systemClock.nowMs();
    this.#performed = this.#migration.perform(`unix://${outgoing}`);
    this.#performed.catch((error: unknown) => this.#lose(asGodwitError(error)));
    this.#step('migrate');
  }

  async #decide(): Promise<DriveEnd> {
    const pageCount = await Promise.race([this.#layout.promise, this.#failed]);
    this.#step('layout');
    const { strategy, parameters, limits, linkBytesPerSecond } = this.#options;
    this.#drive = new Drive({
      gateway: this.#gateway!,
      source: jobExecutor(this.#ends),
      clock: systemClock,
      startMs: this.#startMs ?? systemClock.nowMs(),
      guestRuns: this.#ends.guestWasRunning,
      stateComplete: this.#stateComplete.promise,
      engine: startEngine({
        strategy,
        parameters,
        limits,
        pageCount,
        linkBytesPerSecondConfigured: linkBytesPerSecond,
        fixedDowntimeMs: FIXED_DOWNTIME_MS,
        ackGate: this.#ends.ackGate,
      }),
      isLinkSilent: () => false,
      onProgress: (view) => this.#hooks.onProgress(view),
      onIteration: (stats) => {
        this.#log.add(stats);
        this.#hooks.onIteration(stats);
      },
    });
    return Promise.race([this.#drive.run(), this.#failed]);
  }

  #handover(): DomainHandoverOptions {
    return {
      ends: this.#ends,
      machines: libvirtEnds({
        migration: this.#migration,
        uuid: this.#ends.domain.uuid,
        source: this.#ends.source,
        destination: this.#ends.destination,
        reconnect: (end) => this.#ends.reconnect(end),
        performed: () => this.#performed,
      }),
      gateway: this.#gateway,
      watch: this.#watch,
      performed: this.#performed,
      downtimeMsMax: this.#options.limits.downtimeMsMax,
      lost: this.#lost.promise,
      closeStream: () => this.#closeStream(),
      onStep: (step) => this.#step(step),
      onState: (state) => this.#time(state),
    };
  }

  async #undo(error: GodwitError): Promise<DomainEnd> {
    this.#closeStream();
    const { guestWasRunning } = this.#ends;
    const known = { guestWasRunning, guestEnded: this.#guestEnded };
    const options = { ...this.#handover(), lost: null };
    const end = await undoDomain(error.message, known, options);
    // Whatever state the VM is in, it is not protected by a migration that is over.
    if (end.outcome.outcome === 'aborted')
      await options.machines.source.releaseClaim().catch(() => undefined);
    return { ...end, error };
  }

  #closeStream(): void {
    this.#gateway?.close();
    this.#output?.close();
    this.#forward?.close();
  }

  #lose(error: GodwitError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#lost.resolve({ why: error.message, guestEnded: this.#guestEnded });
    this.#drive?.fail(error);
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
    const downtimeMs = this.#ends.guestWasRunning && stoppedAtMs !== null ? endMs - stoppedAtMs : null;
    return { endMs, downtimeMs, steps: this.#steps };
  }

  #report({ outcome, error }: DomainEnd, ending: DriveEnd | null): MigrationReport {
    return composeReport({
      recovery: outcome,
      ending,
      times: outcome.outcome === 'completed' ? this.#times() : null,
      error: this.#failure ?? error,
      migrationId: this.#id,
      options: { ...this.#options, far: null },
      preflight: {
        features: { version: this.#ends.qemuVersion },
        source: { accelerator: this.#ends.accelerator },
        memory: { guestBytes: this.#ends.memoryBytes },
      },
      output: this.#output?.facts ?? null,
      startMs: this.#startMs,
      log: this.#log,
    });
  }

  #step(step: MigrateStep): void {
    this.#hooks.onStep?.(step);
  }

  #note(text: string): void {
    this.#log.note(text);
    this.#hooks.onNote(text);
  }
}

/** libvirt's own figures of the job, as an answer to query-migrate: godwit never speaks to QEMU here. */
function jobExecutor({ source, domain }: DomainEnds): QmpExecutor {
  return {
    execute: async (name) => {
      if (name !== 'query-migrate') throw new GodwitError('QMP_UNSUPPORTED', `libvirt has no ${name}`);
      const { parameters } = await source.call(domainGetJobStats, { domain, flags: 0 });
      const bytes = (field: string) => findNumber(parameters, field) ?? 0;
      return {
        status: 'active',
        ram: {
          transferred: bytes('memory_processed'),
          remaining: bytes('memory_remaining'),
          total: bytes('memory_total'),
          duplicate: bytes('memory_constant'),
          normal: bytes('memory_normal'),
          'normal-bytes': bytes('memory_normal_bytes'),
          'dirty-pages-rate': bytes('memory_dirty_rate'),
          'dirty-sync-count': bytes('memory_iteration'),
          'page-size': PAGE_SIZE_BYTES,
          mbps: 0,
        },
      };
    },
  };
}
