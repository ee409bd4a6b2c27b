/** The phases of a migration, in order, and the report's vocabulary. */

export type Phase =
  | 'preparing'
  | 'first-pass'
  | 'iterating'
  /** The VM is stopped, the rest flows. */
  | 'stop-and-copy'
  /** Everything is loaded at the destination, proven by PONG. */
  | 'prepared'
  | 'committed'
  | 'completed'
  | 'aborted'
  | 'in-doubt';

/** Arrangement: one gateway at the source, or one at each end. */
export type Arrangement = 'single' | 'paired';
