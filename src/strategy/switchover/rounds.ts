/**
 * Rules that count passes, as hypervisors did before they measured anything. Asked right after a dirty sync.
 */

import type { Decision, Outlook } from '../../vm/index.ts';
import { goOn, stop } from '../common.ts';
import { formatBytes, rateText, remainingPages } from '../measures.ts';

export interface RoundLimits {
  /** Passes after which the VM is stopped whatever is left. */
  readonly rounds: number;
  /** Fewer dirty pages than this: stop. */
  readonly pagesMin: number;
}

/** Stops after `rounds` passes or under `pagesMin` pages; null: neither. */
export function stopByRounds(outlook: Outlook, rule: string, limits: RoundLimits): Decision | null {
  const last = outlook.history.at(-1);
  if (last === undefined) return null;
  const pages = Math.round(remainingPages(outlook));
  if (pages < limits.pagesMin) return stop(rule, `${pages} pages left, fewer than ${limits.pagesMin}`);
  const done = last.index + 1;
  return done >= limits.rounds
    ? stop(rule, `${done} passes done, the most allowed; ${pages} pages left`)
    : null;
}

export function roundText(outlook: Outlook): string {
  const last = outlook.history.at(-1);
  const passes = last === undefined ? 0 : last.index + 1;
  return `${passes} passes done, ${Math.round(remainingPages(outlook))} pages left; ${rateText(outlook)}`;
}

/** Share of the link that counts as full rate. */
const FULL_RATE = 0.9;

/**
 * Xen's classic test besides rounds: sending more than in the last pass at full rate, or more than so many
 * times the RAM.
 */
export function xenClassicStop(outlook: Outlook, rule: string, sentRamMax: number): Decision {
  const last = outlook.history.at(-1);
  const before = outlook.history.at(-2);
  const link = outlook.linkBytesPerSecond;
  if (outlook.snapshot.sentPages > sentRamMax * outlook.pageCount) {
    return stop(rule, `${outlook.snapshot.sentPages} pages sent, more than ${sentRamMax} x RAM`);
  }
  if (last !== undefined && before !== undefined && link !== null && last.sentPages > before.sentPages) {
    const atFullRate = last.sentBytes * 1000 >= FULL_RATE * link * last.durationMs;
    const text = `${last.sentPages} pages sent (${formatBytes(last.sentBytes)}), more than the ${before.sentPages} of the pass before`;
    if (atFullRate) return stop(rule, `${text}, at full rate`);
  }
  return goOn(rule, roundText(outlook));
}
