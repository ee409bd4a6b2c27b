/**
 * Managers above QEMU raise its downtime limit step by step. Rules that give the limit of the moment;
 * `fits.ts` compares.
 */

import { GIB } from '../../base/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';

/** oVirt/VDSM: limit in force after so many stalled iterations. */
export const OVIRT_STEPS: readonly { readonly stalled: number; readonly limitMs: number }[] = [
  { stalled: 1, limitMs: 150 },
  { stalled: 2, limitMs: 200 },
  { stalled: 3, limitMs: 300 },
  { stalled: 4, limitMs: 400 },
  { stalled: 6, limitMs: 500 },
];

export function ovirtLimitMs(stalled: number, firstMs: number): number {
  return OVIRT_STEPS.reduce((limit, step) => (stalled >= step.stalled ? step.limitMs : limit), firstMs);
}

/** Nova counts at least 2 GiB when it scales its delays. */
const NOVA_GIB_MIN = 2;

export function novaGib(pageCount: number): number {
  return Math.max(NOVA_GIB_MIN, (pageCount * PAGE_SIZE_BYTES) / GIB);
}

/**
 * Nova's linear ladder: step i of `steps` gives first + i x (limit - first) / steps, with first = limit /
 * steps.
 */
export function novaLimitMs(nowMs: number, delayMs: number, steps: number, limitMs: number): number {
  const first = limitMs / steps;
  const step = Math.min(steps, Math.floor(nowMs / Math.max(1, delayMs)));
  return first + (step * (limitMs - first)) / steps;
}

/**
 * KubeVirt's ramp: `steps` equal steps from the first to the last limit, one per `everyMs` since the ramp
 * began.
 */
export function rampLimitMs(
  sinceMs: number,
  everyMs: number,
  steps: number,
  fromMs: number,
  toMs: number,
): number {
  const step = Math.min(steps - 1, Math.floor(sinceMs / Math.max(1, everyMs)));
  return steps <= 1 ? toMs : fromMs + (step * (toMs - fromMs)) / (steps - 1);
}
