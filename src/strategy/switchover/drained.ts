/**
 * Is the part of the backlog that sending can still remove gone? A guard that FRS, MP and adaptive share; it decides nothing by itself.
 *
 * Deviation from the rules as they are stated: those speak about D_k alone. With absorb the queue also holds RAM that was never sent;
 * stopping while it waits turns cold pages, which one transmission settles for good while the VM runs, into downtime.
 */

import type { Outlook } from '../../vm/index.ts';
import { formatBytes, formatMs, formatPercent, queuedBytes, yieldOf } from '../measures.ts';

/** A rest that takes this share of the downtime limit is gone for all purposes. */
const LIMIT_SHARE = 0.25;
/** Half of what is sent lasts: the queue is still being worked off. */
const YIELD_FAST = 0.5;

export interface DrainedOptions {
  /** The rest may take this share of the time the held set takes: below it, the held set alone decides the downtime. */
  readonly heldShare: number;
  /** With less of each sent byte lasting than this, the queue refills as fast as it is sent: it is as drained as it gets. */
  readonly yieldMin: number;
  readonly yieldIterations: number;
}

export interface Drained {
  readonly drained: boolean;
  readonly text: string;
}

export function drained(outlook: Outlook, options: DrainedOptions): Drained {
  const { snapshot, linkBytesPerSecond: link, limits } = outlook;
  const rest = queuedBytes(outlook);
  if (!snapshot.firstPassDone) return { drained: false, text: "QEMU's first pass is not over" };
  if (link === null) return { drained: false, text: 'the link rate is not known yet' };
  const limitBytes = (link * limits.downtimeMsMax) / 1000;
  const time = formatMs((rest * 1000) / link);
  const newest = yieldOf(outlook.history, 1);
  // What fits the limit but still shrinks fast is worth the moment it takes to be gone.
  const fitsAndStays = rest <= limitBytes && newest !== null && newest < YIELD_FAST;
  if (
    rest <= Math.max(LIMIT_SHARE * limitBytes, options.heldShare * snapshot.backlog.heldBytes) ||
    fitsAndStays
  ) {
    return { drained: true, text: `the rest outside the held set takes ${time} (${formatBytes(rest)})` };
  }
  const bought = yieldOf(outlook.history, options.yieldIterations);
  if (bought !== null && bought < options.yieldMin) {
    return {
      drained: true,
      text: `of the bytes sent in ${options.yieldIterations} iterations ${formatPercent(Math.max(0, bought))} lasted, the rest came back (${formatBytes(rest)} queued)`,
    };
  }
  return { drained: false, text: `${formatBytes(rest)} outside the held set take ${time} more` };
}
