/**
 * One migration by libvirt's protocol 3 from its client's side: five calls, and the cookies between them. Not
 * responsible for the moment of a call, nor for what is right after a failure: `phase` says what was asked,
 * `undo` takes back what can be.
 */

import { assert, GodwitError } from '../base/index.ts';
import type { CallOptions, LibvirtCaller } from './client.ts';
import { lookAtDomain } from './look.ts';
import type { DomainRef } from './procedures-domain.ts';
import {
  MIGRATE,
  migrateBegin,
  migrateConfirm,
  migrateFinish,
  migratePerform,
  migratePrepare,
  PARAMETER,
} from './procedures-migration.ts';
import { stringParameter, type TypedParameter, ullongParameter } from './typed-parameters.ts';

export interface MigrationPlan {
  readonly domain: DomainRef;
  /** MIGRATE_… besides LIVE and CHANGE_PROTECTION, which every migration has. */
  readonly flags: number;
  /** What the domain is called over there; null: the same. */
  readonly name?: string | null;
  /** The domain over there, where it is not to be the same. */
  readonly xml?: string | null;
  /** QEMU's own cap. libvirt passes 2^63 on without one. null: none. */
  readonly mebibytesPerSecond?: number | null;
}

/** What was asked last; `…ing` until it is answered. */
export type MigrationPhase =
  | 'new'
  | 'beginning'
  | 'begun'
  | 'preparing'
  | 'prepared'
  | 'performing'
  | 'performed'
  | 'finishing'
  | 'finished'
  | 'confirmed';

/** A persistent domain is defined over there and undefined here; a transient one stays transient. */
export function persistenceFlags(persistent: boolean): number {
  return persistent ? MIGRATE.PERSIST_DEST | MIGRATE.UNDEFINE_SOURCE : 0;
}

const NO_COOKIE = new Uint8Array();
/** Perform lasts as long as the migration; the others start or end a QEMU. */
const STEP_TIMEOUT_MS = 120_000;

export class LibvirtMigration {
  readonly #source: LibvirtCaller;
  readonly #destination: LibvirtCaller;
  readonly #plan: MigrationPlan;
  readonly #flags: number;
  #phase: MigrationPhase = 'new';
  #prepared = false;
  #cookie: Uint8Array = NO_COOKIE;
  #xml: string | null = null;

  constructor(source: LibvirtCaller, destination: LibvirtCaller, plan: MigrationPlan) {
    this.#source = source;
    this.#destination = destination;
    this.#plan = plan;
    // Protection: the source belongs to this migration from Begin to Confirm, so nobody moves or changes it
    // in between.
    this.#flags = plan.flags | MIGRATE.LIVE | MIGRATE.CHANGE_PROTECTION;
  }

  /**
   * One that somebody else began, to end it: libvirt looks a migration up by its domain, whoever asks. Its
   * cookies are lost, so that it can be confirmed and cancelled, and not gone on with.
   */
  static found(
    source: LibvirtCaller,
    destination: LibvirtCaller,
    plan: MigrationPlan,
    phase: 'performing' | 'performed' | 'finishing',
  ): LibvirtMigration {
    const migration = new LibvirtMigration(source, destination, plan);
    migration.#phase = phase;
    migration.#prepared = true;
    return migration;
  }

  get phase(): MigrationPhase {
    return this.#phase;
  }

  /** new -> begun. libvirt refuses here what cannot be migrated, and what would not be safe. */
  async begin(options?: CallOptions): Promise<void> {
    const { cookie, xml } = await this.#step('new', 'beginning', 'begun', () =>
      this.#source.call(
        migrateBegin,
        { domain: this.#plan.domain, parameters: this.#parameters([]), flags: this.#flags },
        options ?? { timeoutMs: STEP_TIMEOUT_MS },
      ),
    );
    this.#cookie = cookie;
    this.#xml = xml;
  }

  /** begun -> prepared: the destination's QEMU listens on `uri`, or on what libvirt answers instead. */
  async prepare(uri: string, options?: CallOptions): Promise<string> {
    assert(this.#xml !== null, 'Begin has answered with the domain');
    const parameters = this.#parameters([stringParameter(PARAMETER.URI, uri), this.#named], this.#xml);
    const answer = await this.#step('begun', 'preparing', 'prepared', () => {
      this.#prepared = true;
      return this.#destination.call(
        migratePrepare,
        { parameters, cookie: this.#cookie, flags: this.#flags },
        options ?? { timeoutMs: STEP_TIMEOUT_MS },
      );
    });
    this.#cookie = answer.cookie;
    return answer.uri ?? uri;
  }

  /**
   * prepared -> performed: the source's QEMU connects to `uri` and sends everything; its VM stands still when
   * this resolves.
   */
  async perform(uri: string, options?: CallOptions): Promise<void> {
    const { cookie } = await this.#step('prepared', 'performing', 'performed', () =>
      this.#source.call(
        migratePerform,
        {
          domain: this.#plan.domain,
          destinationUri: null,
          parameters: this.#parameters([stringParameter(PARAMETER.URI, uri)]),
          cookie: this.#cookie,
          flags: this.#flags,
        },
        options ?? { timeoutMs: null },
      ),
    );
    this.#cookie = cookie;
  }

  /**
   * performed -> finished: the destination starts the VM. LIBVIRT_UNANSWERED means that it may run there;
   * LIBVIRT_CALL that libvirt has ended it there.
   */
  async finish(options?: CallOptions): Promise<DomainRef> {
    const answer = await this.#step('performed', 'finishing', 'finished', () =>
      this.#destination.call(
        migrateFinish,
        {
          parameters: this.#parameters([this.#named]),
          cookie: this.#cookie,
          flags: this.#flags,
          cancelled: false,
        },
        options ?? { timeoutMs: STEP_TIMEOUT_MS },
      ),
    );
    this.#cookie = answer.cookie;
    return answer.domain;
  }

  /**
   * Takes everything back: what was prepared is ended, and only once libvirt has said so the source goes on.
   * Rejects where the destination does not confirm; the source then stays as it is.
   */
  async undo(options?: CallOptions): Promise<void> {
    if (this.#phase === 'new') return;
    await this.cancelThere(options);
    await this.confirm({ cancelled: true }, options);
  }

  /**
   * Ends what was prepared, and looks that it is gone. Errors: LIBVIRT_NOT_ENDED. Not after Finish: what it
   * started stays.
   */
  async cancelThere(options?: CallOptions): Promise<void> {
    if (!this.#prepared) return;
    const phase = this.#phase;
    assert(
      phase !== 'finishing' && phase !== 'finished',
      'a VM that may have been started there is not ended',
    );
    const args = {
      parameters: this.#parameters([this.#named]),
      cookie: NO_COOKIE,
      flags: this.#flags,
      cancelled: true,
    };
    // "No domain with that name" is as good; libvirt answers a cancelled Finish with an error in any case.
    const refusal = await this.#destination.call(migrateFinish, args, options).then(
      () => null,
      (error: unknown) => error,
    );
    const there = await lookAtDomain(this.#destination, this.#plan.domain.uuid, options);
    if (there === null || there.ref.id < 0) return;
    throw new GodwitError(
      'LIBVIRT_NOT_ENDED',
      `the domain over there is not ended: it is ${there.state.state}`,
      {
        safe: 'the source VM stays stopped, for the one over there may run',
        hint: 'look at both with virsh domstate --reason; end one with virsh destroy before the other goes on',
        cause: refusal,
      },
    );
  }

  /**
   * Whatever was asked -> confirmed: the source's VM is ended, since it runs elsewhere; or (`cancelled`) goes
   * on.
   */
  async confirm(how: { readonly cancelled: boolean }, options?: CallOptions): Promise<void> {
    const { cancelled } = how;
    await this.#source.call(
      migrateConfirm,
      {
        domain: this.#plan.domain,
        parameters: this.#parameters([]),
        cookie: cancelled ? NO_COOKIE : this.#cookie,
        flags: this.#flags,
        cancelled,
      },
      options ?? { timeoutMs: STEP_TIMEOUT_MS },
    );
    this.#phase = 'confirmed';
  }

  /** The destination looks the domain up by its name over there. */
  get #named(): TypedParameter {
    return stringParameter(PARAMETER.DESTINATION_NAME, this.#plan.name ?? this.#plan.domain.name);
  }

  #parameters(more: readonly TypedParameter[], xml = this.#plan.xml ?? null): TypedParameter[] {
    const { mebibytesPerSecond = null } = this.#plan;
    return [
      ...more,
      ...(xml === null ? [] : [stringParameter(PARAMETER.DESTINATION_XML, xml)]),
      ...(mebibytesPerSecond === null
        ? []
        : [ullongParameter(PARAMETER.BANDWIDTH, BigInt(mebibytesPerSecond))]),
    ];
  }

  async #step<T>(
    from: MigrationPhase,
    during: MigrationPhase,
    to: MigrationPhase,
    run: () => Promise<T>,
  ): Promise<T> {
    assert(this.#phase === from, `${during} comes after ${from}, not after ${this.#phase}`);
    this.#phase = during;
    const result = await run();
    this.#phase = to;
    return result;
  }
}
