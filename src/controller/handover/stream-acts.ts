/**
 * The acts of the handover that concern the stream: the hurry before the stop, the stop itself, draining, the
 * destination's proof, the source's release. Each heeds its signal and asks it before what cannot be taken
 * back. Not responsible for their order (src/handover).
 */

import { GodwitError, orAborted, sleep, systemClock } from '../../base/index.ts';
import { HURRY_MS_MAX, HurriedPasses, heldOutlastsHurry, hurryMsMax } from '../../engine/index.ts';
import type { SourceGateway } from '../../gateway/index.ts';
import type { Acts } from '../../handover/index.ts';
import { migrateSetParameters, type QmpClient, queryMigrate, queryStatus, stop } from '../../qmp/index.ts';
import { DRAIN_STOPPED_BYTES_PER_SECOND } from '../preflight/settings.ts';
import type { MigrateStep } from '../steps.ts';
import { untilStalled } from './stall.ts';

const RELEASE_TIMEOUT_MS = 5_000;

export interface StreamActsOptions {
  readonly source: QmpClient;
  readonly gateway: SourceGateway;
  readonly guestWasRunning: boolean;
  /** When the source's last STOP event came; null while it runs. */
  readonly stoppedAtMs: () => number | null;
  readonly downtimeMsMax: () => number;
  readonly onStep: (step: MigrateStep) => void;
}

type StreamActs = Pick<Acts, 'hurry' | 'stop-source' | 'drain' | 'prove' | 'release-source'>;

export function streamActs(options: StreamActsOptions): StreamActs {
  const { source, gateway, guestWasRunning, onStep } = options;
  return {
    hurry: async (_effect, signal) => {
      // QEMU may have stopped the VM by itself: nothing is left to hurry.
      if (options.stoppedAtMs() !== null) return;
      await fastDrain(source);
      await untilPassesAreShort(options, signal);
    },
    'stop-source': (_effect, signal) => stopSource(options, signal),
    drain: async (_effect, signal) => {
      if (!guestWasRunning) await fastDrain(source);
      signal.throwIfAborted();
      onStep('stopped');
      gateway.enterStopAndCopy();
      onStep('stop-and-copy');
      await orAborted(
        Promise.race([gateway.drained(), untilStalled(gateway, options.downtimeMsMax, signal)]),
        signal,
      );
      onStep('drained');
    },
    prove: async (_effect, signal) => {
      await orAborted(gateway.complete(), signal);
      onStep('loaded');
    },
    'release-source': async (_effect, signal) => {
      signal.throwIfAborted();
      await release(options, signal);
      onStep('released');
    },
  };
}

async function fastDrain(source: QmpClient): Promise<void> {
  await migrateSetParameters(source, new Map([['max-bandwidth', DRAIN_STOPPED_BYTES_PER_SECOND]]));
}

/** Makes passes follow each other at once, until they are short: see HurriedPasses. */
async function untilPassesAreShort(
  { source, gateway }: StreamActsOptions,
  signal: AbortSignal,
): Promise<void> {
  const snapshot = gateway.snapshot();
  const mostMs = snapshot === null ? HURRY_MS_MAX : hurryMsMax(snapshot);
  if (mostMs === 0) return;
  if (!gateway.hurryPasses(snapshot !== null && heldOutlastsHurry(snapshot))) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const passes = new HurriedPasses();
  const ignore = source.on(({ name, receivedAtMs }) => {
    if (name === 'MIGRATION_PASS' && passes.begin(receivedAtMs, gateway.restPages)) resolve();
  });
  try {
    await Promise.race([promise, sleep(mostMs, signal)]);
  } finally {
    ignore();
  }
}

/** `stop`, unless QEMU already stopped the VM by itself. Errors: GUEST_ENDED. */
async function stopSource(options: StreamActsOptions, signal: AbortSignal): Promise<void> {
  const { source } = options;
  // Another client may have stopped the VM, whether or not its event has come: then the stop is not ours.
  // QEMU's own stop never shows "paused", but "finish-migrate" and what follows.
  const before = await queryStatus(source, { signal });
  if (before.status === 'paused') throw guestEnded('another client stopped the VM during the migration');
  if (options.stoppedAtMs() !== null) return;
  signal.throwIfAborted();
  await stop(source);
  const { status } = await queryStatus(source);
  // "finish-migrate": QEMU began its final stage in the moment before our command.
  if (status === 'paused' || status === 'finish-migrate') return;
  throw guestEnded(`the source VM is "${status}" instead of stopped`);
}

function guestEnded(text: string): GodwitError {
  return new GodwitError('GUEST_ENDED', text, { safe: 'the source VM is as it was left' });
}

/** SHUT(0) reaches the source, whose migration completes. Errors: SOURCE_NOT_RELEASED. */
async function release({ gateway, source }: StreamActsOptions, signal: AbortSignal): Promise<void> {
  gateway.releaseSource();
  const deadlineMs = systemClock.nowMs() + RELEASE_TIMEOUT_MS;
  for (;;) {
    const { status } = await queryMigrate(source, { signal });
    if (status === 'completed') return;
    const ended = status === 'failed' || status === 'cancelled';
    if (ended || systemClock.nowMs() >= deadlineMs) {
      throw new GodwitError(
        'SOURCE_NOT_RELEASED',
        `the source's migration is "${status}" and does not complete`,
        { safe: 'the destination has not run' },
      );
    }
    await sleep(1, signal);
  }
}
