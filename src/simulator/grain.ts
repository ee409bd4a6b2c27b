/**
 * Large guests, coarsely: one simulated page stands for `grain` pages that are written and sent alike. The
 * same migration on a smaller scale: memory, link and gateway memory divided, times per page multiplied, so
 * that every time comes out as it would, and bytes are multiplied at the end. Pure.
 */

import type { WorkloadOptions } from '../trace/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import type { Profile, StageCost } from './pipeline/profile.ts';
import type { SimulationResult } from './types.ts';

/** Fewer pages, or a slower link, would show the grain: sockets and thresholds count in whole pages. */
const PAGES_MIN = 131_072;
const LINK_BYTES_PER_SECOND_MIN = 25e6;

/** The coarsest grain that does not show: a power of two. */
export function grainOf(memoryBytes: number, linkBytesPerSecond: number): number {
  const most = Math.min(
    memoryBytes / PAGE_SIZE_BYTES / PAGES_MIN,
    linkBytesPerSecond / LINK_BYTES_PER_SECOND_MIN,
  );
  return most < 2 ? 1 : 2 ** Math.floor(Math.log2(most));
}

function coarserStage(stage: StageCost, grain: number): StageCost {
  return {
    ...stage,
    nanosecondsPerByte: stage.nanosecondsPerByte * grain,
    nanosecondsPerZeroPage: stage.nanosecondsPerZeroPage * grain,
  };
}

function coarserProfile(profile: Profile, grain: number): Profile {
  const scaled = <Costs extends Record<string, unknown>>(costs: Costs): Costs =>
    Object.fromEntries(
      Object.entries(costs).map(([name, value]) => [
        name,
        typeof value === 'number'
          ? value * grain
          : typeof value === 'object'
            ? coarserStage(value as StageCost, grain)
            : value,
      ]),
    ) as Costs;
  return { ...profile, qemu: scaled(profile.qemu), gateway: scaled(profile.gateway) };
}

/** What of a task has a scale. */
interface Scaled {
  readonly workload: { readonly id: string; readonly options: Partial<WorkloadOptions> };
  readonly memoryBytes: number;
  readonly linkBytesPerSecond: number;
  readonly gatewayMemoryBytesMax: number;
}

/** The task on the smaller scale. */
export function coarser<Task extends Scaled>(
  task: Task,
  grain: number,
  profile: Profile,
): Task & { readonly profile: Profile } {
  if (grain === 1) return { ...task, profile };
  const pages = (sizeBytes: number) =>
    Math.max(1, Math.round(sizeBytes / PAGE_SIZE_BYTES / grain)) * PAGE_SIZE_BYTES;
  const { hotBytes, hotAtBytes, fillBytes, fillAtBytes, rateBytesPerSecond } = task.workload.options;
  const options = {
    ...task.workload.options,
    ...(hotBytes == null ? {} : { hotBytes: pages(hotBytes) }),
    ...(hotAtBytes ? { hotAtBytes: pages(hotAtBytes) } : {}),
    ...(fillBytes == null ? {} : { fillBytes: pages(fillBytes) }),
    ...(fillAtBytes ? { fillAtBytes: pages(fillAtBytes) } : {}),
    ...(rateBytesPerSecond == null ? {} : { rateBytesPerSecond: rateBytesPerSecond / grain }),
  };
  return {
    ...task,
    workload: { ...task.workload, options },
    memoryBytes: pages(task.memoryBytes),
    linkBytesPerSecond: task.linkBytesPerSecond / grain,
    gatewayMemoryBytesMax: task.gatewayMemoryBytesMax / grain,
    profile: coarserProfile(profile, grain),
  };
}

/** Its result on the task's own scale. */
export function finer(result: SimulationResult, grain: number): SimulationResult {
  return {
    ...result,
    transferredBytes: result.transferredBytes * grain,
    pipelineBytesPerSecond: result.pipelineBytesPerSecond * grain,
    bounds: { ...result.bounds, transferredBytesMin: result.bounds.transferredBytesMin * grain },
  };
}
