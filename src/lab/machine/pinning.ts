/**
 * Which core runs what. A VM's vCPU has one core for itself and everything else shares the others, so that
 * gateways, migration threads and kernel work slow no contestant's guest. Not responsible for measuring the
 * load.
 */

import { readFileSync } from 'node:fs';
import { errorCode } from '../../base/index.ts';
import { runCommand } from './processes.ts';

/** The cores of a VM's vCPU and of everything else, in the kernel's notation (`0-2,5`). */
export interface CorePlan {
  readonly vcpu: string;
  readonly rest: string;
}

/** "0-2,5" -> [0, 1, 2, 5]: the kernel's way of writing a set of cores. */
export function parseCoreList(text: string): number[] {
  return text
    .trim()
    .split(',')
    .filter((range) => range !== '')
    .flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
}

/**
 * The cores that this process may use, read when it starts. `pinSelf` leaves it fewer, and
 * os.availableParallelism() counts only those; VMs booted afterwards would then all share one core.
 */
export const CORES_AT_START: readonly number[] = coresAllowed();

function coresAllowed(): number[] {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    return parseCoreList(/^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? '0');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [0];
    throw error;
  }
}

/** How many cores this process had when it started. */
export function coreCount(): number {
  return CORES_AT_START.length;
}

/** Null on a machine with one core, where nothing can be separated. */
export function corePlan(cores: readonly number[] = CORES_AT_START): CorePlan | null {
  const [vcpu, ...rest] = cores;
  return vcpu === undefined || rest.length === 0 ? null : { vcpu: String(vcpu), rest: rest.join(',') };
}

export function pinnedCommand(plan: CorePlan | null, argv: readonly string[]): string[] {
  return plan === null ? [...argv] : ['taskset', '-c', plan.rest, ...argv];
}

export async function pinThreads(cores: string, threadIds: readonly number[]): Promise<void> {
  for (const threadId of threadIds) await runCommand(['taskset', '-p', '-c', cores, String(threadId)]);
}

/** Moves this process, with gateway and lab inside it, off the vCPU's core. */
export async function pinSelf(plan: CorePlan | null = corePlan()): Promise<void> {
  if (plan !== null) await runCommand(['taskset', '-a', '-p', '-c', plan.rest, String(process.pid)]);
}
