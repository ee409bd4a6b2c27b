/**
 * MP: a memory-intensive guest whose pattern is settled gains nothing from waiting, so stop early.
 *
 * Deviations, with reasons:
 * 1. "Stop now, waiting buys nothing" holds once the queue outside the held set is drained (drained.ts):
 *    before that, waiting buys cold pages sent while the VM runs.
 * 2. Memory-intensive is also judged by effect (what was sent came back), because distinct pages per
 *    iteration understate the dirty rate.
 * 3. "Sweep: when the front is in the smallest remaining part" is read as: the backlog is within 5 % of its
 *    least so far. The rule waits for that for at most `sweepPatience` iterations. A histogram of what was
 *    dirtied does not show which part remains; the backlog does.
 * 4. Where QEMU takes long to hand over what is dirty, an iteration is one pass, and two that find as much
 *    settle the pattern.
 */

import type { Decision, Outlook, ParameterValues } from '../../vm/index.ts';
import { goOn, stop, value } from '../common.ts';
import {
  backlogBytes,
  dirtyBytesPerSecond,
  downtimeText,
  formatMs,
  isNearLeast,
  lastIteration,
  measured,
  nextPassIsInVain,
  passesAreFlat,
  passesAreLong,
  rateText,
  remainingBytes,
  yieldOf,
} from '../measures.ts';
import { type Drained, drained } from './drained.ts';
import { fitsLimit } from './fits.ts';
import type { Pattern } from './pattern-class.ts';
import { beginTrim, type Trim, trimOn } from './trim.ts';

/** MP's memory: the class of the newest iteration, and since when the rule waits for a better moment. */
export interface PatternMemory {
  readonly pattern: Pattern;
  /** Iterations in a row with this class, the newest included. */
  readonly sameClass: number;
  readonly intensive: boolean;
  readonly waitingSinceMs: number | null;
  readonly quietSinceMs: number | null;
  /** Not null: held pages are being sent (trim.ts). */
  readonly trim: Trim | null;
}

/**
 * A quiet phase is used for this share of its length. Later the next busy one may begin before the VM has
 * stopped.
 */
const TROUGH_SHARE = 0.7;

/** The dirty rate is at least B, or its effect is seen: nearly all that was sent lately came back. */
export function isIntensive(outlook: Outlook, parameters: ParameterValues): boolean {
  const last = lastIteration(outlook);
  const link = outlook.linkBytesPerSecond;
  if (last === null || link === null) return false;
  if (dirtyBytesPerSecond(outlook, last) >= link) return true;
  const bought = yieldOf(outlook.history, value(parameters, 'sameIterations'));
  return bought !== null && bought < value(parameters, 'yieldMin') && outlook.history.length > 3;
}

export interface PatternVerdict {
  readonly decision: Decision;
  readonly waitingSinceMs: number | null;
  readonly trim: Trim | null;
}

type Waiting = Omit<PatternVerdict, 'trim'>;

export function patternSwitchover(
  outlook: Outlook,
  memory: PatternMemory,
  parameters: ParameterValues,
): PatternVerdict {
  const { pattern, sameClass, intensive, waitingSinceMs } = memory;
  const settled = (decision: Decision): PatternVerdict => ({ decision, waitingSinceMs, trim: null });
  const fits = fitsLimit(outlook);
  if (fits !== null) return settled(fits);
  const tail = `${pattern.text}; ${downtimeText(outlook)}`;
  const rest = drained(outlook, {
    heldShare: value(parameters, 'heldShare'),
    yieldMin: value(parameters, 'yieldMin'),
    yieldIterations: value(parameters, 'sameIterations'),
  });
  if (pattern.class === 'phased' && (rest.drained || memory.trim !== null)) {
    return { ...phased(outlook, memory, rest, tail), trim: null };
  }
  if (memory.trim !== null) {
    return { waitingSinceMs, ...trimOn(outlook, memory.trim, value(parameters, 'trimFallMin'), tail) };
  }
  if (!intensive) return settled(goOn('mp-converging', `${rateText(outlook)}; ${rest.text}; ${tail}`));
  const needed = value(parameters, 'sameIterations');
  const isSettled = passesAreLong(outlook)
    ? passesAreFlat(outlook)
    : sameClass >= needed && pattern.class !== 'unknown';
  if (!isSettled) {
    return settled(
      goOn('mp-watch', `${rateText(outlook)}; ${sameClass} of ${needed} iterations alike; ${tail}`),
    );
  }
  if (!rest.drained) return settled(goOn('mp-drain', `${rateText(outlook)}; ${rest.text}; ${tail}`));
  if (pattern.class === 'sweep') {
    return { ...sweep(outlook, memory, rest, tail, value(parameters, 'sweepPatience')), trim: null };
  }
  const trim = nextPassIsInVain(outlook) ? null : beginTrim(outlook);
  const text = `${rateText(outlook)}; ${rest.text}; `;
  if (trim === null) return settled(stop('mp-settled', `${text}waiting buys nothing: ${tail}`));
  return { decision: goOn('mp-trim', `${text}held pages are sent now: ${tail}`), waitingSinceMs, trim };
}

function phased(outlook: Outlook, memory: PatternMemory, rest: Drained, tail: string): Waiting {
  const waitingSinceMs = memory.waitingSinceMs ?? outlook.nowMs;
  const waitedMs = outlook.nowMs - waitingSinceMs;
  const periodMs = memory.pattern.periodMs ?? 0;
  if (memory.quietSinceMs !== null) {
    const quietMs = outlook.nowMs - memory.quietSinceMs;
    const bought = yieldOf(outlook.history, 1);
    // The trough is worth its time while sending still shrinks the backlog.
    if (quietMs >= (TROUGH_SHARE * periodMs) / 2 || (bought !== null && bought < 0.1)) {
      return {
        decision: stop('mp-trough', `quiet for ${formatMs(quietMs)}; ${rest.text}; ${tail}`),
        waitingSinceMs,
      };
    }
    return {
      decision: goOn('mp-trough', `quiet for ${formatMs(quietMs)}; ${rest.text}; ${tail}`),
      waitingSinceMs,
    };
  }
  if (waitedMs >= periodMs) {
    const text = `no quiet phase within ${formatMs(waitedMs)}, one period; ${rest.text}; ${tail}`;
    return { decision: stop('mp-patience', text), waitingSinceMs };
  }
  const text = `busy; the quiet phase is waited for, ${formatMs(waitedMs)} of ${formatMs(periodMs)}; ${tail}`;
  return { decision: goOn('mp-wait-trough', text), waitingSinceMs };
}

function sweep(
  outlook: Outlook,
  memory: PatternMemory,
  rest: Drained,
  tail: string,
  patience: number,
): Waiting {
  const waitingSinceMs = memory.waitingSinceMs ?? outlook.nowMs;
  const waited = measured(outlook.history).filter((stats) => stats.startMs >= waitingSinceMs).length;
  const least = Math.min(...measured(outlook.history).map(backlogBytes));
  if (isNearLeast(remainingBytes(outlook), least)) {
    return { decision: stop('mp-sweep', `backlog at its least; ${rest.text}; ${tail}`), waitingSinceMs };
  }
  if (waited >= patience) {
    return {
      decision: stop(
        'mp-patience',
        `waited ${waited} iterations for the least backlog; ${rest.text}; ${tail}`,
      ),
      waitingSinceMs,
    };
  }
  return {
    decision: goOn('mp-wait-sweep', `the backlog was smaller before; ${rest.text}; ${tail}`),
    waitingSinceMs,
  };
}
