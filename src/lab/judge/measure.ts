/**
 * How fast a guest dirties memory when nothing throttles or moves it, against its link.
 * Not responsible for the migration's own figures (move.ts).
 */

import { sleep } from '../../base/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { labError } from '../errors.ts';
import type { Vm } from '../machine/vm.ts';
import { lastHeartbeat, pagesBetween } from './heartbeats.ts';

export interface DirtyRate {
  /**
   * Distinct bytes dirtied within one second, as QEMU samples them. A pass of one second would send them
   * again.
   */
  readonly dirtyBytesPerSecond: number;
  /**
   * Bytes of all page writes, repeated ones included, by the guest's own count; null where it does not count.
   */
  readonly writtenBytesPerSecond: number | null;
}

/** A guest is memory-intensive when it dirties at least this many times what its link carries. */
export const MEMORY_INTENSIVE_RATIO = 1.2;

const WINDOW_SECONDS = 1;
const POLL_MS = 50;
const TIMEOUT_MS = 15_000;
// The most that QEMU allows: 4,096 samples of a guest of 256 MiB. Its exact mode (dirty-bitmap) shows 0 under
// TCG.
const SAMPLES_PER_GIB = 16_384;

/** Takes about a second; not while the VM migrates (the two collide in QEMU). */
export async function measureDirtyRate(vm: Vm): Promise<DirtyRate> {
  const before = lastHeartbeat(vm.serial.lines);
  await vm.qmp.execute('calc-dirty-rate', { 'calc-time': WINDOW_SECONDS, 'sample-pages': SAMPLES_PER_GIB });
  const deadlineMs = performance.now() + TIMEOUT_MS;
  for (;;) {
    await sleep(POLL_MS);
    const info = (await vm.qmp.execute('query-dirty-rate')) as { status?: string; 'dirty-rate'?: number };
    if (info.status === 'measured' && typeof info['dirty-rate'] === 'number') {
      const after = lastHeartbeat(vm.serial.lines);
      const elapsedMs = before && after ? after.guestMs - before.guestMs : 0;
      if (!before || !after || elapsedMs <= 0) break;
      const pages = pagesBetween(before, after);
      return {
        dirtyBytesPerSecond: info['dirty-rate'] * 1024 * 1024,
        writtenBytesPerSecond: pages === null ? null : (pages * PAGE_SIZE_BYTES * 1000) / elapsedMs,
      };
    }
    if (performance.now() > deadlineMs) break;
  }
  throw labError('LAB_VM_FAILED', `the dirty rate of ${vm.name} could not be measured`);
}

export function isMemoryIntensive(rate: DirtyRate, linkBytesPerSecond: number): boolean {
  return rate.dirtyBytesPerSecond >= MEMORY_INTENSIVE_RATIO * linkBytesPerSecond;
}
