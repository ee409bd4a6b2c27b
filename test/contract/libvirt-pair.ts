/**
 * Two fake daemons and one domain that migrates between them, as libvirt would have it: what runs where is a
 * value, and every step can be told to fail, to hang up before or after it is done, or to change nothing.
 */

import path from 'node:path';
import { FakeDaemon, FakeFault, HANG_UP } from '../../src/libvirt/fake.testing.ts';
import {
  domainAbortJob,
  domainDestroy,
  domainGetJobInfo,
  domainGetState,
  domainLookupByUuid,
  domainResume,
  domainUndefine,
} from '../../src/libvirt/procedures-domain.ts';
import {
  migrateBegin,
  migrateConfirm,
  migrateFinish,
  migratePerform,
  migratePrepare,
} from '../../src/libvirt/procedures-migration.ts';
import { FAULT } from '../../src/libvirt/remote-error.ts';

/**
 * `lost`: carried out, and the connection ends instead of an answer. `lost-before`: the same, not carried
 * out.
 */
export type FakeStep = 'works' | 'refused' | 'lost' | 'lost-before';

type Copy = 'running' | 'paused' | null;

export const FAKE_VM = { name: 'vm1', uuid: '00112233-4455-6677-8899-aabbccddeeff', id: 7 };

const NO_JOB = {
  ...{ timeElapsed: 0n, timeRemaining: 0n, dataTotal: 0n, dataProcessed: 0n, dataRemaining: 0n },
  ...{ memTotal: 0n, memProcessed: 0n, memRemaining: 0n },
  ...{ fileTotal: 0n, fileProcessed: 0n, fileRemaining: 0n },
};

export class FakeLibvirtPair {
  source: Copy = 'running';
  destination: Copy = null;
  /** They ran at the same time, at some moment. */
  doubled = false;
  finish: FakeStep = 'works';
  cancelledFinish: 'works' | 'ignored' = 'works';
  confirm: FakeStep = 'works';
  perform: 'works' | 'fails' = 'works';
  /** libvirt still has the source in a migration. */
  hasJob = false;
  /** Why a paused copy is: 1 somebody suspended it, 2 it migrates. */
  pausedReason = 2;
  /** What the client said: "finish", "finish cancelled", "confirm", ... */
  readonly said: string[] = [];
  readonly daemons: { readonly source: FakeDaemon; readonly destination: FakeDaemon };

  /** Defined although it does not run. */
  readonly #defined = new Set<'source' | 'destination'>();

  /** Use FakeLibvirtPair.open. */
  constructor(source: FakeDaemon, destination: FakeDaemon) {
    this.daemons = { source, destination };
  }

  static async open(folder: string, name: string): Promise<FakeLibvirtPair> {
    const source = await FakeDaemon.listen(path.join(folder, `${name}-a.sock`));
    const destination = await FakeDaemon.listen(path.join(folder, `${name}-b.sock`));
    const pair = new FakeLibvirtPair(source, destination);
    pair.#answer();
    return pair;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemons.source.close();
    await this.daemons.destination.close();
  }

  #see(): void {
    this.doubled ||= this.source === 'running' && this.destination === 'running';
  }

  #answer(): void {
    const { source, destination } = this.daemons;
    for (const end of ['source', 'destination'] as const) this.#answerLooks(end);
    source.on(domainAbortJob, () => ({}));
    source.on(migrateBegin, () => ({ cookie: Uint8Array.of(1), xml: '<domain/>' }));
    destination.on(migratePrepare, () => {
      this.destination = 'paused';
      return { cookie: Uint8Array.of(2), uri: null };
    });
    source.on(migratePerform, () => {
      if (this.perform === 'fails') throw new FakeFault(FAULT.OPERATION_INVALID, 'migration failed');
      this.source = 'paused';
      return { cookie: Uint8Array.of(3) };
    });
    destination.on(migrateFinish, ({ cancelled }) => {
      this.said.push(cancelled ? 'finish cancelled' : 'finish');
      return cancelled ? this.#cancelFinish() : this.#finish();
    });
    source.on(migrateConfirm, ({ cancelled }) => {
      this.said.push(cancelled ? 'confirm cancelled' : 'confirm');
      if (this.confirm === 'refused') throw new FakeFault(FAULT.OPERATION_INVALID, 'not in migration');
      this.hasJob = false;
      if (this.confirm !== 'lost-before') this.source = cancelled ? 'running' : null;
      this.#see();
      return this.confirm === 'works' ? {} : HANG_UP;
    });
  }

  #answerLooks(end: 'source' | 'destination'): void {
    const daemon = this.daemons[end];
    daemon.on(domainLookupByUuid, () => {
      if (this[end] !== null) return { domain: FAKE_VM };
      if (this.#defined.has(end)) return { domain: { ...FAKE_VM, id: -1 } };
      throw new FakeFault(FAULT.NO_DOMAIN, 'Domain not found');
    });
    daemon.on(domainGetState, () =>
      this[end] === 'running' ? { state: 1, reason: 1 } : { state: 3, reason: this.pausedReason },
    );
    daemon.on(domainGetJobInfo, () => ({ ...NO_JOB, type: this.hasJob ? 2 : 0 }));
    daemon.on(domainResume, () => {
      this.said.push(`resume ${end}`);
      this[end] = 'running';
      this.#see();
      return {};
    });
    daemon.on(domainDestroy, () => {
      this.said.push(`destroy ${end}`);
      this[end] = null;
      this.#defined.add(end);
      return {};
    });
    daemon.on(domainUndefine, () => {
      this.said.push(`undefine ${end}`);
      this.#defined.delete(end);
      return {};
    });
  }

  #finish() {
    if (this.finish === 'refused') {
      this.destination = null;
      throw new FakeFault(FAULT.OPERATION_INVALID, 'cannot get "write" lock');
    }
    if (this.finish !== 'lost-before') this.destination = 'running';
    this.#see();
    return this.finish === 'works' ? { domain: FAKE_VM, cookie: Uint8Array.of(4) } : HANG_UP;
  }

  #cancelFinish(): never {
    if (this.cancelledFinish === 'works') this.destination = null;
    throw new FakeFault(FAULT.OPERATION_INVALID, 'migration was cancelled');
  }
}
