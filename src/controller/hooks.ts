/** What a migration tells whoever started it, while it runs. */

import type { LaunchPlan } from '../launch/index.ts';
import type { IterationStats } from '../vm/index.ts';
import type { ProgressView } from './drive.ts';
import type { Preflight } from './preflight/preflight.ts';
import type { MigrateStep } from './steps.ts';

export interface MigrateHooks {
  onProgress(view: ProgressView): void;
  onIteration(stats: IterationStats): void;
  /** A line worth telling: a step, a note, the commit point. */
  onNote(text: string): void;
  /** The destination QEMU that is about to be started. */
  onPlan?(plan: LaunchPlan): void;
  /** What the checks before the migration found, also when it goes ahead. */
  onPreflight?(preflight: Preflight): void;
  /** Called at each moment, before the next thing is done. */
  onStep?(step: MigrateStep): void;
}
