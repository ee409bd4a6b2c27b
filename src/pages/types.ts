/** What the page index is told and what it answers. Types only. */

import type { Snapshot } from '../vm/index.ts';

export interface IterationEnd {
  /** Since `migrate`, on the clock of the ticks. */
  readonly nowMs: number;
  /** QEMU passes within the iteration. */
  readonly passes: number;
  /** null until the link has been busy for long enough to tell. */
  readonly bandwidthBytesPerSecond: number | null;
}

/** The parts of a Snapshot that the index knows. */
export type IndexSnapshot = Pick<
  Snapshot,
  | 'backlog'
  | 'dirtyPages'
  | 'writtenPageBytes'
  | 'deltaPageBytes'
  | 'dirtyOutsideHoldPages'
  | 'sentPages'
  | 'resentPages'
  | 'sentBytes'
  | 'firstPassDone'
>;
