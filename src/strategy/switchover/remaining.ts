/**
 * Ibrahim 2011: follow the remaining memory and switch at a minimum, once it has stopped falling or repeats.
 */

import type { Decision, Outlook } from '../../vm/index.ts';
import { goOn, stop } from '../common.ts';
import { formatBytes, formatPercent, rateText, remainingBytes } from '../measures.ts';

export interface RemainingMemory {
  /** Remaining bytes after each of the last syncs, newest last. */
  readonly recent: readonly number[];
  readonly leastBytes: number | null;
}

const RECENT_KEPT = 16;

export interface RemainingRule {
  /** The fall that still counts as falling. */
  readonly fallMin: number;
  /** Two remainders within this share are a repetition. */
  readonly sameWithin: number;
  /** A remainder within this share of the least is a minimum. */
  readonly leastWithin: number;
}

export function followRemaining(
  outlook: Outlook,
  memory: RemainingMemory,
  rule: RemainingRule,
): { readonly decision: Decision; readonly memory: RemainingMemory } {
  const rest = remainingBytes(outlook);
  const leastBytes = Math.min(memory.leastBytes ?? rest, rest);
  const next = { recent: [...memory.recent, rest].slice(-RECENT_KEPT), leastBytes };
  const before = memory.recent.at(-1);
  const numbers = `${formatBytes(rest)} remain, least ${formatBytes(leastBytes)}; ${rateText(outlook)}`;
  if (before === undefined) return { decision: goOn('memory-rate', numbers), memory: next };
  const fallen = before > 0 ? (before - rest) / before : 0;
  const repeats = memory.recent.slice(0, -1).some((old) => Math.abs(old - rest) <= rule.sameWithin * old);
  const atLeast = rest <= (1 + rule.leastWithin) * leastBytes;
  if (atLeast && fallen < rule.fallMin) {
    return {
      decision: stop('memory-rate-flat', `${numbers}; fell by ${formatPercent(Math.max(0, fallen))}`),
      memory: next,
    };
  }
  if (atLeast && repeats)
    return { decision: stop('memory-rate-repeats', `${numbers}; seen before`), memory: next };
  return {
    decision: goOn('memory-rate', `${numbers}; fell by ${formatPercent(Math.max(0, fallen))}`),
    memory: next,
  };
}
