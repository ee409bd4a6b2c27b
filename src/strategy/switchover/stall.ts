/** KubeVirt's stall detector: progress is measured against the least remaining memory of a while ago. */

import type { Decision, Outlook } from '../../vm/index.ts';
import { abort, goOn, stop } from '../common.ts';
import { formatBytes, formatMs, remainingBytes } from '../measures.ts';

export interface StallMemory {
  /** [ms, bytes], oldest first; each is the least of its slot, SAMPLES_KEPT slots at most. */
  readonly samples: readonly (readonly [number, number])[];
  readonly leastBytes: number | null;
  /** Halved with every stall. */
  readonly windowMs: number;
  readonly stalls: number;
}

const SAMPLES_KEPT = 64;

export interface StallRule {
  readonly stallShare: number;
  readonly switchShare: number;
  readonly downtimeMsMax: number;
  readonly slack: number;
  readonly stallsMax: number;
}

function sample(outlook: Outlook, memory: StallMemory, rest: number): StallMemory['samples'] {
  const slotMs = (2 * memory.windowMs) / SAMPLES_KEPT;
  const last = memory.samples.at(-1);
  if (last !== undefined && outlook.nowMs - last[0] < slotMs) {
    return last[1] <= rest ? memory.samples : [...memory.samples.slice(0, -1), [last[0], rest]];
  }
  return [...memory.samples, [outlook.nowMs, rest] as const].slice(-SAMPLES_KEPT);
}

export function watchForStall(
  outlook: Outlook,
  memory: StallMemory,
  rule: StallRule,
): { readonly decision: Decision; readonly memory: StallMemory } {
  const rest = remainingBytes(outlook);
  const link = outlook.linkBytesPerSecond;
  const samples = sample(outlook, memory, rest);
  const leastBytes = Math.min(memory.leastBytes ?? rest, rest);
  const old = samples.filter(([atMs]) => atMs <= outlook.nowMs - memory.windowMs).map(([, bytes]) => bytes);
  const next = { ...memory, samples, leastBytes };
  if (link === null || link <= 0)
    return { decision: goOn('stall', `${formatBytes(rest)} remain; link rate unknown`), memory: next };
  const downMs = (rest * 1000) / link;
  const numbers = `${formatBytes(rest)} remain (${formatMs(downMs)}), least ${formatBytes(leastBytes)}`;
  if (downMs <= rule.downtimeMsMax)
    return {
      decision: stop('stall-fits', `${numbers}: within ${formatMs(rule.downtimeMsMax)}`),
      memory: next,
    };
  const mark = old.length > 0 ? Math.min(...old) : null;
  const stalledNow = mark !== null && rest >= rule.stallShare * mark;
  const stalls = memory.stalls + (stalledNow ? 1 : 0);
  // A fresh window after a stall: the same old minimum must not count twice.
  const after = stalledNow ? { ...next, stalls, windowMs: memory.windowMs / 2, samples: [] } : next;
  const text = `${numbers}; ${stalls} stalls in windows of ${formatMs(memory.windowMs)}`;
  if (stalls > 0 && rest <= rule.switchShare * leastBytes && downMs <= rule.downtimeMsMax * rule.slack) {
    return { decision: stop('stall-switch', `${text}: as little as it gets`), memory: after };
  }
  if (stalls > rule.stallsMax)
    return { decision: abort('stall-abort', `${text}: does not get below the cap`), memory: after };
  return { decision: goOn('stall', text), memory: after };
}
