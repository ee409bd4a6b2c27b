/**
 * Measures a running VM without moving it: a migration into nothing for a bounded time, then cancelled. The
 * guest runs all the while, and QEMU's settings are put back, also by the guardian if this process dies. Not
 * responsible for what follows from the trace (the caller).
 */

import { randomUUID } from 'node:crypto';
import { formatBytes, formatMs, GIB, GodwitError, MIB, sleep, systemClock } from '../../base/index.ts';
import { NullOutput, SourceGateway } from '../../gateway/index.ts';
import {
  connectQmp,
  migrate,
  migrateCancel,
  ParameterGuard,
  probeQemu,
  type QemuFeatures,
  type QmpClient,
  type QmpEvent,
  qemuIdentity,
  queryKvm,
  queryMigrate,
  queryMigrateCapabilities,
  refuseLibvirtSocket,
  releaseClaim,
} from '../../qmp/index.ts';
import { readRecording, type Recording as Trace } from '../../trace/index.ts';
import { Custody, vmOf } from '../custody.ts';
import { asGodwitError, qmpLost } from '../handover/failures.ts';
import { sourceSettings } from '../preflight/settings.ts';
import { StreamSocket } from '../sockets.ts';
import { spacePass } from './pacing.ts';
import { openRecording } from './recording.ts';
import { refuseIdle, refuseQuiet } from './refusals.ts';
import type { AssessHooks, Assessment, AssessOptions } from './types.ts';

export const ASSESS_DURATION_MS = 20_000;
/** Runs of pages take a few bytes; more than this does not fit the memory that a replay takes. */
const TRACE_BYTES_MAX = 512 * MIB;
/** Nothing waits in a sink: bookkeeping, and a first megabyte. */
const GATEWAY_MEMORY_BYTES_MAX = 64 * GIB;
const VIEW_MS = 100;
/** The last pass may take this long; then it is cut off. */
const LAST_PASS_MS_MAX = 1000;
const CANCEL_TIMEOUT_MS = 10_000;
const CANCEL_POLL_MS = 20;
/** Capabilities of another stream than ours, or with an effect on the guest. */
const SWITCHED_OFF = [
  'multifd',
  'xbzrle',
  'compress',
  'mapped-ram',
  'auto-converge',
  'dirty-limit',
  'x-colo',
];

/**
 * Errors: ASSESS_*, those of connecting, STREAM_UNREADABLE. Whatever happens, the guest runs on and its
 * settings are put back.
 */
export async function assess(
  options: AssessOptions,
  hooks: AssessHooks,
  signal: AbortSignal,
): Promise<Assessment> {
  await refuseLibvirtSocket(options.sourceQmpPath);
  const source = await connectQmp({ path: options.sourceQmpPath, signal });
  try {
    await refuseIdle(source);
    const features = await probeQemu(source);
    const ackGate = features.ackOwed === 'yes' && options.ackGate === 'auto';
    if (!ackGate) await refuseQuiet(source, features, options.acceptPause, signal);
    const socket = await StreamSocket.of(options.sourceQmpPath, source);
    try {
      return await new Measurement(options, hooks, source, features, ackGate, socket).run(signal);
    } finally {
      socket.remove();
    }
  } finally {
    await source.close();
  }
}

class Measurement {
  readonly #options: AssessOptions;
  readonly #hooks: AssessHooks;
  readonly #source: QmpClient;
  readonly #features: QemuFeatures;
  readonly #ackGate: boolean;
  readonly #id = randomUUID();
  readonly #socket: StreamSocket;
  readonly #output = new NullOutput();
  readonly #chunks: Uint8Array[] = [];
  readonly #over = Promise.withResolvers<Assessment['endedBy']>();
  #traceBytes = 0;
  #gateway: SourceGateway | null = null;
  #onNextPass: (() => void) | null = null;
  #stoppedAtMs: number | null = null;
  #pausedMs = 0;
  #cancelling = false;

  constructor(
    options: AssessOptions,
    hooks: AssessHooks,
    source: QmpClient,
    features: QemuFeatures,
    ackGate: boolean,
    socket: StreamSocket,
  ) {
    this.#socket = socket;
    this.#options = options;
    this.#hooks = hooks;
    this.#source = source;
    this.#features = features;
    this.#ackGate = ackGate;
    this.#over.promise.catch(() => undefined);
  }

  async run(signal: AbortSignal): Promise<Assessment> {
    const custody = await this.#takeCustody();
    const guard = new ParameterGuard(this.#source, {
      record: (previous) => custody.journal.record({ step: 'settings', ...previous }),
    });
    const file = openRecording(this.#options.recordPath);
    const onAbort = () => this.#over.reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      await this.#begin(guard);
      await custody.guardian.watching;
      return await this.#measure(file?.write ?? null);
    } finally {
      signal.removeEventListener('abort', onAbort);
      await this.#undo(guard, custody);
      await file?.close();
    }
  }

  async #takeCustody(): Promise<Custody> {
    const { sourceQmpPath, stateDirectory } = this.#options;
    const claim = this.#id;
    return Custody.take({
      migrationId: this.#id,
      stateDirectory,
      endpoints: {
        source: { qmpPath: sourceQmpPath, identity: await qemuIdentity(this.#source), claim, reach: null },
        // There is no destination: recovery finds nobody there, cancels, and puts the settings back.
        destination: {
          qmpPath: `${this.#socket.listenPath}.no-destination`,
          ...{ identity: null, claim: null, reach: null },
        },
      },
      sourceAfter: 'keep',
      guestWasRunning: true,
      onEnd: null,
      vm: await vmOf(this.#source),
      claimed: [this.#source],
    });
  }

  async #begin(guard: ParameterGuard): Promise<void> {
    const { capabilities } = this.#features;
    const off = SWITCHED_OFF.filter((name) => capabilities.has(name)).map((name) => [name, false]);
    const settings = sourceSettings(this.#features, this.#ackGate, 'gateway', 0);
    await guard.setCapabilities({ ...Object.fromEntries(off), ...settings.capabilities });
    await guard.setParameters(settings.parameters);
  }

  async #measure(write: ((bytes: Uint8Array) => void) | null): Promise<Assessment> {
    const enabled = [...(await queryMigrateCapabilities(this.#source))].flatMap(([name, on]) =>
      on ? [name] : [],
    );
    const { listenPath, admitQemu, uri } = this.#socket;
    const gateway = new SourceGateway(
      this.#output,
      {
        listenPath,
        admitQemu,
        capabilities: new Set(enabled),
        clock: systemClock,
        memoryBytesMax: GATEWAY_MEMORY_BYTES_MAX,
        absorb: true,
        deltas: false,
        record: (bytes) => this.#record(bytes, write),
        ackGate: this.#ackGate,
        bandwidthBytesPerSecondMax: null,
      },
      {
        onLayout: () => undefined,
        onStateComplete: () => this.#over.resolve('pause'),
        onError: (error) => this.#over.reject(asGodwitError(error)),
      },
    );
    this.#gateway = gateway;
    await gateway.listen();
    // A sink is never full; without the ack reading must be allowed.
    gateway.setWaitingMax(Number.POSITIVE_INFINITY);
    this.#source.on((event) => this.#onEvent(event));
    void this.#source.closed.then((cause) => this.#over.reject(qmpLost('source', cause)));
    const startMs = systemClock.nowMs();
    await migrate(this.#source, uri);
    const endedBy = await this.#untilOver(startMs);
    const durationMs = systemClock.nowMs() - startMs;
    await this.#cancel();
    return {
      trace: this.#wholeTrace(durationMs),
      cost: this.#output.cost(),
      durationMs,
      passes: gateway.passes,
      endedBy,
      pausedMs: this.#pausedMs,
      qemuVersion: Object.values(this.#features.version).join('.'),
      accelerator: (await queryKvm(this.#source)).enabled ? 'kvm' : 'tcg',
    };
  }

  #record(bytes: Uint8Array, write: ((bytes: Uint8Array) => void) | null): void {
    write?.(bytes);
    this.#chunks.push(bytes);
    this.#traceBytes += bytes.length;
    if (this.#traceBytes > TRACE_BYTES_MAX) this.#over.resolve('trace-full');
  }

  async #untilOver(startMs: number): Promise<Assessment['endedBy']> {
    const view = setInterval(() => {
      this.#gateway?.refresh();
      const elapsedMs = systemClock.nowMs() - startMs;
      this.#hooks.onProgress({
        elapsedMs,
        passes: this.#gateway?.passes ?? 0,
        traceBytes: this.#traceBytes,
      });
    }, VIEW_MS);
    const timer = setTimeout(() => {
      this.#onNextPass = () => this.#over.resolve('duration');
      setTimeout(() => this.#over.resolve('duration'), LAST_PASS_MS_MAX).unref();
    }, this.#options.durationMs);
    try {
      return await this.#over.promise;
    } finally {
      clearInterval(view);
      clearTimeout(timer);
    }
  }

  #onEvent(event: QmpEvent): void {
    if (event.name === 'MIGRATION_PASS') {
      this.#gateway?.notePass(Number(event.data['pass'] ?? 0));
      this.#onNextPass?.();
      if (!this.#ackGate) void this.#pace();
    } else if (event.name === 'STOP') {
      this.#stoppedAtMs = event.receivedAtMs;
      // A source in its final stage whose connection ends runs on at once.
      this.#gateway?.close();
      this.#over.resolve('pause');
    } else if (event.name === 'RESUME' && this.#stoppedAtMs !== null) {
      this.#pausedMs += event.receivedAtMs - this.#stoppedAtMs;
      this.#stoppedAtMs = null;
      this.#hooks.onNote(`the VM was stopped for ${formatMs(this.#pausedMs)}`);
    } else if (['SHUTDOWN', 'GUEST_PANICKED'].includes(event.name)) {
      this.#over.reject(new GodwitError('ASSESS_NOT_RUNNING', 'the guest ended while it was measured'));
    }
  }

  async #pace(): Promise<void> {
    const isLarge = await spacePass(this.#source, this.#gateway!).catch(() => false);
    if (!isLarge) this.#over.resolve('quiet');
  }

  /** QEMU refuses new settings until a cancelled migration has ended. */
  async #cancel(): Promise<void> {
    if (this.#cancelling || this.#gateway === null) return;
    this.#cancelling = true;
    await migrateCancel(this.#source);
    const deadlineMs = systemClock.nowMs() + CANCEL_TIMEOUT_MS;
    while (systemClock.nowMs() < deadlineMs) {
      const { status } = await queryMigrate(this.#source);
      if (['none', 'cancelled', 'failed', 'completed'].includes(status)) break;
      await sleep(CANCEL_POLL_MS);
    }
    this.#gateway.close();
  }

  async #undo(guard: ParameterGuard, custody: Custody): Promise<void> {
    try {
      await this.#cancel();
      await guard.restore();
    } finally {
      this.#gateway?.close();
      const source = { releaseClaim: () => releaseClaim(this.#source, this.#id) };
      await custody.end({ outcome: 'aborted', text: 'the VM was measured and runs on' }, [source]);
    }
  }

  /** Errors: ASSESS_TOO_SHORT when no pass after the first was seen whole. */
  #wholeTrace(durationMs: number): Trace {
    const trace = readRecording(this.#chunks);
    const sets = trace.sets.slice(0, -1);
    if (sets.length > 0) return { ...trace, sets };
    const pages = formatBytes(trace.header.pageCount * trace.header.pageSizeBytes);
    throw new GodwitError(
      'ASSESS_TOO_SHORT',
      `${formatMs(durationMs)} were not enough for two passes over ${pages}`,
      {
        safe: 'the VM runs, and its settings are put back',
        hint: 'QEMU reads about 1 GiB a second: give --duration more',
      },
    );
  }
}
