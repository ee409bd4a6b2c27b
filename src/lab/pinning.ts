/**
 * Which core runs what: on two cores a VM's vCPU has core 0 for itself and everything else shares core 1, so that
 * gateways, migration threads and kernel work slow no contestant's guest. Not responsible for measuring the load.
 */

import { availableParallelism } from 'node:os';
import { runCommand } from './processes.ts';

/** null: a machine with one core, nothing to separate. */
export interface CorePlan {
  readonly vcpu: string;
  readonly rest: string;
}

export function corePlan(cores = availableParallelism()): CorePlan | null {
  if (cores < 2) return null;
  return { vcpu: '0', rest: cores === 2 ? '1' : `1-${cores - 1}` };
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
