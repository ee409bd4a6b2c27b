/**
 * Notices that nothing moves any more while the VM stands still: a destination that hangs takes no bytes and
 * answers nothing, and no connection breaks. Before the stop that only makes QEMU pause; now it is downtime.
 */

import { GodwitError, sleep } from '../../base/index.ts';
import type { SourceGateway } from '../../gateway/index.ts';
import { SILENCE_MS_MIN } from './link-watch.ts';

const POLL_MS = 50;

/**
 * Rejects with STREAM_STALLED when there was no progress for the operator's downtime limit, or for 2.5 s
 * where that is more. Rejects too when `signal` aborts.
 */
export async function untilStalled(
  gateway: Pick<SourceGateway, 'snapshot'>,
  downtimeMsMax: () => number,
  signal: AbortSignal,
): Promise<never> {
  let seen = progressOf(gateway);
  for (let quietMs = 0; ; quietMs += POLL_MS) {
    await sleep(POLL_MS, signal);
    const now = progressOf(gateway);
    if (now !== seen) quietMs = 0;
    seen = now;
    if (quietMs < Math.max(SILENCE_MS_MIN, downtimeMsMax())) continue;
    throw new GodwitError('STREAM_STALLED', `the VM stands still and nothing has moved for ${quietMs} ms`, {
      safe: 'the destination has not run; the source VM goes on',
      hint: 'look whether the destination QEMU hangs (stopped, swapping, a slow disk)',
    });
  }
}

/** Changes whenever a page comes in, goes out, or is loaded. */
function progressOf(gateway: Pick<SourceGateway, 'snapshot'>): string {
  const snapshot = gateway.snapshot();
  return `${snapshot?.arrivedPages}/${snapshot?.sentBytes}/${snapshot?.underWayBytes}`;
}
