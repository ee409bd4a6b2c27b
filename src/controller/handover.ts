/**
 * The handover: one running VM, always. The VM is stopped by command, so that nothing starts by itself; the rest flows;
 * the destination proves that it loaded everything; COMMIT goes to the journal; `cont` on the destination is the act.
 * Not responsible for undoing: it throws, and recover.ts ends what the journal shows.
 */

import { GodwitError, systemClock } from '../base/index.ts';
import type { SourceGateway } from '../gateway/index.ts';
import { cont, migrateSetParameters, type QmpClient, queryStatus, stop } from '../qmp/index.ts';
import type { Journal } from './journal.ts';
import { LOAD_TIMEOUT_MS } from './options.ts';
import { DRAIN_STOPPED_BYTES_PER_SECOND } from './settings.ts';

export interface HandoverOptions {
  readonly source: QmpClient;
  readonly destination: QmpClient;
  readonly gateway: SourceGateway;
  readonly journal: Journal;
  readonly guestWasRunning: boolean;
  readonly sourceAfter: 'keep' | 'quit';
  /** When QEMU stopped the VM by itself; null if it runs. */
  readonly stoppedAtMs: number | null;
  /** Rejects when a gateway or a QEMU fails. */
  readonly failed: Promise<never>;
  /** The operator's cancel; heeded until COMMIT. */
  readonly signal: AbortSignal;
  readonly onNote: (text: string) => void;
}

export interface HandoverTimes {
  readonly endMs: number;
  /** null for a guest that was paused. */
  readonly downtimeMs: number | null;
  /** Milliseconds since the stop. */
  readonly steps: Readonly<Record<string, number>>;
}

export async function handOver(options: HandoverOptions): Promise<HandoverTimes> {
  const { source, destination, gateway, journal } = options;
  const cancelled = rejectOnAbort(options.signal);
  const beforeCommit = <Value>(step: Promise<Value>) =>
    Promise.race([step, options.failed, cancelled.promise]);
  try {
    const startMs = systemClock.nowMs();
    const stoppedMs = await stopSource(options);
    const steps: Record<string, number> = {};
    const note = (name: string) => {
      steps[name] = Math.round((systemClock.nowMs() - stoppedMs) * 10) / 10;
    };
    gateway.enterStopAndCopy();
    await beforeCommit(gateway.drained());
    note('drainedMs');
    await beforeCommit(gateway.complete());
    journal.write({ step: 'prepared' });
    note('loadedMs');
    await beforeCommit(untilLoaded(destination));
    options.signal.throwIfAborted();
    journal.write({ step: 'commit' });
    note('commitMs');
    const resumedMs = options.guestWasRunning ? await startDestination(destination) : systemClock.nowMs();
    journal.write({ step: 'running' });
    gateway.releaseSource();
    options.onNote('the VM is at the destination; never continue the source');
    if (options.sourceAfter === 'quit') await source.execute('quit').catch(() => undefined);
    else await settleSource(source);
    steps['stopAskedMs'] = Math.round((stoppedMs - startMs) * 10) / 10;
    return { endMs: resumedMs, downtimeMs: options.guestWasRunning ? resumedMs - stoppedMs : null, steps };
  } finally {
    cancelled.release();
  }
}

/** `stop`, unless QEMU already stopped the VM by itself or the guest was paused. Returns when it stopped. */
async function stopSource(options: HandoverOptions): Promise<number> {
  const { source, journal } = options;
  if (options.stoppedAtMs !== null) return options.stoppedAtMs;
  await migrateSetParameters(source, new Map([['max-bandwidth', DRAIN_STOPPED_BYTES_PER_SECOND]]));
  if (!options.guestWasRunning) return systemClock.nowMs();
  const mark = source.eventMark();
  journal.write({ step: 'stop' });
  await stop(source);
  return (await source.waitEvent('STOP', { since: mark, timeoutMs: LOAD_TIMEOUT_MS })).receivedAtMs;
}

/** SHUT(0) says that loading ended; the run state says that the VM waits for `cont`. */
async function untilLoaded(destination: QmpClient): Promise<void> {
  const deadlineMs = systemClock.nowMs() + LOAD_TIMEOUT_MS;
  while (systemClock.nowMs() < deadlineMs) {
    const { status } = await queryStatus(destination);
    if (status !== 'inmigrate') return;
  }
  throw new GodwitError('PREPARE_TIMEOUT', 'the destination QEMU stays in its incoming migration');
}

/** Errors: DESTINATION_NOT_STARTED when `cont` is refused (a disk that is locked elsewhere) or changes nothing. */
async function startDestination(destination: QmpClient): Promise<number> {
  const mark = destination.eventMark();
  try {
    await cont(destination);
    const resumed = await destination.waitEvent('RESUME', { since: mark, timeoutMs: LOAD_TIMEOUT_MS });
    return resumed.receivedAtMs;
  } catch (cause) {
    throw new GodwitError(
      'DESTINATION_NOT_STARTED',
      'the destination QEMU loaded the VM but does not start it',
      {
        cause,
        hint: 'its message names the reason, usually a disk image that another process has locked',
      },
    );
  }
}

/** Lets the source finish its side, so that it ends `completed` and not as a failed migration. */
async function settleSource(source: QmpClient): Promise<void> {
  const deadlineMs = systemClock.nowMs() + 5_000;
  while (systemClock.nowMs() < deadlineMs) {
    const info = (await source.execute('query-migrate').catch(() => ({}))) as { status?: string };
    if (info.status === undefined || info.status === 'completed' || info.status === 'failed') return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function rejectOnAbort(signal: AbortSignal) {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  const onAbort = () => reject(new GodwitError('CANCELLED', 'the operator cancelled'));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  return { promise, release: () => signal.removeEventListener('abort', onAbort) };
}
