/** A socket here that answers for one on the far host. A type only: reach.ts and listener.ts make them. */

export interface Forward {
  /** A path here at which the far socket answers. */
  readonly path: string;
  /** The way there is still open, as far as is known here. */
  readonly alive: boolean;
  /** How often the far host said that nobody listens at the far socket. */
  readonly refusals: number;
  /** Why the last connection did not get through, where that is known; else null. */
  readonly failure: unknown;
  /** What ssh said last; empty where it said nothing. */
  said(): string;
  close(): void;
}
