/**
 * The port "who controls this VM": what the handover asks of an end, whoever that is (QMP here; libvirt's
 * daemon elsewhere). What COMMIT announces is `start` of the destination's machine. Types only.
 */

import type { EndedHow } from '../handover/index.ts';
import type { PreviousSettings } from '../qmp/index.ts';

/**
 * `gone`: its process has surely ended. `silent`: it may live, but does not answer, or nobody can be
 * sure whether it does.
 */
export type MachineStatus =
  /** `words`: as the operator's own tools say it; else QEMU's run state says it. */
  | { readonly state: 'answers'; readonly runState: string; readonly words?: string }
  /** `neverRan`: whoever controls it vouches that it was ended before it had run. */
  | { readonly state: 'gone'; readonly why: string; readonly neverRan?: true }
  | { readonly state: 'silent'; readonly why: string };

export interface Machine {
  /** Never rejects. `withinMs`: how long it may be silent before that is said. */
  status(withinMs: number): Promise<MachineStatus>;
  /**
   * Makes the VM run: the source goes on, or the destination takes over. Where the end refuses, rejects with
   * its error.
   */
  start(): Promise<void>;
  /** Stops the VM; one that still loads will not start by itself. */
  stop(): Promise<void>;
  /** Ends the machine and waits until it is surely gone. Never rejects. */
  end(withinMs: number): Promise<EndedHow>;
  /** The state of its newest outgoing migration, in QEMU's words; `none` without one. */
  migrationStatus(): Promise<string>;
  /** Cancels an outgoing migration and waits until it has ended. */
  cancelMigration(): Promise<void>;
  restoreSettings(previous: PreviousSettings): Promise<void>;
  /** The mark that this migration has left is taken away. */
  releaseClaim(): Promise<void>;
  close(): Promise<void>;
}
