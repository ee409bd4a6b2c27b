/**
 * How fast a guest writes, as QEMU samples it while nothing migrates. Not responsible for which pages
 * (a trace says that).
 */

import { GIB, MIB, sleep, systemClock } from '../../base/index.ts';
import { isRefusal, type QmpExecutor } from '../../qmp/index.ts';

const SECONDS = 1;
const POLL_MS = 50;
const TIMEOUT_MS = 10_000;
/**
 * QEMU's default of 512 samples a GiB gives a small guest a few dozen, too few to tell a quiet guest from a
 * busy one.
 */
const SAMPLES_WANTED = 65_536;
/** What QEMU takes. */
const SAMPLES_PER_GIB = [512, 16_384] as const;

/**
 * Takes a second, and must be over before a migration begins: the two collide in QEMU. null where
 * QEMU does not say.
 */
export async function sampleDirtyRate(qemu: QmpExecutor, signal: AbortSignal): Promise<number | null> {
  try {
    const samplePages = await samplesPerGib(qemu);
    await qemu.execute('calc-dirty-rate', { 'calc-time': SECONDS, 'sample-pages': samplePages });
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

async function samplesPerGib(qemu: QmpExecutor): Promise<number> {
  const summary = (await qemu.execute('query-memory-size-summary')) as { 'base-memory'?: number };
  const gib = Math.max(1, summary['base-memory'] ?? GIB) / GIB;
  const [least, most] = SAMPLES_PER_GIB;
  return Math.round(Math.min(most, Math.max(least, SAMPLES_WANTED / gib)));
}
