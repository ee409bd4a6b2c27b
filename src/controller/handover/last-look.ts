/**
 * Right before godwit says that the VM has arrived: a destination that died since it was seen running is told
 * of, because nobody looks after this. Not responsible for the handover (src/handover).
 */

import type { Machine } from '../../machines/index.ts';
import type { HandoverEnd } from './handover.ts';

/** The VM runs: an end that only hangs is no reason to wait. */
const SILENT_MS = 500;

const ENDED_SINCE =
  'the VM ran at the destination, and its QEMU has ended since. Boot the VM from its disk; never continue the source, whose memory is out of date';

export async function lastLook(end: HandoverEnd, destination: Pick<Machine, 'status'>): Promise<HandoverEnd> {
  if (end.outcome.outcome !== 'completed') return end;
  const { state } = await destination.status(SILENT_MS);
  return state === 'gone' ? { ...end, outcome: { outcome: 'in-doubt', text: ENDED_SINCE } } : end;
}
