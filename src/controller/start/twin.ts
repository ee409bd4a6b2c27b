/**
 * The destination QEMU that a migration starts itself (`--start`): its start, the first connection to it, and
 * its end for as long as no journal names it. Not responsible for its command line (plan.ts).
 */

import { GodwitError } from '../../base/index.ts';
import type { LaunchPlan } from '../../launch/index.ts';
import type { QmpClient } from '../../qmp/index.ts';
import { NEAR, StartedQemu, startedBroken } from '../../remote/index.ts';
import type { MigrateOptions } from '../options.ts';
import { own, type PreflightFinding, refuseUnready } from '../preflight/preflight.ts';
import { planTwin, type TwinPlan } from './plan.ts';

export class Twin {
  readonly plan: LaunchPlan;
  readonly #qemu: StartedQemu;

  private constructor(plan: TwinPlan, qemu: StartedQemu) {
    this.plan = plan;
    this.#qemu = qemu;
  }

  /**
   * null: it was not asked for. Errors: PREFLIGHT_REFUSED, START_UNSEEN, START_FAILED, REACH_FAILED, those of
   * QMP.
   */
  static async start(
    options: MigrateOptions,
    source: QmpClient,
    onPlan: (plan: LaunchPlan) => void,
    signal: AbortSignal,
  ): Promise<Twin | null> {
    if (options.start == null) return null;
    const plan = await planTwin(options, options.start, source);
    onPlan(plan);
    refuseUnready(launchFindings(plan));
    return new Twin(plan, await StartedQemu.start(options.far?.reach ?? NEAR, plan, signal));
  }

  get identity(): string {
    return this.#qemu.identity;
  }

  /** Once the journal has it. Errors: START_FAILED, REACH_FAILED. */
  keep(signal: AbortSignal): Promise<void> {
    return this.#qemu.keep(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#qemu.close();
  }

  /** Its QMP did not answer: what it said itself tells more. */
  async explain(error: unknown): Promise<unknown> {
    if (!(error instanceof GodwitError) || !error.code.startsWith('QMP_')) return error;
    const said = await this.#qemu.close();
    return said === null || said === '' ? error : startedBroken(said);
  }
}

export function launchFindings({ notes }: LaunchPlan): readonly PreflightFinding[] {
  return notes.map(({ severity, text }) => own(severity, 'COMMAND_LINE', text));
}
