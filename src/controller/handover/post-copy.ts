/**
 * Post-copy through the gateway: QEMU starts the VM at the destination before its memory is there. Everything that waits here goes first; from
 * QEMU's first RAM_DISCARD on its bytes pass as they are, both ways. The commit point is letting them go: the RUN among them starts the VM.
 * Not responsible for undoing: recover.ts looks at what QEMU had begun.
 */

import { formatBytes, GodwitError, sleep, systemClock } from '../../base/index.ts';
import { cont, migrateStartPostcopy, queryMigrate } from '../../qmp/index.ts';
import { type HandoverOptions, type HandoverTimes, heedUntilCommit } from './handover.ts';

/** The machine state is small and all there is before the VM runs. */
const RUN_TIMEOUT_MS = 30_000;
const POLL_MS = 20;
const NOTE_EVERY_MS = 1000;

/** null: QEMU had so little left that it ended as pre-copy does, with the VM stopped; the usual handover follows. */
export async function postCopy(options: HandoverOptions): Promise<HandoverTimes | null> {
  const { source, destination, gateway, journal, guestWasRunning, onStep } = options;
  const heed = heedUntilCommit(options);
  try {
    journal.write({ step: 'post-copy' });
    onStep('stopping');
    await heed.step(migrateStartPostcopy(source));
    gateway.invitePostCopy();
    await heed.step(gateway.drained());
    if (!gateway.isInPostCopy) return null;
    const stoppedMs = options.stoppedAtMs() ?? systemClock.nowMs();
    const drainedMs = systemClock.nowMs() - stoppedMs;
    onStep('drained');
    heed.look();
    journal.write({ step: 'commit' });
    onStep('commit');
    const mark = destination.eventMark();
    // While it is loading, `cont` only means: start by yourself when RUN comes (qmp_cont, autostart).
    if (guestWasRunning) await cont(destination);
    gateway.passOn();
    const resumedMs = guestWasRunning
      ? (await destination.waitEvent('RESUME', { since: mark, timeoutMs: RUN_TIMEOUT_MS })).receivedAtMs
      : systemClock.nowMs();
    options.onNote('the VM runs at the destination; its remaining pages follow');
    const endMs = await untilWhole(options);
    journal.write({ step: 'running' });
    onStep('running');
    const downtimeMs = guestWasRunning ? resumedMs - stoppedMs : null;
    return { endMs, downtimeMs, steps: { drainedMs, resumedMs: resumedMs - stoppedMs } };
  } finally {
    heed.release();
  }
}

/** Until the last page has come. Errors: POST_COPY_BROKEN. */
async function untilWhole({ source, onNote, failed }: HandoverOptions): Promise<number> {
  let notedMs = systemClock.nowMs();
  for (;;) {
    const { status, ram, errorDesc } = await Promise.race([queryMigrate(source), failed]);
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
