/** What a fault is, as data: a kind from the table, drawn with a step and dice. Types only. */

import type { MigrateStep } from '../../src/controller/index.ts';

/**
 * `single`: both QEMUs on this host. `ssh`: the destination on another one, with a gateway there.
 * `listen`: as ssh, started by hand.
 */
export type FaultArrangement = 'single' | 'ssh' | 'listen';

/** `other`: a second destination. */
export type End = 'source' | 'destination' | 'other';

/** What the fault itself brings about, so that it is no fault of godwit's. */
export interface Allowance {
  /** Exit code 3 is true: somebody cannot be asked, or somebody else acted on a VM. */
  readonly doubt?: boolean;
  /** The VM's owner stopped it: it need not run, but must be there. */
  readonly stopped?: boolean;
  /** Somebody else continued a VM: two may have run for as long as godwit needed to see it. */
  readonly overlap?: boolean;
  /** Somebody else acted on a stopped VM before COMMIT: to commit all the same is wrong. */
  readonly noCommit?: boolean;
  /**
   * The VM's memory may be at both ends, where only QEMU can join it again: the operator is told, and the
   * VM may stand still.
   */
  readonly split?: boolean;
  /** The far host cannot be reached: what waits there is left to its operator. */
  readonly farStays?: boolean;
  /** The journal was damaged: what godwit cannot know it must not claim, and need not list as ended. */
  readonly damaged?: boolean;
  /** An unreadable journal of another migration remains: `resolve` goes on listing it. */
  readonly strayJournal?: boolean;
}

export interface SceneOptions {
  /** Both QEMUs are reached through relays that can be cut. */
  readonly wires?: boolean;
  readonly disk?: boolean;
  readonly paused?: boolean;
  /** Both QEMUs run as another user than godwit. */
  readonly otherUser?: boolean;
  /** Default `pc`. */
  readonly machine?: string;
  /** RAM in a file that both ends map. */
  readonly sharedRam?: boolean;
  /** Further arguments of `godwit migrate`. */
  readonly arguments?: readonly string[];
  /** Without --json: progress goes to standard output. */
  readonly text?: boolean;
  readonly reader?: 'patient' | 'one-line';
  /** Instead of a folder of its own. */
  readonly stateDirectory?: string;
}

/** The strike found nothing to hit: no fault happened. */
export class NotStruck extends Error {}

export interface Fault {
  readonly seed: number;
  readonly index: number;
  readonly kind: string;
  readonly arrangement: FaultArrangement;
  /** null: the kind strikes no moment. */
  readonly step: MigrateStep | null;
  readonly afterMs: number;
}
