/**
 * How busy others kept this machine while a VM moved. A figure measured on shared cores means little without
 * it. Not responsible for judging it.
 */

import { readFile } from 'node:fs/promises';

/** /proc counts in these units, whatever the kernel's own clock is: proc(5). */
const TICKS_PER_SECOND = 100;

export interface LoadMeter {
  /**
   * Cores that processes other than ours kept busy since the start, on average; the kernel's own work counts
   * as theirs. Null where it cannot be told.
   */
  othersCores(): Promise<number | null>;
}

/** Measures from now on. This process and `pids` count as ours, everything else as others. */
export async function meterLoad(pids: readonly number[]): Promise<LoadMeter> {
  const startMs = performance.now();
  const start = await readTicks(pids);
  return {
    async othersCores() {
      const end = await readTicks(pids);
      const seconds = (performance.now() - startMs) / 1000;
      if (start === null || end === null || seconds <= 0) return null;
      const others = end.all - start.all - (end.ours - start.ours);
      return Math.max(0, others / TICKS_PER_SECOND / seconds);
    },
  };
}

async function readTicks(pids: readonly number[]): Promise<{ all: number; ours: number } | null> {
  try {
    const all = busyTicks(await readFile('/proc/stat', 'utf8'));
    const stats = await Promise.all(
      [process.pid, ...pids].map((pid) => readFile(`/proc/${pid}/stat`, 'utf8')),
    );
    return { all, ours: stats.reduce((sum, text) => sum + processTicks(text), 0) };
  } catch {
    // No /proc, or one of the processes is gone and its ticks with it.
    return null;
  }
}

/** Of all cores, from /proc/stat: user nice system idle iowait irq softirq steal; `user` includes guests. */
export function busyTicks(text: string): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = text
    .slice(0, text.indexOf('\n'))
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return user + nice + system + irq + softirq + steal;
}

/** utime + stime from /proc/PID/stat; the name in it may hold spaces and parentheses. */
export function processTicks(text: string): number {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
