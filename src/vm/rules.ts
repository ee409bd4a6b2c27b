/**
 * What rules say, as data. A rule never sees a page: the page store executes these values.
 * A rule that cannot be said in these terms extends the unions. It never gets a callback.
 */

import type { Bitmap } from '../base/index.ts';

/** Which dirty pages wait instead of being sent: until stop-and-copy, or until they leave the set. */
export type Hold =
  | { readonly kind: 'none' }
  /**
   * Dirty in at least `theta` of the last `of` iterations (of <= 8); leaves after `leaveAfterClean` clean
   * ones.
   */
  | { readonly kind: 'window'; readonly theta: number; readonly of: number; readonly leaveAfterClean: number }
  /** Estimated rewrite rate above `perSecondMax`. */
  | { readonly kind: 'rate'; readonly perSecondMax: number }
  /**
   * Every page of these regions; `regionPages` of the statistics is their size. With `onlyRewritten`, pages
   * that were not dirtied since the first pass are sent all the same: a cold page in a hot region would add
   * to the downtime for nothing.
   */
  | { readonly kind: 'regions'; readonly regions: Bitmap; readonly onlyRewritten?: boolean }
  /** A page that arrives again while its last copy is still queued waits for the next iteration. */
  | { readonly kind: 'dirty-again' };

/** Which queued page is sent next. */
export type Order =
  | { readonly kind: 'address' }
  /** Lowest estimated rewrite rate first. */
  | { readonly kind: 'coldest' }
  /** Fewest modifications since the migration began first. */
  | { readonly kind: 'counter' }
  /** Regions with the lowest class (0..7) first; one byte a region. */
  | { readonly kind: 'region'; readonly classOfRegion: Uint8Array };

export type DecisionAction = 'continue' | 'stop-and-copy' | 'throttle' | 'post-copy' | 'abort';

/** Every decision names the rule that made it and says why, with numbers. */
export interface Decision {
  readonly action: DecisionAction;
  readonly rule: string;
  readonly text: string;
  /** For `throttle`: share of vCPU time taken away, 0..0.99. */
  readonly throttle?: number;
}

/** `post-copy`: the VM moves at once and its memory follows; a failure in that phase loses it. */
export type OnTimeout = 'cancel' | 'switch' | 'post-copy';

/** What the operator wants. */
export interface Limits {
  /** What rules aim at. */
  readonly downtimeMsMax: number;
  /**
   * No rule stops the VM while more than this is foretold; `limit`: than downtimeMsMax. Absent: a stop takes
   * what it takes, so that every migration ends.
   */
  readonly downtimeMsBound?: number | 'limit';
  /** From `migrate` to the decision; null: no limit. */
  readonly timeoutMs: number | null;
  readonly onTimeout: OnTimeout;
}

/** Infinity: no bound. */
export function downtimeMsBoundOf({ downtimeMsMax, downtimeMsBound }: Limits): number {
  return downtimeMsBound === 'limit' ? downtimeMsMax : (downtimeMsBound ?? Number.POSITIVE_INFINITY);
}
