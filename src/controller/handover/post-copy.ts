/**
 * Post-copy through the gateway: QEMU starts the VM at the destination before its memory is there. Everything
 * that waits here goes first; from QEMU's first RAM_DISCARD on its bytes pass as they are, both ways. The
 * commit point is the moment at which they are let go, because the RUN among them starts the VM. Not
 * responsible for undoing: the handover's machine looks at what QEMU had begun.
 */

import { formatBytes, GodwitError, sleep, systemClock } from '../../base/index.ts';
import type { SourceGateway } from '../../gateway/index.ts';
import type { Loss } from '../../handover/index.ts';
import { cont, migrateStartPostcopy, queryMigrate } from '../../qmp/index.ts';
import type { HandoverOptions, HandoverTimes } from './handover.ts';

/** The machine state is small and all there is before the VM runs. */
const RUN_TIMEOUT_MS = 30_000;
const POLL_MS = 20;
const NOTE_EVERY_MS = 1000;

/** `stage`: how far it came, also where it threw. */
export interface PostCopyStage {
  committed: boolean;
}

/**
 * null: QEMU had so little left that it ended as pre-copy does, with the VM stopped; the usual handover
 * follows. Errors: what was lost.
 */
export async function postCopy(
  options: HandoverOptions,
  stage: PostCopyStage,
): Promise<HandoverTimes | null> {
  const { source, destination, gateway, journal, guestWasRunning, onStep } = options;
  const lost = options.lost.then(throwLoss);
  lost.catch(() => undefined);
  journal.write({ step: 'post-copy' });
  onStep('stopping');
  await Promise.race([migrateStartPostcopy(source), lost]);
  gateway.invitePostCopy();
  await Promise.race([gateway.drained(), lost]);
  if (!gateway.isInPostCopy) return null;
  const stoppedMs = options.stoppedAtMs() ?? systemClock.nowMs();
  const drainedMs = systemClock.nowMs() - stoppedMs;
  onStep('drained');
  // The last moment at which a cancel is heeded.
  await Promise.race([lost, Promise.resolve()]);
  stage.committed = true;
  journal.write({ step: 'commit' });
  onStep('commit');
  const mark = destination.eventMark();
  // While it is loading, `cont` only means: start by yourself when RUN comes (qmp_cont, autostart).
  if (guestWasRunning) await cont(destination);
  // A gateway that ends between these two lines leaves the VM standing still: nothing is in between.
  await Promise.race([sourceIsPast(gateway), lost]);
  gateway.passOn();
  const resumedMs = guestWasRunning
    ? (await destination.waitEvent('RESUME', { since: mark, timeoutMs: RUN_TIMEOUT_MS })).receivedAtMs
    : systemClock.nowMs();
  options.onNote('the VM runs at the destination; its remaining pages follow');
  const endMs = await untilWhole(options);
  journal.tryWrite({ step: 'running' });
  onStep('running');
  const downtimeMs = guestWasRunning ? resumedMs - stoppedMs : null;
  return { endMs, downtimeMs, steps: { drainedMs, resumedMs: resumedMs - stoppedMs } };
}

/** RUN is let go only afterwards. Errors: POST_COPY_LOST. */
async function sourceIsPast(gateway: SourceGateway): Promise<void> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      timeout.reject(
        new GodwitError('POST_COPY_LOST', 'the source did not send its package of the machine in time', {
          safe: 'the destination has not run',
        }),
      ),
    RUN_TIMEOUT_MS,
  );
  await Promise.race([gateway.sourceIsPastPackage, timeout.promise]).finally(() => clearTimeout(timer));
}

function throwLoss({ why }: Loss): never {
  throw new GodwitError('POST_COPY_LOST', why);
}

/**
 * Until the last page has come. A cancel is not heeded any more: the VM runs there and needs what is
 * here. What else is lost shows in
 * QEMU's own state. Errors: POST_COPY_BROKEN, those of QMP.
 */
async function untilWhole({ source, onNote }: HandoverOptions): Promise<number> {
  let notedMs = systemClock.nowMs();
  for (;;) {
    const { status, ram, errorDesc } = await queryMigrate(source);
    if (status === 'completed') return systemClock.nowMs();
    if (!['active', 'device', 'postcopy-device', 'postcopy-active'].includes(status)) {
      throw new GodwitError(
        'POST_COPY_BROKEN',
        `the source's migration is "${status}" in post-copy: ${errorDesc ?? 'QEMU gave no reason'}`,
        {
          safe: 'the VM is at the destination, with part of its memory still only at the source: end neither',
          hint: 'QEMU can join them again: migrate-recover at the destination, then migrate with resume at the source',
        },
      );
    }
    if (ram !== null && systemClock.nowMs() - notedMs >= NOTE_EVERY_MS) {
      notedMs = systemClock.nowMs();
      onNote(`post-copy: ${formatBytes(ram.remainingBytes)} to come`);
    }
    await sleep(POLL_MS);
  }
}
