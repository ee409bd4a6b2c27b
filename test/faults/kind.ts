/** What a kind of fault is: where it may strike, and how. Not responsible for any one kind (kinds/). */

import type { MigrateStep } from '../../src/controller/index.ts';
import type { Scene } from './scene.ts';
import type { Allowance, FaultArrangement, SceneOptions } from './types.ts';

export interface Kind {
  readonly kind: string;
  /** Rows of the table of what was once seen. */
  readonly rows: readonly number[];
  readonly arrangements: readonly FaultArrangement[];
  /** Where it may strike; empty: it does not strike a moment, but is there from the start. */
  readonly steps: readonly MigrateStep[];
  readonly allows?: Allowance;
  readonly scene?: SceneOptions;
  /** Preflight refuses such a VM, whatever happens. */
  readonly refuses?: boolean;
  /** With both VMs up and the command not started. */
  readonly before?: (scene: Scene) => Promise<void>;
  /** Errors: NotStruck where there is nothing to hit. */
  readonly strike?: (scene: Scene, step: MigrateStep) => Promise<void>;
  /** What the operator does once the command has ended, before `godwit resolve`. */
  readonly afterwards?: (scene: Scene) => Promise<void>;
}
