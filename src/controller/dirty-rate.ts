/** How fast a guest writes, as QEMU samples it while nothing migrates. Not responsible for which pages (a trace says that). */

import { MIB, sleep, systemClock } from '../base/index.ts';
import { isRefusal, type QmpExecutor } from '../qmp/index.ts';

const SECONDS = 1;
const POLL_MS = 50;
const TIMEOUT_MS = 10_000;

/** Takes a second, and must be over before a migration begins: the two collide in QEMU. null where QEMU does not say. */
export async function sampleDirtyRate(qemu: QmpExecutor, signal: AbortSignal): Promise<number | null> {
  try {
    await qemu.execute('calc-dirty-rate', { 'calc-time': SECONDS });
  } catch (error) {
    if (isRefusal(error)) return null;
    throw error;
  }
  const deadlineMs = systemClock.nowMs() + TIMEOUT_MS;
  while (systemClock.nowMs() < deadlineMs) {
    await sleep(POLL_MS, signal);
    const info = (await qemu.execute('query-dirty-rate')) as { status?: string; 'dirty-rate'?: number };
    const rate = info['dirty-rate'];
    if (info.status === 'measured') return typeof rate === 'number' ? rate * MIB : null;
  }
  return null;
}
