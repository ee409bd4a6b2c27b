/**
 * Changes migration settings of a QEMU and remembers what they were, so that a migration that does not
 * complete leaves no trace. Not responsible for deciding when: QEMU refuses to change capabilities while a
 * migration runs, so restore after its end.
 */

import { errorCode } from '../base/index.ts';
import type { QmpExecutor } from './client.ts';
import {
  migrateSetCapabilities,
  migrateSetParameters,
  type ParameterValue,
  queryMigrateCapabilities,
  queryMigrateParameters,
} from './commands-migration.ts';
import { restoreError, unsupportedError } from './errors.ts';

/** Plain data for a journal: what to put back. */
export interface PreviousSettings {
  readonly capabilities: Readonly<Record<string, boolean>>;
  readonly parameters: Readonly<Record<string, ParameterValue>>;
}

export interface GuardOptions {
  /**
   * Called with all that is to be put back before each change is made, so that it can be written down first.
   */
  readonly record?: (previous: PreviousSettings) => void | Promise<void>;
}

export class ParameterGuard {
  readonly #qemu: QmpExecutor;
  readonly #record: NonNullable<GuardOptions['record']>;
  readonly #capabilities = new Map<string, boolean>();
  readonly #parameters = new Map<string, ParameterValue>();

  constructor(qemu: QmpExecutor, options: GuardOptions = {}) {
    this.#qemu = qemu;
    this.#record = options.record ?? (() => {});
  }

  /** What `restore` would put back now. */
  previous(): PreviousSettings {
    return {
      capabilities: Object.fromEntries(this.#capabilities),
      parameters: Object.fromEntries(this.#parameters),
    };
  }

  /**
   * Errors: QMP_UNSUPPORTED for a name that this QEMU does not have, before anything is changed; those of
   * execute.
   */
  async setCapabilities(states: Readonly<Record<string, boolean>>): Promise<void> {
    const now = await queryMigrateCapabilities(this.#qemu);
    const changes = changesOf('migration capability', now, states);
    if (changes.size === 0) return;
    await this.#remember(this.#capabilities, now, changes);
    await migrateSetCapabilities(this.#qemu, changes);
  }

  /**
   * Errors: QMP_UNSUPPORTED for a name that this QEMU does not have, before anything is changed; those of
   * execute.
   */
  async setParameters(values: Readonly<Record<string, ParameterValue>>): Promise<void> {
    const now = await queryMigrateParameters(this.#qemu);
    const changes = changesOf('migration parameter', now, values);
    if (changes.size === 0) return;
    await this.#remember(this.#parameters, now, changes);
    await migrateSetParameters(this.#qemu, changes);
  }

  /**
   * Puts every changed setting back; a second call does nothing. `qemu` may be a new connection to the same
   * QEMU. Errors: QMP_RESTORE names what could not be put back (and is tried again by the next call).
   */
  async restore(qemu: QmpExecutor = this.#qemu): Promise<void> {
    const left = await putBack(qemu, this.#capabilities, this.#parameters);
    for (const [name] of this.#capabilities) if (!left.names.includes(name)) this.#capabilities.delete(name);
    for (const [name] of this.#parameters) if (!left.names.includes(name)) this.#parameters.delete(name);
    if (left.names.length > 0) throw restoreError(left.names, left.cause);
  }

  /** The first value seen is the one to restore, however often a setting changes afterwards. */
  async #remember<T>(
    kept: Map<string, T>,
    now: ReadonlyMap<string, T>,
    changes: ReadonlyMap<string, T>,
  ): Promise<void> {
    for (const name of changes.keys()) {
      const value = now.get(name);
      if (value !== undefined && !kept.has(name)) kept.set(name, value);
    }
    await this.#record(this.previous());
  }
}

/** Restores from a journal what a guard of an earlier process has changed. Errors: QMP_RESTORE. */
export async function restoreSettings(qemu: QmpExecutor, previous: PreviousSettings): Promise<void> {
  const capabilities = new Map(Object.entries(previous.capabilities));
  const parameters = new Map(Object.entries(previous.parameters));
  const left = await putBack(qemu, capabilities, parameters);
  if (left.names.length > 0) throw restoreError(left.names, left.cause);
}

function changesOf<T>(
  what: string,
  now: ReadonlyMap<string, T>,
  wanted: Readonly<Record<string, T>>,
): ReadonlyMap<string, T> {
  const changes = new Map<string, T>();
  for (const [name, value] of Object.entries(wanted)) {
    const current = now.get(name);
    if (current === undefined) throw unsupportedError(`${what} ${name}`);
    if (current !== value) changes.set(name, value);
  }
  return changes;
}

async function putBack(
  qemu: QmpExecutor,
  capabilities: ReadonlyMap<string, boolean>,
  parameters: ReadonlyMap<string, ParameterValue>,
): Promise<{ names: readonly string[]; cause: unknown }> {
  const names: string[] = [];
  let cause: unknown;
  // Capabilities go together: QEMU checks the resulting set as a whole (switchover-ack wants return-path).
  if (capabilities.size > 0) {
    try {
      await migrateSetCapabilities(qemu, capabilities);
    } catch (error) {
      names.push(...capabilities.keys());
      cause = error;
    }
  }
  // One parameter that QEMU no longer accepts must not keep the others changed.
  for (const [name, value] of parameters) {
    try {
      await migrateSetParameters(qemu, new Map([[name, value]]));
    } catch (error) {
      names.push(name);
      cause ??= error;
      if (errorCode(error) === 'QMP_CLOSED') {
        names.push(...[...parameters.keys()].filter((other) => !names.includes(other)));
        break;
      }
    }
  }
  return { names, cause };
}
