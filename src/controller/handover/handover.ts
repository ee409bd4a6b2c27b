/**
 * The handover: one running VM, always. The VM is stopped by command, so that nothing starts by itself; the rest flows;
 * the destination proves that it loaded everything; COMMIT goes to the journal; `cont` on the destination is the act.
 * Before COMMIT the source is released: its migration completes, it lets go of the disks, and from there on only a command
 * starts it, also where QEMU stopped the VM by itself. The destination never starts by itself: migrate.ts sends it `stop`
 * before it loads. Not responsible for undoing: it throws, and recover.ts ends what the journal shows.
 */

import { GodwitError, sleep, systemClock } from '../../base/index.ts';
import { HURRY_MS_MAX, HurriedPasses, heldOutlastsHurry } from '../../engine/index.ts';
import type { SourceGateway } from '../../gateway/index.ts';
import {
  cont,
  migrateSetParameters,
  type QmpClient,
  queryMigrate,
  queryStatus,
  quit,
  stop,
} from '../../qmp/index.ts';
import type { Journal } from '../../recovery/index.ts';
import { DRAIN_STOPPED_BYTES_PER_SECOND } from '../preflight/settings.ts';
import type { MigrateStep } from '../steps.ts';

/** An event that QEMU emits with a command's answer. */
const EVENT_TIMEOUT_MS = 5_000;
/** With RAM and devices loaded, what is left is opening the disks. */
const ACTIVATE_TIMEOUT_MS = 5_000;
const RELEASE_TIMEOUT_MS = 5_000;

export interface HandoverOptions {
  readonly source: QmpClient;
  readonly destination: QmpClient;
  readonly gateway: SourceGateway;
  readonly journal: Journal;
  readonly guestWasRunning: boolean;
  readonly sourceAfter: 'keep' | 'quit';
  /** When the source's last STOP event came; null while it runs. */
  readonly stoppedAtMs: () => number | null;
  /** Rejects when a gateway or a QEMU fails. */
  readonly failed: Promise<never>;
  /** The operator's cancel; heeded until COMMIT. */
  readonly signal: AbortSignal;
  readonly onNote: (text: string) => void;
  readonly onStep: (step: MigrateStep) => void;
}

export interface HandoverTimes {
  readonly endMs: number;
  /** null for a guest that was paused. */
  readonly downtimeMs: number | null;
  /** Milliseconds since the stop. */
  readonly steps: Readonly<Record<string, number>>;
}

export async function handOver(options: HandoverOptions): Promise<HandoverTimes> {
  const { source, destination, gateway, journal, guestWasRunning, onStep } = options;
  const heed = heedUntilCommit(options);
  const beforeCommit = heed.step;
  try {
    const startMs = systemClock.nowMs();
    const stoppedMs = await beforeCommit(stopSource(options));
    const steps: Record<string, number> = {};
    const note = (name: string) => {
      steps[name] = Math.round((systemClock.nowMs() - stoppedMs) * 10) / 10;
    };
    onStep('stopped');
    gateway.enterStopAndCopy();
    onStep('stop-and-copy');
    await beforeCommit(gateway.drained());
    note('drainedMs');
    onStep('drained');
    await beforeCommit(gateway.complete());
    onStep('loaded');
    journal.write({ step: 'prepared' });
    note('loadedMs');
    onStep('prepared');
    await beforeCommit(release(options));
    note('releasedMs');
    onStep('released');
    // The last look; a connection that has just ended is heard of meanwhile.
    await beforeCommit(untilLoaded(destination));
    heed.look();
    journal.write({ step: 'commit' });
    note('commitMs');
    onStep('commit');
    const resumedMs = guestWasRunning ? await startDestination(options) : systemClock.nowMs();
    journal.write({ step: 'running' });
    onStep('running');
    options.onNote('the VM is at the destination; never continue the source');
    if (options.sourceAfter === 'quit') await quit(source).catch(() => undefined);
    steps['stopAskedMs'] = Math.round((stoppedMs - startMs) * 10) / 10;
    return { endMs: resumedMs, downtimeMs: guestWasRunning ? resumedMs - stoppedMs : null, steps };
  } finally {
    heed.release();
  }
}

/** `stop`, unless QEMU already stopped the VM by itself or the guest was paused. Returns when it stopped. Errors: GUEST_ENDED. */
async function stopSource(options: HandoverOptions): Promise<number> {
  const { source, journal, onStep } = options;
  const alreadyMs = options.stoppedAtMs();
  if (alreadyMs !== null) return alreadyMs;
  await migrateSetParameters(source, new Map([['max-bandwidth', DRAIN_STOPPED_BYTES_PER_SECOND]]));
  if (!options.guestWasRunning) return systemClock.nowMs();
  await untilPassesAreShort(options);
  journal.write({ step: 'stop' });
  onStep('stopping');
  await stop(source);
  // QEMU emits STOP before it answers.
  const { status } = await queryStatus(source);
  const atMs = options.stoppedAtMs() ?? systemClock.nowMs();
  // "finish-migrate": QEMU began its final stage in the moment before our command.
  if (status === 'paused' || status === 'finish-migrate') return atMs;
  throw new GodwitError('GUEST_ENDED', `the source VM is "${status}" instead of stopped`, {
    safe: 'the source VM is as its guest left it',
  });
}

/** Nobody has to wait for what passes kept apart leave: see HurriedPasses. */
async function untilPassesAreShort({ source, gateway }: HandoverOptions): Promise<void> {
  const snapshot = gateway.snapshot();
  if (!gateway.hurryPasses(snapshot !== null && heldOutlastsHurry(snapshot))) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const passes = new HurriedPasses();
  const ignore = source.on(({ name, receivedAtMs }) => {
    if (name === 'MIGRATION_PASS' && passes.begin(receivedAtMs, gateway.restPages)) resolve();
  });
  await Promise.race([promise, sleep(HURRY_MS_MAX)]);
  ignore();
}

/** The run state says that the VM waits for `cont`. Errors: DESTINATION_NOT_STARTED. */
async function untilLoaded(destination: QmpClient): Promise<void> {
  let deadlineMs: number | null = null;
  for (;;) {
    const { status } = await queryStatus(destination);
    if (status !== 'inmigrate') return;
    // A broken link may have kept the first answer back for long.
    deadlineMs ??= systemClock.nowMs() + ACTIVATE_TIMEOUT_MS;
    if (systemClock.nowMs() >= deadlineMs) break;
    await sleep(1);
  }
  throw new GodwitError(
    'DESTINATION_NOT_STARTED',
    'the destination loaded the VM but stays in its migration',
    {
      safe: 'it never ran',
      hint: 'its log names the reason, usually a disk image that another process has locked',
    },
  );
}

/** SHUT(0) reaches the source, whose migration completes. Errors: SOURCE_NOT_RELEASED. */
async function release({ gateway, source }: HandoverOptions): Promise<void> {
  gateway.releaseSource();
  const deadlineMs = systemClock.nowMs() + RELEASE_TIMEOUT_MS;
  for (;;) {
    const { status } = await queryMigrate(source);
    if (status === 'completed') return;
    const ended = status === 'failed' || status === 'cancelled';
    if (ended || systemClock.nowMs() >= deadlineMs) {
      throw new GodwitError(
        'SOURCE_NOT_RELEASED',
        `the source's migration is "${status}" and does not complete`,
        {
          safe: 'the destination has not run',
        },
      );
    }
    await sleep(1);
  }
}

/** Errors: DESTINATION_NOT_STARTED when `cont` is refused (a disk that is locked elsewhere) or changes nothing. */
async function startDestination({ destination, onStep }: HandoverOptions): Promise<number> {
  const mark = destination.eventMark();
  try {
    const answer = cont(destination);
    onStep('cont-sent');
    await answer;
    onStep('cont-answered');
    const { status } = await queryStatus(destination);
    if (status !== 'running') throw new Error(`it is "${status}" after "cont"`);
    // QEMU emits RESUME before it answers.
    return (await destination.waitEvent('RESUME', { since: mark, timeoutMs: EVENT_TIMEOUT_MS })).receivedAtMs;
  } catch (cause) {
    throw new GodwitError(
      'DESTINATION_NOT_STARTED',
      'the destination QEMU loaded the VM but was not seen to start it',
      { cause, hint: 'its log names the reason, usually a disk image that another process has locked' },
    );
  }
}

export function cancelledError(): GodwitError {
  return new GodwitError('CANCELLED', 'the operator cancelled', {
    safe: 'the source VM runs; nothing was lost',
  });
}

/** Failures and the operator's cancel end a step that is taken before COMMIT; none of them ends one after it. */
export function heedUntilCommit({ failed, signal }: Pick<HandoverOptions, 'failed' | 'signal'>) {
  const cancelled = rejectOnAbort(signal);
  return {
    step: <Value>(step: Promise<Value>) => Promise.race([step, failed, cancelled.promise]),
    look() {
      if (signal.aborted) throw cancelledError();
    },
    release: cancelled.release,
  };
}

function rejectOnAbort(signal: AbortSignal) {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  const onAbort = () => reject(cancelledError());
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  return { promise, release: () => signal.removeEventListener('abort', onAbort) };
}
