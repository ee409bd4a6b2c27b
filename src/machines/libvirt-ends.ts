/**
 * Both ends of a migration that libvirt controls, as machines: what COMMIT announces is Finish, what
 * continues the source is a cancelled Confirm. godwit is libvirt's client and says nothing to QEMU. Not
 * responsible for the order of things, which is the handover's, nor for Begin, Prepare and Perform, which
 * whoever runs the migration calls.
 */

import { errorMessage, GodwitError, sleep, systemClock } from '../base/index.ts';
import type { EndedHow } from '../handover/index.ts';
import {
  type DomainState,
  domainAbortJob,
  domainDestroy,
  domainGetJobInfo,
  domainResume,
  domainUndefine,
  faultCode,
  isUnanswered,
  JOB_TYPES,
  LibvirtMigration,
  lookAtDomain,
  persistenceFlags,
} from '../libvirt/index.ts';
import { Daemon } from './daemon.ts';
import type { DomainEndpoint } from './endpoint.ts';
import type { Machine, MachineStatus } from './types.ts';

const POLL_MS = 20;
/** Finish starts the VM within milliseconds; one whose answer was lost has begun or has not after so long. */
const FINISH_SETTLE_MS = 10_000;
const CANCEL_TIMEOUT_MS = 10_000;
const CALL_TIMEOUT_MS = 20_000;

/** libvirt ends what a client has prepared once its connection has ended; a busy daemon takes a moment. */
const AUTO_DESTROY_MS = 3_000;

export interface LibvirtEndsOptions {
  readonly migration: LibvirtMigration;
  readonly uuid: string;
  readonly persistent: boolean;
  /** Asked over whichever connection there is: only to look, and for what libvirt does for any client. */
  readonly source: Daemon;
  readonly destination: Daemon;
  /** Settles when Perform has: nothing of it is under way then. null: this process did not call it. */
  readonly performed: () => Promise<unknown> | null;
  /** Whoever began the migration is gone, and its connections with it. */
  readonly isFound: boolean;
  /** How long a Finish or an end that libvirt itself brings about is waited for; default: the two above. */
  readonly settleMs?: number;
}

export function libvirtEnds(options: LibvirtEndsOptions): { source: Machine; destination: Machine } {
  return { source: new SourceDomain(options), destination: new DestinationDomain(options) };
}

/** What a journal says of a migration whose client is gone. */
export interface FoundDomainMove {
  readonly source: DomainEndpoint;
  readonly destination: DomainEndpoint;
  readonly prepared: boolean;
  /** Finish may have been called. */
  readonly mayHaveCommitted: boolean;
}

export function foundLibvirtEnds(found: FoundDomainMove): { source: Machine; destination: Machine } {
  const daemonOf = ({ libvirt, reach }: DomainEndpoint) => new Daemon({ uri: libvirt, reach });
  const [source, destination] = [daemonOf(found.source), daemonOf(found.destination)];
  const { name, uuid, persistent } = found.source.domain;
  const plan = { domain: { name, uuid, id: -1 }, flags: persistenceFlags(persistent) };
  const phase = found.mayHaveCommitted ? 'finishing' : found.prepared ? 'performed' : 'performing';
  const migration = LibvirtMigration.found(source, destination, plan, phase);
  return libvirtEnds({
    ...{ migration, uuid, persistent, source, destination },
    performed: () => null,
    isFound: true,
  });
}

/** What both have: a domain that is looked at, over whichever connection there is. */
class Domain {
  protected readonly options: LibvirtEndsOptions;
  protected readonly daemon: Daemon;

  constructor(options: LibvirtEndsOptions, end: 'source' | 'destination') {
    this.options = options;
    this.daemon = options[end];
  }

  /** null: it is not active there. */
  protected async active(withinMs: number): Promise<DomainState | null> {
    const found = await lookAtDomain(this.daemon, this.options.uuid, { timeoutMs: withinMs });
    return found === null || found.ref.id < 0 ? null : found.state;
  }

  /** `word`: libvirt's state in QEMU's words, which the handover speaks. */
  protected async look(withinMs: number, word: (state: DomainState) => string): Promise<MachineStatus> {
    const deadlineMs = systemClock.nowMs() + withinMs;
    for (;;) {
      try {
        const state = await this.active(Math.max(POLL_MS, deadlineMs - systemClock.nowMs()));
        if (state === null) return { state: 'gone', why: 'libvirt has no such domain running' };
        return { state: 'answers', runState: word(state), words: `${state.state} (${state.reason})` };
      } catch (error) {
        if (systemClock.nowMs() >= deadlineMs) return { state: 'silent', why: errorMessage(error) };
        await sleep(POLL_MS);
      }
    }
  }

  async restoreSettings(): Promise<void> {
    // libvirt sets QEMU up and puts it back.
  }

  async close(): Promise<void> {
    await this.daemon.close();
  }
}

class SourceDomain extends Domain implements Machine {
  constructor(options: LibvirtEndsOptions) {
    super(options, 'source');
  }

  status(withinMs: number): Promise<MachineStatus> {
    return this.look(withinMs, (state) => {
      const { phase } = this.options.migration;
      const sent = phase === 'performed' || phase === 'finishing' || phase === 'finished';
      // Paused by Perform, which has answered: QEMU's migration has completed.
      return state.state === 'paused' && sent ? 'postmigrate' : runStateOf(state);
    });
  }

  /** The VM goes on: Confirm, cancelled. Asked for once the destination is ended. */
  async start(): Promise<void> {
    try {
      await this.options.migration.confirm({ cancelled: true }, { timeoutMs: CALL_TIMEOUT_MS });
    } catch (error) {
      if (isUnanswered(error)) throw error;
      // Whoever began this migration has lost its connection, and libvirt with it the migration: the VM is
      // paused, as virsh resume finds it.
      const found = await lookAtDomain(this.daemon, this.options.uuid);
      if (found?.state.state === 'running') return;
      if (found?.state.state !== 'paused') throw error;
      await this.daemon.call(domainResume, { domain: found.ref });
    }
  }

  async stop(): Promise<void> {
    throw new GodwitError(
      'LIBVIRT_NO_STOP',
      'QEMU itself stops a VM that libvirt migrates; godwit does not',
      {
        safe: 'nothing was asked of libvirt',
      },
    );
  }

  /** The VM runs elsewhere: Confirm. */
  async end(withinMs: number): Promise<EndedHow> {
    try {
      if (this.options.migration.phase !== 'confirmed') {
        await this.options.migration.confirm({ cancelled: false }, { timeoutMs: withinMs });
      }
      if ((await this.active(withinMs)) === null) return 'gone';
    } catch {
      // Its connection, and with it its right to confirm, may be lost: what Confirm does is then done by
      // name.
    }
    const call = { timeoutMs: withinMs };
    try {
      const found = await lookAtDomain(this.daemon, this.options.uuid, call);
      if (found === null) return 'gone';
      if (found.ref.id >= 0) {
        if (found.state.state !== 'paused') return 'stays';
        await this.daemon.call(domainDestroy, { domain: found.ref }, call);
      }
      // What Confirm does, too; a definition that libvirt keeps runs nowhere.
      if (this.options.persistent) {
        await this.daemon.call(domainUndefine, { domain: found.ref }, call).catch(() => undefined);
      }
      return 'gone';
    } catch {
      return 'silent';
    }
  }

  async migrationStatus(): Promise<string> {
    const { phase } = this.options.migration;
    if (phase === 'performing') return 'active';
    return phase === 'new' || phase === 'beginning' || phase === 'begun' ? 'none' : 'completed';
  }

  /**
   * Aborts Perform and waits for it; what Begin has claimed is given back, unless the VM waits for `start`.
   */
  async cancelMigration(): Promise<void> {
    const { migration, uuid, performed, isFound } = this.options;
    if (migration.phase === 'performing') {
      const found = await lookAtDomain(this.daemon, uuid);
      // With a client its gateway is gone: Perform ends by itself, and any other job is not ours.
      if (found !== null && !isFound) {
        // Refused where the job has just ended by itself.
        await this.daemon.call(domainAbortJob, { domain: found.ref }).catch(() => undefined);
      }
      const settled = isFound ? this.#untilJobEnds() : performed()?.catch(() => undefined);
      await Promise.race([settled, sleep(CANCEL_TIMEOUT_MS)]);
    }
    const state = await this.active(CALL_TIMEOUT_MS);
    if (state?.state === 'running' && !isFound) await this.releaseClaim();
  }

  /** libvirt undoes a Perform that fails, and lets go of one that has ended without its client. */
  async #untilJobEnds(): Promise<void> {
    const deadlineMs = systemClock.nowMs() + CANCEL_TIMEOUT_MS;
    while (systemClock.nowMs() < deadlineMs) {
      const found = await lookAtDomain(this.daemon, this.options.uuid, { timeoutMs: CANCEL_TIMEOUT_MS });
      if (found === null || found.ref.id < 0) return;
      const job = await this.daemon
        .call(domainGetJobInfo, { domain: found.ref }, { timeoutMs: CANCEL_TIMEOUT_MS })
        .catch(() => null);
      if (job !== null && JOB_TYPES[job.type] === 'none') return;
      await sleep(POLL_MS);
    }
  }

  /** The protection that Begin has put on the domain. */
  async releaseClaim(): Promise<void> {
    const { migration, isFound } = this.options;
    // libvirt lets go of what a client that is gone had claimed.
    if (isFound || migration.phase === 'new' || migration.phase === 'confirmed') return;
    await migration.confirm({ cancelled: migration.phase !== 'finished' }, { timeoutMs: CALL_TIMEOUT_MS });
  }
}

class DestinationDomain extends Domain implements Machine {
  /** libvirt refused Finish and has ended the domain. */
  #neverRan = false;

  constructor(options: LibvirtEndsOptions) {
    super(options, 'destination');
  }

  async status(withinMs: number): Promise<MachineStatus> {
    const status = await this.look(withinMs, (state) => {
      const { phase } = this.options.migration;
      const loads = phase === 'preparing' || phase === 'prepared' || phase === 'performing';
      if (hasTakenOver(state)) return 'suspended';
      return state.state === 'paused' && loads ? 'inmigrate' : runStateOf(state);
    });
    return status.state === 'gone' && this.#neverRan ? { ...status, neverRan: true } : status;
  }

  /**
   * COMMIT: Finish. Sent once: asked for again, because its answer was lost, it only waits for what the first
   * one does. Errors: LIBVIRT_CALL where libvirt refused and has ended the domain; anything else means that
   * it may run.
   */
  async start(): Promise<void> {
    const { migration } = this.options;
    if (migration.phase === 'finished') return;
    if (migration.phase === 'finishing') return this.#awaitFinish();
    try {
      await migration.finish();
    } catch (error) {
      if (faultCode(error) === null) throw error;
      const state = await this.active(CALL_TIMEOUT_MS);
      if (state === null) {
        this.#neverRan = true;
        throw error;
      }
      throw new GodwitError(
        'LIBVIRT_NOT_ENDED',
        `libvirt refused to start the domain and has not ended it (it is ${state.state}): ${errorMessage(error)}`,
        { safe: 'the source VM stays stopped' },
      );
    }
  }

  async #awaitFinish(): Promise<void> {
    const deadlineMs = systemClock.nowMs() + (this.options.settleMs ?? FINISH_SETTLE_MS);
    for (;;) {
      const state = await this.active(CALL_TIMEOUT_MS);
      if (state?.state === 'running' || (state !== null && hasTakenOver(state))) return;
      if (state === null || systemClock.nowMs() >= deadlineMs) {
        throw new GodwitError('LIBVIRT_UNANSWERED', 'Finish was sent, and its answer is lost', {
          safe: 'the domain may yet be started there',
        });
      }
      await sleep(POLL_MS);
    }
  }

  /** Nothing starts a domain there but Finish, which is not sent again: there is nothing to take back. */
  async stop(): Promise<void> {}

  /** Finish, cancelled; only a domain that is gone is said to be. */
  async end(withinMs: number): Promise<EndedHow> {
    const { migration, isFound } = this.options;
    if (isFound && (await this.#endsByItself())) return 'gone';
    // What may have been started is libvirt's no more to cancel.
    if (migration.phase !== 'finishing' && migration.phase !== 'finished') {
      try {
        await migration.cancelThere({ timeoutMs: withinMs });
        return 'gone';
      } catch {
        // Its connection may be lost: what libvirt made of that is asked over a new one.
      }
      if (await this.#endsByItself()) return 'gone';
    }
    const status = await this.status(withinMs);
    return status.state === 'answers' ? 'stays' : status.state;
  }

  /** libvirt ends what was prepared by a client that is gone. */
  async #endsByItself(): Promise<boolean> {
    const deadlineMs = systemClock.nowMs() + (this.options.settleMs ?? AUTO_DESTROY_MS);
    for (;;) {
      const state = await this.active(AUTO_DESTROY_MS).catch(() => undefined);
      if (state === null) return true;
      if (state?.state !== 'paused' || systemClock.nowMs() >= deadlineMs) return false;
      await sleep(POLL_MS);
    }
  }

  async migrationStatus(): Promise<string> {
    return 'none';
  }

  async cancelMigration(): Promise<void> {
    // It sends nothing.
  }

  async releaseClaim(): Promise<void> {
    // Finish, in either form, has given it back.
  }
}

/** Finish is over, and somebody has suspended the VM since. Until then libvirt says "migrating". */
function hasTakenOver({ state, reason }: DomainState): boolean {
  return state === 'paused' && reason === 'user';
}

/**
 * libvirt's states in QEMU's words. A state that nobody here knows counts as running: then nobody starts
 * another copy.
 */
function runStateOf({ state, reason }: DomainState): string {
  switch (state) {
    case 'paused':
      return reason === 'I/O error' ? 'io-error' : reason === 'crashed' ? 'guest-panicked' : 'paused';
    case 'crashed':
      return 'guest-panicked';
    case 'in shutdown':
    case 'shut off':
      return 'shutdown';
    case 'pmsuspended':
      return 'suspended';
    default:
      return 'running';
  }
}
