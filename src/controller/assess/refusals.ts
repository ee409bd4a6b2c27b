/** VMs that are not measured, found out before anything was changed. */

import { formatRate, GodwitError } from '../../base/index.ts';
import { type QemuFeatures, type QmpClient, queryMigrate, queryStatus } from '../../qmp/index.ts';
import { sampleDirtyRate } from './dirty-rate.ts';
import { DIRTY_BYTES_PER_SECOND_MIN } from './pacing.ts';

/** Errors: ASSESS_NOT_RUNNING, ASSESS_MIGRATING. */
export async function refuseIdle(source: QmpClient): Promise<void> {
  const { running, status } = await queryStatus(source);
  const safe = 'nothing was changed';
  if (!running) {
    throw new GodwitError('ASSESS_NOT_RUNNING', `the VM is "${status}": it writes nothing to measure`, {
      safe,
    });
  }
  const { status: migration } = await queryMigrate(source);
  if (!['none', 'completed', 'failed', 'cancelled'].includes(migration)) {
    throw new GodwitError('ASSESS_MIGRATING', `a migration of this VM is ${migration}`, {
      safe,
      hint: 'wait for its end; godwit migrate --record writes the same trace',
    });
  }
}

/** Where QEMU knows no ack. Errors: ASSESS_NO_ACK. */
export async function refuseQuiet(
  source: QmpClient,
  { ackReason }: QemuFeatures,
  acceptPause: boolean,
  signal: AbortSignal,
): Promise<void> {
  const safe = 'nothing was changed';
  if (!acceptPause) {
    throw new GodwitError('ASSESS_NO_ACK', `QEMU could stop the VM while it is measured: ${ackReason}`, {
      safe,
      hint: 'only a guest that suddenly writes nothing at all is stopped, and runs again within some 10 ms: --accept-pause if that is fine',
    });
  }
  const rate = await sampleDirtyRate(source, signal);
  if (rate !== null && rate >= DIRTY_BYTES_PER_SECOND_MIN) return;
  const told = rate === null ? 'how fast the VM writes is not known' : `the VM writes ${formatRate(rate)}`;
  throw new GodwitError('ASSESS_NO_ACK', `${told}: QEMU would stop it while it is measured (${ackReason})`, {
    safe,
    hint: `a guest that writes less than ${formatRate(DIRTY_BYTES_PER_SECOND_MIN)} moves over any link that carries more`,
  });
}
