/** Which pipeline a run has: plain QEMU's better way, or the gateway's, packed where that pays. Pure. */

import { type Coding, codingOf } from '../coding.ts';
import type { SimulationOptions } from '../types.ts';
import { gatewayPipeline, type Pipeline, qemuPipeline } from './rates.ts';

export interface RunPipeline {
  readonly pipeline: Pipeline;
  readonly coding: Coding;
  /** Of whole pages: the link's, or the slowest stage's where that carries less. */
  readonly bytesPerSecond: number;
  /** `link`, or the stage. */
  readonly limit: string;
}

export function runPipelineOf(options: SimulationOptions): RunPipeline {
  if (options.strategy.mechanism !== 'gateway') {
    const coding = codingOf(options.guest.cost, 'single', false, false);
    return limited(options, coding, qemuPipeline(options.profile, options.arrangement));
  }
  const raw = gatewayOf(options, false);
  if (options.arrangement === 'single') return raw;
  const packed = gatewayOf(options, true);
  return pagesPerSecond(packed) > pagesPerSecond(raw) ? packed : raw;
}

function gatewayOf(options: SimulationOptions, packs: boolean): RunPipeline {
  const { arrangement, linkBytesPerSecond, strategy, guest, profile } = options;
  const coding = codingOf(guest.cost, arrangement, strategy.delta, packs);
  const { wholeBytes } = coding;
  const pipeline = gatewayPipeline(profile, { arrangement, wholeBytes, packs, linkBytesPerSecond });
  return limited(options, coding, pipeline);
}

function limited(options: SimulationOptions, coding: Coding, pipeline: Pipeline): RunPipeline {
  const isLink = options.linkBytesPerSecond <= pipeline.bytesPerSecond;
  return {
    pipeline,
    coding,
    bytesPerSecond: isLink ? options.linkBytesPerSecond : pipeline.bytesPerSecond,
    limit: isLink ? 'link' : pipeline.limit,
  };
}

function pagesPerSecond({ bytesPerSecond, coding }: RunPipeline): number {
  return bytesPerSecond / coding.wholeBytes;
}
